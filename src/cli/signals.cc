#include "cli/signals.h"

#include <poll.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>

namespace gantry::cli {

namespace {

// One more than the descriptor that the handler of each signal writes to; 0: nobody listens.
constinit std::array<std::atomic<int>, NSIG> write_ends{};

void on_signal(int signal) {
  const int saved = errno;
  const int end = write_ends[static_cast<size_t>(signal)] - 1;
  const auto byte = static_cast<unsigned char>(signal);
  if (end >= 0) (void)!::write(end, &byte, 1);
  errno = saved;
}

}  // namespace

SignalHandlers::SignalHandlers(const std::vector<int>& signals, void (*handler)(int)) {
  for (const int signal : signals) {
    struct sigaction action {};
    struct sigaction old {};
    action.sa_handler = handler;
    action.sa_flags = SA_RESTART;
    sigaction(signal, &action, &old);
    previous_.emplace_back(signal, old);
  }
}

SignalHandlers::~SignalHandlers() {
  for (const auto& [signal, old] : previous_) sigaction(signal, &old, nullptr);
}

SignalPipe::SignalPipe(const std::vector<int>& signals) : signals_(signals) {
  auto pipe = make_pipe(O_NONBLOCK);
  CHECK(pipe.ok());
  pipe_ = std::move(pipe).value();
  for (const int signal : signals_) write_ends[static_cast<size_t>(signal)] = pipe_.write.get() + 1;
  handlers_.emplace(signals_, on_signal);
}

SignalPipe::~SignalPipe() {
  handlers_.reset();
  for (const int signal : signals_) write_ends[static_cast<size_t>(signal)] = 0;
}

std::optional<int> SignalPipe::take() {
  unsigned char byte = 0;
  if (::read(pipe_.read.get(), &byte, 1) != 1) return std::nullopt;
  return byte;
}

SignalThread::SignalThread(const std::vector<int>& signals, std::function<void(int)> arrived) : pipe_(signals) {
  auto stop = make_pipe();
  CHECK(stop.ok());
  stop_ = std::move(stop).value();
  thread_ = std::thread([this, arrived = std::move(arrived)] {
    std::array<pollfd, 2> watched{{{pipe_.fd(), POLLIN, 0}, {stop_.read.get(), POLLIN, 0}}};
    while (watched[1].revents == 0) {
      if (::poll(watched.data(), watched.size(), -1) < 0) continue;
      while (const auto signal = pipe_.take()) arrived(*signal);
    }
  });
}

SignalThread::~SignalThread() {
  stop_.write.reset();  // the reading end sees the hang-up
  thread_.join();
}

}  // namespace gantry::cli
