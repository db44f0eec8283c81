// Taking away what a dead shim left in the cgroup trees.
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <set>
#include <thread>

#include "base/fd.h"
#include "engine/container/cgroup_plan.h"

namespace gantry::engine {
namespace {

using namespace std::chrono_literals;

constexpr auto kLimit = 10s;  // of a machine on which even killed processes wait for their turn

std::vector<pid_t> members(const std::string& directory) {
  std::vector<pid_t> pids;
  const Result<std::string> text = read_file(directory + "/cgroup.procs");
  if (!text) return pids;
  for (const char* at = text->c_str(); *at != '\0';) {
    char* end = nullptr;
    const long pid = std::strtol(at, &end, 10);
    if (end == at) break;
    if (pid > 1 && pid != ::getpid()) pids.push_back(static_cast<pid_t>(pid));
    at = *end == '\0' ? end : end + 1;
  }
  return pids;
}

// The pid is opened before the group is read again, so that a number that was reused is not killed.
void kill_members(const std::string& directory, std::chrono::steady_clock::time_point until) {
  for (const pid_t pid : members(directory)) {
    const Fd process(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
    if (!process) continue;
    const std::vector<pid_t> now = members(directory);
    if (std::find(now.begin(), now.end(), pid) == now.end()) continue;
    ::syscall(SYS_pidfd_send_signal, process.get(), SIGKILL, nullptr, 0);
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(until - std::chrono::steady_clock::now());
    pollfd dead{process.get(), POLLIN, 0};
    ::poll(&dead, 1, static_cast<int>(std::max<int64_t>(0, left.count())));
  }
}

// Writes a file that is there; a directory that is not there is none to act on.
void write_existing(const std::string& path, std::string_view value) {
  Result<Fd> file = open_file(path, O_WRONLY);
  if (file) (void)::write(file->get(), value.data(), value.size());
}

bool exists(const std::string& directory) { return ::access(directory.c_str(), F_OK) == 0; }

// Children of a cgroup are a program's own (an init system in the container): they go first.
Result<> remove_groups(const std::filesystem::path& directory, std::chrono::steady_clock::time_point until) {
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator(directory, ignored)) {
    if (entry.is_directory(ignored) && !entry.is_symlink(ignored)) TRY(remove_groups(entry.path(), until));
  }
  for (;;) {
    if (::rmdir(directory.c_str()) == 0 || errno == ENOENT) return {};
    if (errno != EBUSY || std::chrono::steady_clock::now() > until) {
      return Error::from_errno(errno, "remove cgroup", directory.string());
    }
    kill_members(directory, until);
    // Dead processes leave their group a moment later, and the kernel has no event for it in v1.
    std::this_thread::sleep_for(5ms);
  }
}

}  // namespace

Result<> remove_container_cgroups(const CgroupHost& host, const std::string& root_name, const ContainerId& id) {
  const auto until = std::chrono::steady_clock::now() + kLimit;
  const std::string place = "/" + root_name + "/" + id.str();
  std::vector<std::string> directories;
  if (!host.unified.empty()) directories.push_back(host.unified + place);
  for (const CgroupHierarchy& hierarchy : host.v1) directories.push_back(hierarchy.mount + place);
  std::erase_if(directories, [](const std::string& directory) { return !exists(directory); });
  if (directories.empty()) return {};
  // A frozen process dies only when it is thawed.
  if (const CgroupHierarchy* freezer = host.v1_of("freezer")) {
    write_existing(freezer->mount + place + "/freezer.state", "THAWED");
  }
  if (!host.unified.empty()) write_existing(host.unified + place + "/cgroup.kill", "1");
  Result<> result;
  for (const std::string& directory : directories) {
    if (!exists(directory)) continue;
    Result<> removed = remove_groups(directory, until);
    if (!removed && result.ok()) result = std::move(removed);
  }
  return result;
}

std::vector<ContainerId> container_cgroups(const CgroupHost& host, const std::string& root_name) {
  std::vector<std::string> trees;
  for (const CgroupHierarchy& hierarchy : host.v1) trees.push_back(hierarchy.mount);
  if (!host.unified.empty()) trees.push_back(host.unified);
  std::set<ContainerId> ids;
  std::error_code error;
  for (const std::string& tree : trees) {
    for (const auto& entry : std::filesystem::directory_iterator(tree + "/" + root_name, error)) {
      constexpr size_t kIdLength = 64;
      const std::string name = entry.path().filename().string();
      if (entry.is_directory(error) && name.size() == kIdLength) ids.insert(ContainerId(name));
    }
  }
  return {ids.begin(), ids.end()};
}

Result<> remove_cgroup_directories(const std::vector<std::string>& directories) {
  const auto until = std::chrono::steady_clock::now() + kLimit;
  Result<> result;
  for (const std::string& directory : directories) {
    if (!directory.starts_with("/sys/fs/cgroup/") || !exists(directory)) continue;
    if (::access((directory + "/freezer.state").c_str(), F_OK) == 0) write_existing(directory + "/freezer.state", "THAWED");
    write_existing(directory + "/cgroup.kill", "1");
    Result<> removed = remove_groups(directory, until);
    if (!removed && result.ok()) result = std::move(removed);
  }
  return result;
}

void remove_cgroup_roots(const CgroupHost& host, const std::string& root_name) {
  for (const CgroupHierarchy& hierarchy : host.v1) ::rmdir((hierarchy.mount + "/" + root_name).c_str());
  if (!host.unified.empty()) ::rmdir((host.unified + "/" + root_name).c_str());
}

}  // namespace gantry::engine
