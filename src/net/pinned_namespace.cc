#include "net/pinned_namespace.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <linux/netlink.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>

#include "net/forwarding.h"
#include "net/links.h"
#include "net/netlink.h"

namespace gantry::net {
namespace {

constexpr const char* kOwnNamespace = "/proc/thread-self/ns/net";

bool is_namespace(int fd) {
  struct statfs status {};
  return ::fstatfs(fd, &status) == 0 && status.f_type == NSFS_MAGIC;
}

// On a thread of its own, which ends in the new namespace.
Result<> make_namespace(const std::string& file) {
  if (::unshare(CLONE_NEWNET) != 0) return Error::from_errno(errno, "make a network namespace");
  auto route = TRY(open_netlink(NETLINK_ROUTE));
  NetlinkBatch batch;
  add_loopback_up(batch);
  TRY(exchange(route.get(), batch));
  TRY(set_forwarding(false, true));
  (void)set_forwarding(true, true);  // a kernel without IPv6 needs none
  // Last: what is on the file is ready.
  if (::mount(kOwnNamespace, file.c_str(), nullptr, MS_BIND, nullptr) != 0) {
    return Error::from_errno(errno, "mount network namespace", file);
  }
  return {};
}

}  // namespace

Result<> enter_namespace(int netns) {
  if (::setns(netns, CLONE_NEWNET) != 0) return Error::from_errno(errno, "enter network namespace");
  return {};
}

Result<Fd> ensure_namespace(const std::string& file) {
  std::error_code error;
  std::filesystem::create_directories(std::filesystem::path(file).parent_path(), error);
  Fd existing = TRY(open_file(file, O_RDONLY | O_CREAT, 0600));
  if (is_namespace(existing.get())) return existing;
  Result<> made;
  std::thread([&] { made = make_namespace(file); }).join();
  TRY(std::move(made));
  return open_file(file, O_RDONLY);
}

Result<> remove_namespace(const std::string& file) {
  if (::umount2(file.c_str(), MNT_DETACH) != 0 && errno != EINVAL && errno != ENOENT) {
    return Error::from_errno(errno, "unmount network namespace", file);
  }
  if (::unlink(file.c_str()) != 0 && errno != ENOENT) return Error::from_errno(errno, "remove", file);
  ::rmdir(std::filesystem::path(file).parent_path().c_str());  // if it was the last one
  return {};
}

}  // namespace gantry::net
