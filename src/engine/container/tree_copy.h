// Files of a live tree as a tar, and a tar's into one: what `docker cp` and `docker export` are made of.
//
// The tree may be changed by a hostile container at any moment. Everything goes by descriptor: the way to a
// directory is resolved within `root` by the kernel, the last name is never followed, and only regular files are
// opened for their content. Any thread; blocking.
#pragma once

#include <sys/stat.h>

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "base/fd.h"
#include "base/result.h"
#include "engine/image/byte_source.h"

namespace gantry::engine {

// One place in a tree, its last name not followed.
struct TreeEntry {
  std::string name;         // last name of the path as it was asked for; "/" for the root
  struct stat status {};
  std::string link_target;  // of a symlink: where it leads in the end, as a path in the tree
};
// Errors have errno: ENOENT, ENOTDIR. A path that ends in "/" or "/." means what a symlink there leads to.
Result<TreeEntry> look_up(int root, const std::string& path);

using TreeSink = std::function<Result<>(std::string_view)>;

// The file or directory at `path` with all it holds. Entries are named after the path's last name ("etc/passwd" for
// "/etc", "./passwd" for "/etc/.").
Result<> write_tree_tar(int root, const std::string& path, const TreeSink& sink);
// All of it, named without a leading slash; sockets are left out.
Result<> write_whole_tar(int root, const TreeSink& sink);

struct ExtractOptions {
  bool keep_kinds = false;  // refuse to put a directory in a non-directory's place and the reverse
  std::optional<std::pair<uid_t, gid_t>> owner;  // for everything, instead of the tar's
};
// `tar` is uncompressed; `directory` must exist. Names that lead out of it are refused. What was extracted before an
// error stays.
Result<> extract_tree(int root, const std::string& directory, ByteSource& tar, const ExtractOptions& options);

// "name", "uid", "name:group", … by the tree's /etc/passwd and /etc/group. Errors: Code::invalid, naming it.
Result<std::pair<uid_t, gid_t>> look_up_owner(int root, const std::string& user);

// Bytes of all files below a directory on the host; files of several names count once. What vanishes meanwhile
// counts nothing.
uint64_t tree_size(const std::string& directory);

}  // namespace gantry::engine
