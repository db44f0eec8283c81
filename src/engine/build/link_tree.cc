#include "engine/build/link_tree.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>

#include "base/beneath.h"
#include "engine/image/file_copy.h"
#include "engine/image/layer_view.h"

namespace gantry::engine {
namespace {

// overlayfs's own marks are part of a layer, and read_xattrs() leaves them out.
Result<> copy_directory_marks(const LayerView::Node& from, int to, const std::string& name) {
  TRY(set_attributes(to, name, TRY(FileAttributes::of(from))));
  if (!is_opaque(from.fd())) return {};
  if (setxattr(fd_path(to).c_str(), "trusted.overlay.opaque", "y", 1, 0) == 0) return {};
  return Error::from_errno(errno, "setxattr trusted.overlay.opaque", name);
}

Result<> link_entries(const LayerView::Node& from, int to) {
  for (const std::string& name : TRY(LayerView::raw_names(from))) {
    const LayerView::Node node = TRY(LayerView::raw_child(from, name));
    if (!node.is_directory()) {
      if (linkat(from.fd(), name.c_str(), to, name.c_str(), 0) == 0) continue;
      return Error::from_errno(errno, "linkat", name);
    }
    if (mkdirat(to, name.c_str(), 0700) != 0) return Error::from_errno(errno, "mkdirat", name);
    const Fd made = TRY(open_at(to, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    TRY(link_entries(node, made.get()));
    TRY(copy_directory_marks(node, made.get(), name));  // last: what is put in changes its time
  }
  return {};
}

}  // namespace

Result<> link_tree(const std::filesystem::path& from, const std::filesystem::path& to) {
  const LayerView view = TRY(LayerView::open({from}));
  const Fd root = TRY(open_file(to, O_RDONLY | O_DIRECTORY));
  return link_entries(view.root(), root.get());
}

}  // namespace gantry::engine
