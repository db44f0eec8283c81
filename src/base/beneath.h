// Opening paths that somebody else chose, below a directory of ours: the kernel keeps the walk inside (openat2(2)).
//
// `root` is a descriptor of the directory; the path may be absolute ("/" is the root) or relative. Magic links
// (/proc/PID/fd/N) are never followed. Everything opens with O_CLOEXEC. Any thread.
#pragma once

#include <string>

#include "base/fd.h"
#include "base/result.h"

namespace gantry {

// As if `root` were "/": symlinks and ".." on the way are resolved within it, the last name's symlink too unless
// `flags` has O_NOFOLLOW. errno_value() tells ENOENT and friends.
Result<Fd> open_in_root(int root, const std::string& path, int flags, mode_t mode = 0);

// Follows no symlink at all and refuses to leave `root`: for trees where a symlink on the way would be an attack.
Result<Fd> open_without_links(int root, const std::string& path, int flags, mode_t mode = 0);

}  // namespace gantry
