#include "engine/container/probe_output.h"

#include <fcntl.h>
#include <unistd.h>

#include "engine/container/health.h"

namespace gantry::engine {

ProbeOutput::ProbeOutput(EventLoop& loop, ExecStreams streams) {
  watch(loop, out_, std::move(streams.stdout_read));
  watch(loop, err_, std::move(streams.stderr_read));
}

ProbeOutput::~ProbeOutput() {
  out_.watcher.reset();
  err_.watcher.reset();
}

void ProbeOutput::watch(EventLoop& loop, Stream& stream, Fd fd) {
  if (!fd) return;
  fcntl(fd.get(), F_SETFL, fcntl(fd.get(), F_GETFL) | O_NONBLOCK);
  stream.fd = std::move(fd);
  stream.watcher = std::make_unique<FdWatcher>(loop, stream.fd.get(), FdWatcher::readable,
                                               [this, &stream](int) { drain(stream); });
}

void ProbeOutput::drain(Stream& stream) {
  char buffer[4096];
  for (;;) {
    const ssize_t size = read(stream.fd.get(), buffer, sizeof buffer);
    if (size < 0 && errno == EINTR) continue;
    if (size < 0 && errno == EAGAIN) return;
    if (size <= 0) {
      stream.watcher->set_interest(0);
      return;
    }
    // One byte more than is kept, so that the tracker sees that there was more.
    const size_t room = HealthTracker::kMaximumOutput + 1 - std::min(text_.size(), HealthTracker::kMaximumOutput + 1);
    text_.append(buffer, std::min(static_cast<size_t>(size), room));
  }
}

std::string ProbeOutput::take() {
  if (out_.fd) drain(out_);
  if (err_.fd) drain(err_);
  return std::move(text_);
}

}  // namespace gantry::engine
