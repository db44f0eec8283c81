#include "base/beneath.h"

#include <linux/openat2.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

namespace gantry {
namespace {

Result<Fd> open_resolving(int root, const std::string& path, int flags, mode_t mode, uint64_t resolve) {
  struct open_how how = {};
  how.flags = static_cast<uint64_t>(static_cast<unsigned>(flags | O_CLOEXEC));
  how.mode = (flags & (O_CREAT | O_TMPFILE)) != 0 ? mode : 0;  // EINVAL otherwise
  how.resolve = resolve | RESOLVE_NO_MAGICLINKS;
  const char* name = path.empty() ? "." : path.c_str();
  // EAGAIN: somebody renamed a directory on the way; the kernel cannot be sure that ".." stayed inside.
  constexpr int kMostTries = 128;
  for (int tries = 0;; ++tries) {
    const long fd = syscall(SYS_openat2, root, name, &how, sizeof how);
    if (fd >= 0) return Fd(static_cast<int>(fd));
    if ((errno != EAGAIN && errno != EINTR) || tries == kMostTries) return Error::from_errno(errno, "openat2", path);
  }
}

}  // namespace

Result<Fd> open_in_root(int root, const std::string& path, int flags, mode_t mode) {
  return open_resolving(root, path, flags, mode, RESOLVE_IN_ROOT);
}

Result<Fd> open_without_links(int root, const std::string& path, int flags, mode_t mode) {
  const size_t start = path.find_first_not_of('/');
  return open_resolving(root, start == std::string::npos ? "." : path.substr(start), flags, mode,
                        RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS);
}

}  // namespace gantry
