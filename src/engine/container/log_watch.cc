#include "engine/container/log_watch.h"

#include <sys/inotify.h>
#include <unistd.h>

#include <cerrno>
#include <map>
#include <mutex>
#include <set>
#include <thread>

#include "base/fd.h"

namespace gantry::engine {
namespace {

// Never destroyed: its thread ends with the process.
class Watcher {
 public:
  static Result<Watcher*> get() {
    static const Result<Watcher*> only = make();
    return only;
  }

  // A directory's watch number; -1: there is no such directory.
  Result<int> add(const std::string& directory, int wake) {
    const std::lock_guard lock(mutex_);
    const int number =
        ::inotify_add_watch(inotify_.get(), directory.c_str(), IN_MODIFY | IN_CREATE | IN_MOVED_TO | IN_ONLYDIR);
    if (number < 0 && errno == ENOENT) return -1;
    if (number < 0) return Error::from_errno(errno, "inotify_add_watch", directory);
    wakes_[number].insert(wake);  // a directory that is watched already has the same number
    return number;
  }

  void remove(int number, int wake) {
    const std::lock_guard lock(mutex_);
    const auto at = wakes_.find(number);
    if (at == wakes_.end()) return;  // the directory has gone
    at->second.erase(at->second.find(wake));
    if (!at->second.empty()) return;
    wakes_.erase(at);
    ::inotify_rm_watch(inotify_.get(), number);
  }

 private:
  static Result<Watcher*> make() {
    Fd inotify(::inotify_init1(IN_CLOEXEC));
    if (!inotify) return Error::from_errno(errno, "inotify_init1", "to follow logs (fs.inotify.max_user_instances)");
    auto* watcher = new Watcher;
    watcher->inotify_ = std::move(inotify);
    std::thread([watcher] { watcher->run(); }).detach();
    return watcher;
  }

  void run() {
    alignas(inotify_event) char events[16 * 1024];
    for (;;) {
      const ssize_t size = ::read(inotify_.get(), events, sizeof events);
      if (size < 0 && errno != EINTR) return;
      std::set<int> numbers;
      std::set<int> gone;
      for (ssize_t at = 0; at < size;) {
        const auto* event = reinterpret_cast<const inotify_event*>(events + at);
        ((event->mask & IN_IGNORED) != 0 ? gone : numbers).insert(event->wd);
        if ((event->mask & IN_Q_OVERFLOW) != 0) numbers.insert(-1);
        at += static_cast<ssize_t>(sizeof *event + event->len);
      }
      wake(numbers, gone);
    }
  }

  void wake(const std::set<int>& numbers, const std::set<int>& gone) {
    const std::lock_guard lock(mutex_);
    const bool all = numbers.contains(-1);  // events were lost: anything may have happened
    for (const auto& [number, wakes] : wakes_) {
      if (!all && !numbers.contains(number)) continue;
      for (const int fd : wakes) {
        const uint64_t one = 1;
        [[maybe_unused]] const ssize_t written = ::write(fd, &one, sizeof one);  // a full counter wakes as well
      }
    }
    for (const int number : gone) wakes_.erase(number);
  }

  Fd inotify_;
  std::mutex mutex_;
  std::map<int, std::multiset<int>> wakes_;  // by watch number; guarded by mutex_
};

class Watch final : public LogWatch {
 public:
  Watch(Watcher& watcher, int number, int wake) : watcher_(watcher), number_(number), wake_(wake) {}
  ~Watch() override {
    if (number_ >= 0) watcher_.remove(number_, wake_);
  }

 private:
  Watcher& watcher_;
  int number_;
  int wake_;
};

}  // namespace

Result<std::unique_ptr<LogWatch>> LogWatch::start(const std::filesystem::path& directory, int wake) {
  Watcher* watcher = TRY(Watcher::get());
  const int number = TRY(watcher->add(directory.native(), wake));
  return std::unique_ptr<LogWatch>(std::make_unique<Watch>(*watcher, number, wake));
}

}  // namespace gantry::engine
