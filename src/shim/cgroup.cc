#include "shim/cgroup.h"

#include <dirent.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <fcntl.h>
#include <linux/bpf.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

namespace gantry::shim {
namespace {

constexpr int kDeepestGroup = 32;  // what is deeper is left to the daemon

constexpr int64_t kFreezeLimitMs = 2000;
constexpr int64_t kEmptyLimitMs = 2000;
constexpr int kRemoveAttempts = 100;

// Where the kernel has no event to wait for: a v1 freezer that is FREEZING, an rmdir that is EBUSY although
// the last process is gone.
void pause_10ms() {
  timespec time{0, 10'000'000};
  ::nanosleep(&time, nullptr);
}

bool copy_if_empty(const std::string& path, const std::string& from) {
  std::string own;
  if (!read_file(path, own, 4096)) return false;
  if (own.find_first_not_of(" \n") != std::string::npos) return true;
  std::string value;
  return read_file(from, value, 4096) && write_file(path, value);
}

bool perform(const CgroupStep& step) {
  switch (step.kind) {
    case CgroupStep::Kind::make_directory:
      return ::mkdir(step.path.c_str(), 0755) == 0 || errno == EEXIST;
    case CgroupStep::Kind::write:
      return write_file(step.path, step.value);
    case CgroupStep::Kind::copy_if_empty:
      return copy_if_empty(step.path, step.value);
  }
  return false;
}

// Waits until "key value" stands in the cgroup's events file; the kernel wakes pollers when it changes.
bool wait_for_event(int fd, const char* line, int64_t limit_ms) {
  int64_t until = mono_ms() + limit_ms;
  for (;;) {
    char text[256];
    ssize_t n = ::pread(fd, text, sizeof text - 1, 0);
    if (n < 0) return errno == ENODEV;  // removed: surely empty
    text[n] = 0;
    if (strstr(text, line) != nullptr) return true;
    int64_t left = until - mono_ms();
    if (left <= 0) {
      errno = ETIMEDOUT;
      return false;
    }
    pollfd changed{fd, POLLPRI, 0};
    // Children of ours count as members until they are reaped, and nothing wakes us for those: hence the 10 ms.
    ::poll(&changed, 1, left < 10 ? static_cast<int>(left) : 10);
    while (::waitpid(-1, nullptr, WNOHANG) > 0) {
    }
  }
}

Fd open_in(const std::string& directory, const char* name, int flags) {
  return Fd(::open((directory + "/" + name).c_str(), flags | O_CLOEXEC));
}

void kill_members(const std::string& directory) {
  std::string members;
  if (!read_file(directory + "/cgroup.procs", members, 16 << 20)) return;
  for (const char* at = members.c_str(); *at != 0;) {
    char* end = nullptr;
    long pid = ::strtol(at, &end, 10);
    if (end == at) break;
    if (pid > 1 && pid != ::getpid()) ::kill(static_cast<pid_t>(pid), SIGKILL);
    at = *end != 0 ? end + 1 : end;
  }
}

// Groups inside of it are a program's own (an init system makes some): they go first. False: something is busy still.
bool remove_group(const std::string& directory, int depth) {
  if (::rmdir(directory.c_str()) == 0 || errno == ENOENT) return true;
  DIR* stream = depth > 0 ? ::opendir(directory.c_str()) : nullptr;
  if (stream == nullptr) return false;
  while (const dirent* entry = ::readdir(stream)) {
    const std::string_view name = entry->d_name;
    if (entry->d_type == DT_DIR && name != "." && name != "..") {
      remove_group(directory + "/" + std::string(name), depth - 1);
    }
  }
  ::closedir(stream);
  return ::rmdir(directory.c_str()) == 0 || errno == ENOENT;
}

}  // namespace

void join_cgroups(const std::vector<std::string>& directories) {
  for (const std::string& directory : directories) {
    check(write_file(directory + "/tasks", "0"), "cgroup: join", directory);
  }
}

bool Cgroup::create(std::vector<std::string>& warnings, std::string& error) {
  for (const CgroupStep& step : plan_.steps) {
    if (perform(step)) continue;
    std::string reason = step.path + ": " + errno_text(errno);
    if (step.required != 0) {
      error = "cgroup: " + (step.kind == CgroupStep::Kind::write ? "write \"" + step.value + "\" to " : "") + reason;
      return false;
    }
    if (!step.warning.empty()) warnings.push_back(step.warning + " (" + reason + ")");
  }
  if (!plan_.unified.empty()) {
    unified_.reset(::open(plan_.unified.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!unified_) {
      error = "cgroup: open " + plan_.unified + ": " + errno_text(errno);
      return false;
    }
  }
  return true;
}

bool Cgroup::attach_device_program(int program) {
  bpf_attr attributes{};
  attributes.target_fd = static_cast<uint32_t>(unified_.get());
  attributes.attach_bpf_fd = static_cast<uint32_t>(program);
  attributes.attach_type = BPF_CGROUP_DEVICE;
  attributes.attach_flags = BPF_F_ALLOW_MULTI;
  return ::syscall(SYS_bpf, BPF_PROG_ATTACH, &attributes, sizeof attributes) == 0;
}

bool Cgroup::freeze_unified(bool frozen) {
  Fd events = open_in(plan_.unified, "cgroup.events", O_RDONLY);
  if (!events || !write_file(plan_.unified + "/cgroup.freeze", frozen ? "1" : "0")) return false;
  if (wait_for_event(events.get(), frozen ? "frozen 1" : "frozen 0", kFreezeLimitMs)) return true;
  int error = errno;
  if (frozen) write_file(plan_.unified + "/cgroup.freeze", "0");
  errno = error;
  return false;
}

bool Cgroup::freeze_v1(bool frozen) {
  std::string file = plan_.freezer + "/freezer.state";
  const char* wanted = frozen ? "FROZEN" : "THAWED";
  for (int64_t until = mono_ms() + kFreezeLimitMs; mono_ms() < until; pause_10ms()) {
    std::string state;
    // Written again each time: a process that forked while FREEZING may have slipped through.
    if (!write_file(file, wanted) || !read_file(file, state, 64)) return false;
    if (state.compare(0, 6, wanted) == 0) return true;
  }
  if (frozen) write_file(file, "THAWED");
  errno = ETIMEDOUT;
  return false;
}

bool Cgroup::freeze(bool frozen) {
  if (!plan_.unified.empty()) return freeze_unified(frozen);
  if (!plan_.freezer.empty()) return freeze_v1(frozen);
  errno = ENOTSUP;
  return false;
}

void Cgroup::kill_all() {
  if (!plan_.unified.empty() && write_file(plan_.unified + "/cgroup.kill", "1")) return;
  if (!plan_.unified.empty()) {  // before Linux 5.14
    write_file(plan_.unified + "/cgroup.freeze", "1");
    kill_members(plan_.unified);
    write_file(plan_.unified + "/cgroup.freeze", "0");
    return;
  }
  if (plan_.freezer.empty()) return;
  freeze_v1(true);
  kill_members(plan_.freezer);
  freeze_v1(false);  // a frozen v1 process dies only when it is thawed
}

bool Cgroup::oom_killed() const {
  if (plan_.oom_file.empty()) return false;
  std::string text;
  if (!read_file(plan_.oom_file, text, 4096)) return false;
  size_t at = text.find("oom_kill ");
  return at != std::string::npos && ::strtoull(text.c_str() + at + strlen("oom_kill "), nullptr, 10) > 0;
}

void Cgroup::destroy() {
  if (plan_.directories.empty()) return;
  kill_all();
  if (!plan_.unified.empty()) {
    Fd events = open_in(plan_.unified, "cgroup.events", O_RDONLY);
    if (events) wait_for_event(events.get(), "populated 0", kEmptyLimitMs);
  }
  for (const std::string& directory : plan_.directories) {
    for (int attempt = 0; attempt < kRemoveAttempts && !remove_group(directory, kDeepestGroup); ++attempt) pause_10ms();
  }
  unified_.reset();
  plan_.directories.clear();
}

}  // namespace gantry::shim
