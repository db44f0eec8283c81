// The new mount API with our error handling: detached mounts that get all their flags before anybody can see them,
// and destinations that are resolved inside the container's root, to descriptors. In a child: failures end it.
//
// No function here follows a path of the container twice: whoever shares a volume with it may swap a directory for
// a symlink at any moment (CVE-2021-30465 and its kin).
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "shim/system.h"

namespace gantry::shim {

using FsOptions = std::vector<std::pair<std::string, std::string>>;  // a flag has an empty value

// fsopen, fsconfig, fsmount: a detached mount. `attributes`: MOUNT_ATTR_….
Fd new_filesystem(const char* type, const FsOptions& options, uint64_t attributes);
// A detached copy of what is mounted at `path`; none with errno set.
Fd clone_tree(int directory, const char* path, bool recursive);
void set_mount_attributes(int mount, uint64_t set, bool recursive, const std::string& what);
void set_propagation(int mount, uint64_t propagation, bool recursive, const std::string& what);
void attach_mount(int mount, int target, const std::string& what);

enum class NodeKind { directory, file };

// openat2 with RESOLVE_IN_ROOT: an O_PATH descriptor, or none with errno set.
Fd open_in_root(int root, const std::string& path, uint64_t flags = 0);
// As open_in_root, and makes what is missing, one component at a time. Directories 0755, the file empty.
Fd make_in_root(int root, const std::string& path, NodeKind kind);
// A directory right below the root that is really there: no symlink. For /proc, /sys and /dev.
Fd top_directory(int root, const char* name);

std::vector<std::string> path_components(std::string_view path);
// "/a//b/./c/" → "/a/b/c"; ".." is taken away lexically, as Docker cleans destinations.
std::string clean_path(std::string_view path);

bool is_on_filesystem(int fd, long magic);

}  // namespace gantry::shim
