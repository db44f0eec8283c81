// Many containers asking at once, for the name service's tests and benchmark.
//
//   dns_load RATE SECONDS NAME PID…    asks for NAME's address in the network namespace of each PID, in turn, RATE
//                                      questions a second in all; 0: as many as are answered, 16 a PID on their way
//
// Prints "asked N answered N seconds S p50 P p99 P worst P", times of answers in microseconds. Answers are waited for
// until none has come for five seconds.
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;
constexpr int kSilenceMs = 5000;
constexpr unsigned kOnTheirWay = 16;

[[noreturn]] void fail(const char* what) {
  std::perror(what);
  std::exit(1);
}

// A socket in that process's namespace, connected to its name service.
int asker_in(const char* pid) {
  const std::string path = std::string("/proc/") + pid + "/ns/net";
  int netns = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (netns < 0 || ::setns(netns, CLONE_NEWNET) != 0) fail(path.c_str());
  ::close(netns);
  int fd = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  const int room = 4 << 20;  // what is lost is to be the service's doing
  ::setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room);
  sockaddr_in service{.sin_family = AF_INET, .sin_port = htons(53)};
  ::inet_pton(AF_INET, "127.0.0.11", &service.sin_addr);
  if (::connect(fd, reinterpret_cast<sockaddr*>(&service), sizeof service) != 0) fail("connect");
  return fd;
}

std::vector<uint8_t> question(const std::string& name) {
  std::vector<uint8_t> packet{0, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, static_cast<uint8_t>(name.size())};
  packet.insert(packet.end(), name.begin(), name.end());
  packet.insert(packet.end(), {0, 0, 1, 0, 1});
  return packet;
}

class Load {
 public:
  Load(const std::string& name, const std::vector<const char*>& pids) : packet_(question(name)) {
    for (const char* pid : pids)
      askers_.push_back({.fd = asker_in(pid), .sent_at = std::vector<Clock::time_point>(65536)});
  }

  void run(double rate, double seconds) {
    const auto begin = Clock::now();
    const auto passed = [&] { return std::chrono::duration<double>(Clock::now() - begin).count(); };
    if (rate > 0) {
      const auto all = static_cast<size_t>(rate * seconds);
      while (asked_ < all) {
        const auto due = std::min(all, static_cast<size_t>(passed() * rate));
        while (asked_ < due) ask(askers_[asked_ % askers_.size()]);
        wait(1);
      }
    }
    while (rate <= 0 && passed() < seconds) {
      for (Asker& asker : askers_) {
        while (asker.waiting < kOnTheirWay) ask(asker);
      }
      wait(kSilenceMs);
    }
    seconds_ = passed();
    while (times_.size() < asked_ && wait(kSilenceMs)) {
    }
  }

  void report() {
    std::sort(times_.begin(), times_.end());
    const auto at = [&](double part) {
      return times_.empty() ? 0.0 : times_[static_cast<size_t>(part * static_cast<double>(times_.size() - 1))];
    };
    std::printf("asked %zu answered %zu seconds %.3f p50 %.0f p99 %.0f worst %.0f\n", asked_, times_.size(), seconds_,
                at(0.5), at(0.99), at(1.0));
  }

 private:
  struct Asker {
    int fd;
    uint16_t next_id = 0;
    unsigned waiting = 0;
    std::vector<Clock::time_point> sent_at;  // by id; the epoch: not asked
  };

  void ask(Asker& asker) {
    const uint16_t id = asker.next_id++;
    packet_[0] = static_cast<uint8_t>(id >> 8);
    packet_[1] = static_cast<uint8_t>(id);
    asker.sent_at[id] = Clock::now();
    if (::send(asker.fd, packet_.data(), packet_.size(), 0) < 0) fail("send");
    ++asker.waiting;
    ++asked_;
  }

  // False: nothing has come for so long.
  bool wait(int ms) {
    std::vector<pollfd> all;
    for (const Asker& asker : askers_) all.push_back({asker.fd, POLLIN, 0});
    if (::poll(all.data(), all.size(), ms) <= 0) return false;
    for (size_t i = 0; i < all.size(); ++i) {
      if (all[i].revents != 0) take_answers(askers_[i]);
    }
    return true;
  }

  void take_answers(Asker& asker) {
    uint8_t answer[4096];
    while (::recv(asker.fd, answer, sizeof answer, 0) >= 12) {
      // An address, and no error.
      if ((answer[3] & 15) != 0 || answer[7] == 0) continue;
      auto& sent = asker.sent_at[static_cast<size_t>(answer[0] << 8 | answer[1])];
      if (sent == Clock::time_point()) continue;  // twice
      times_.push_back(std::chrono::duration<double, std::micro>(Clock::now() - sent).count());
      sent = {};
      --asker.waiting;
    }
  }

  std::vector<uint8_t> packet_;
  std::vector<Asker> askers_;
  std::vector<double> times_;
  size_t asked_ = 0;
  double seconds_ = 0;
};

}  // namespace

int main(int argc, char** argv) {
  if (argc < 5) {
    std::fprintf(stderr, "usage: dns_load RATE SECONDS NAME PID...\n");
    return 2;
  }
  Load load(argv[3], {argv + 4, argv + argc});
  load.run(std::atof(argv[1]), std::atof(argv[2]));
  load.report();
  return 0;
}
