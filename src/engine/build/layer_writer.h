// Writes files into a new layer (a directory in overlay upper form) as if into the file tree of the layers below it:
// symlinks in the tree are followed within it, directories that exist below keep their mode and owner.
// Blocking; one thread.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/fd.h"
#include "base/result.h"
#include "engine/build/ownership.h"
#include "engine/image/file_copy.h"
#include "engine/image/layer_view.h"

namespace gantry::engine {

class LayerWriter {
 public:
  // `upper` is an existing directory; it gets the attributes of the tree's root. `below`: topmost first.
  static Result<LayerWriter> open(const std::filesystem::path& upper, const std::vector<std::filesystem::path>& below);

  // The tree as it is now.
  const LayerView& view() const { return view_; }
  Result<bool> is_directory(const std::string& path) const;

  // Makes a directory and its parents, as far as they are missing: 0755 and the owner's. Returns its path with all
  // symlinks resolved. Code::invalid: "cannot copy to non-directory: /etc/passwd".
  Result<std::string> make_directories(const std::string& path, Owner owner);
  // The same for what a directory of a source becomes: mode, owner and times are taken over when finish() runs.
  Result<std::string> copy_directory(const std::string& path, Owner parents, FileAttributes attributes);

  // One file, symlink or device. `directory` as make_directories() returned it.
  Result<> copy(const LayerView& from, const LayerView::Node& node, const std::string& directory,
                const std::string& name, const FileAttributes& attributes);
  Result<> write(std::string_view content, const std::string& directory, const std::string& name,
                 const FileAttributes& attributes);

  // Times of directories, which writing into them had changed. Once, at the end.
  Result<> finish();

 private:
  LayerWriter(LayerView view, Fd upper) : view_(std::move(view)), upper_(std::move(upper)) {}
  Result<Fd> open_in_upper(const std::string& resolved);
  Result<int> open_for_entry(const std::string& directory, const std::string& name);

  LayerView view_;  // upper on top: sees what is being written
  Fd upper_;
  std::string last_directory_;  // of the two that follow
  Fd last_fd_;
  std::optional<LayerView::Node> last_node_;
  struct Late {
    std::string path;
    FileAttributes attributes;
  };
  std::vector<Late> late_;
};

}  // namespace gantry::engine
