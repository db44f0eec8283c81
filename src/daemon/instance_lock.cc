#include "daemon/instance_lock.h"

#include <sys/file.h>
#include <sys/time.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>

#include "base/strings.h"

namespace gantry::daemon {
namespace {

constexpr int kPatienceSeconds = 10;

// flock has no timeout: a timer's signal interrupts it. Called before any other thread exists, so that the signal
// can only come here; repeated every second, because the first one may come just before flock blocks.
class Alarm {
 public:
  Alarm() {
    struct sigaction action {};
    action.sa_handler = [](int) {};
    ::sigaction(SIGALRM, &action, &old_);
    const itimerval timer{.it_interval = {.tv_sec = 1, .tv_usec = 0},
                          .it_value = {.tv_sec = kPatienceSeconds, .tv_usec = 0}};
    ::setitimer(ITIMER_REAL, &timer, nullptr);
  }
  ~Alarm() {
    const itimerval off{};
    ::setitimer(ITIMER_REAL, &off, nullptr);
    ::sigaction(SIGALRM, &old_, nullptr);
  }
  Alarm(const Alarm&) = delete;

 private:
  struct sigaction old_ {};
};

}  // namespace

Result<Fd> lock_instance(const std::filesystem::path& data_root) {
  const std::filesystem::path path = data_root / "daemon.lock";
  Fd lock = TRY(open_file(path, O_RDWR | O_CREAT, 0600));
  bool held = ::flock(lock.get(), LOCK_EX | LOCK_NB) == 0;
  if (!held) {
    const Alarm alarm;
    held = ::flock(lock.get(), LOCK_EX) == 0;
  }
  if (!held && errno != EINTR) return Error::from_errno(errno, "flock", path.native());
  if (!held) {
    const std::string owner = read_file(path, 100).value_or("");
    return conflict("another Gantry daemon (process " + std::string(trim(owner)) + ") runs on data root " +
                    data_root.native());
  }
  const std::string pid = std::to_string(::getpid()) + "\n";
  if (::ftruncate(lock.get(), 0) != 0 || ::pwrite(lock.get(), pid.data(), pid.size(), 0) < 0) {
    return Error::from_errno(errno, "write", path.native());
  }
  return lock;
}

}  // namespace gantry::daemon
