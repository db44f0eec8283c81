// Making files by directory descriptor, with all their attributes: what unpacking, COPY and copying up share.
#pragma once

#include <sys/stat.h>

#include <string>
#include <utility>
#include <vector>

#include "base/fd.h"
#include "base/result.h"
#include "engine/image/layer_view.h"

namespace gantry::engine {

using Xattrs = std::vector<std::pair<std::string, std::string>>;

struct FileAttributes {
  mode_t mode = 0;
  uid_t uid = 0;
  gid_t gid = 0;
  timespec modified{};
  Xattrs xattrs;
  static Result<FileAttributes> of(const LayerView::Node& node);
  static FileAttributes without_xattrs(const struct stat& status);
};

// Whether copies, archives and cache keys have it: others tell of this machine and its overlays.
bool is_kept_xattr(std::string_view name);

// Removes whatever has that name, directories with all they hold; nothing there is fine.
Result<> remove_at(int directory, const std::string& name);

// Creates, removing first what is in the way. The mode is 0600; set_attributes() gives the right one.
Result<Fd> create_file_at(int directory, const std::string& name);
Result<> create_symlink_at(int directory, const std::string& name, const std::string& target);
// A device or fifo, as of mknod(2).
Result<> create_node_at(int directory, const std::string& name, mode_t type, dev_t device);

// For an open file or directory. In this order, because chown clears setuid bits and capabilities.
Result<> set_attributes(int fd, const std::string& path, const FileAttributes& attributes);
// For a name that is not opened: symlinks, devices. Mode is not applied to symlinks.
Result<> set_attributes_at(int directory, const std::string& name, const FileAttributes& attributes);

// Copies a file's content: shares blocks where the filesystem can, in the kernel where it can.
Result<uint64_t> copy_content(int from, int to);

// Copies one node that is no directory (content, kind, attributes) to a new name.
Result<uint64_t> copy_node(const LayerView& view, const LayerView::Node& node, int directory, const std::string& name,
                           const FileAttributes& attributes);

}  // namespace gantry::engine
