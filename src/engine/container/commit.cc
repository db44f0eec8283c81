#include "engine/container/commit.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <thread>

#include "base/clock.h"
#include "base/remove_tree.h"
#include "base/scope_exit.h"
#include "engine/build/metadata.h"
#include "engine/container/file_changes.h"
#include "engine/image/digest.h"
#include "engine/image/image_document.h"
#include "engine/image/layer_tar.h"
#include "engine/image/unpack.h"

namespace gantry::engine {
namespace {

// The upper directory stays with the container, so the layer gets a copy: through a tar, which both sides know, with a
// thread at each end.
Result<> copy_upper(int upper, const RootSource& source, int into) {
  Pipe pipe = TRY(make_pipe());
  Result<> packed;
  std::thread packer([&, out = std::move(pipe.write)] {
    packed = write_layer_tar(upper, [&](std::string_view data) { return write_all(out.get(), data); });
  });
  const auto unpack_it = [&]() -> Result<> {
    const LayerView below = TRY(LayerView::open(source.layers));
    FdSource tar(pipe.read.get());
    UnpackOptions options;
    options.below = present(below);
    TRY(unpack(tar, into, options));
    return {};
  };
  Result<> unpacked = unpack_it();
  pipe.read.reset();  // the packer must not wait for a reader that has failed
  packer.join();
  if (!unpacked.ok()) return unpacked;
  return packed;
}

Result<> make_layer_directory(const RootSource& source, const std::filesystem::path& scratch) {
  const Fd upper = TRY(open_file(source.upper(), O_RDONLY | O_DIRECTORY));
  struct stat root {};
  if (::fstat(upper.get(), &root) != 0) return Error::from_errno(errno, "stat", source.upper().native());
  if (::mkdir(scratch.c_str(), 0700) != 0) return Error::from_errno(errno, "mkdir", scratch.native());
  const Fd into = TRY(open_file(scratch, O_RDONLY | O_DIRECTORY));
  TRY(copy_upper(upper.get(), source, into.get()));
  TRY(remove_mount_places(into.get(), source.layers));
  if (::fchown(into.get(), root.st_uid, root.st_gid) != 0 || ::fchmod(into.get(), root.st_mode & 07777) != 0) {
    return Error::from_errno(errno, "chmod", scratch.native());
  }
  return {};
}

}  // namespace

Result<ImageId> commit_container(ImageStore& images, const RootSource& source, const CommitRequest& request,
                                 const std::filesystem::path& scratch) {
  const Image parent = TRY(images.find(request.parent.str()));
  ImageDocument document = TRY(parse_image_document(parent.config_json));
  document.config = request.config;
  TRY(apply_changes(request.changes, document));

  ScopeExit remove([&] { (void)remove_tree(scratch).ok(); });
  TRY(make_layer_directory(source, scratch));
  std::string chain;
  for (const std::string& diff_id : parent.diff_ids) chain = chain_id(chain, diff_id);
  const ImageStore::NewLayer layer = TRY(images.add_layer(chain, scratch));

  document.diff_ids = parent.diff_ids;
  document.diff_ids.push_back(layer.diff_id);
  document.created = format_rfc3339(SystemClock().wall());
  document.author = request.author;
  document.comment = request.comment;
  document.history.push_back({.created = document.created,
                              .created_by = request.created_by,
                              .author = request.author,
                              .comment = request.comment});
  return images.add_image(render_image_document(document), request.parent.str());
}

}  // namespace gantry::engine
