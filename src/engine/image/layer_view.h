// Several unpacked layers seen as one file tree, as overlayfs would show them, without mounting: whiteouts hide,
// opaque directories stop, directories of the same name merge. One directory alone is a view, too.
//
// Read only. The layers' content is not trusted: names are looked up one by one below directory descriptors, and
// symlinks are resolved within the tree. Any thread, one at a time.
#pragma once

#include <sys/stat.h>

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/check.h"
#include "base/fd.h"
#include "base/result.h"

namespace gantry::engine {

class LayerView {
 public:
  // Something in the tree.
  class Node {
   public:
    const struct stat& status() const { return status_; }
    bool is_directory() const { return S_ISDIR(status_.st_mode); }
    bool is_file() const { return S_ISREG(status_.st_mode); }
    bool is_symlink() const { return S_ISLNK(status_.st_mode); }
    // The path with all symlinks resolved: "/usr/lib", "/" for the root.
    const std::string& path() const { return path_; }
    // Directories only: O_PATH descriptor of the topmost layer's.
    int fd() const {
      CHECK(is_directory());
      return top_->get();
    }

   private:
    friend class LayerView;
    // Below directory(): what is no directory has no descriptor until it is read.
    const char* name() const { return path_.c_str() + path_.rfind('/') + 1; }
    int directory() const { return top_->get(); }
    size_t layers() const { return top_ ? 1 + below_.size() : 0; }
    const std::shared_ptr<Fd>& layer(size_t index) const { return index == 0 ? top_ : below_[index - 1]; }
    void add_layer(std::shared_ptr<Fd> fd) { top_ ? below_.push_back(std::move(fd)) : void(top_ = std::move(fd)); }

    struct stat status_ {};
    std::string path_;
    // A directory: of every layer that takes part, topmost first. All else: of the directory that it is in.
    std::shared_ptr<Fd> top_;
    std::vector<std::shared_ptr<Fd>> below_;
  };

  // Topmost first, as overlayfs's lowerdir.
  static Result<LayerView> open(const std::vector<std::filesystem::path>& directories);

  const Node& root() const { return root_; }
  // The entry of that name (no slash), nothing if there is none.
  Result<std::optional<Node>> child(const Node& directory, const std::string& name) const;
  // The same into a node that serves for one name after the other; false if there is none of that name.
  Result<bool> look_up(const Node& directory, const std::string& name, Node& node) const;
  // Names in a directory, sorted, without whiteouts.
  Result<std::vector<std::string>> names(const Node& directory) const;

  enum class LastLink { follow, keep };
  // Resolves a path ("/" or relative to the root means the same) with all symlinks taken within the tree.
  // Nothing if it does not exist or a non-directory is in its way. Errors: ELOOP after 40 links.
  Result<std::optional<Node>> find(const std::string& path, LastLink last = LastLink::follow) const;

  // The topmost layer's own entries, whiteouts as they are: for making a tar of one layer.
  static Result<std::vector<std::string>> raw_names(const Node& directory);
  static Result<Node> raw_child(const Node& directory, const std::string& name);

  static Result<Fd> open_file(const Node& file);  // a regular file, for reading
  static Result<std::string> read_link(const Node& link);
  // Small text files, as /etc/passwd; "" if missing.
  Result<std::string> read_text(const std::string& path, size_t limit = 1 << 20) const;
  // All extended attributes but overlayfs's own, sorted by name.
  static Result<std::vector<std::pair<std::string, std::string>>> xattrs(const Node& node);

 private:
  Node root_;
};

// "/" and "a" → "/a"
std::string child_path(const std::string& directory, const std::string& name);

inline constexpr int kMostLinks = 40;  // on the way to a file, as the kernel's

// "/proc/self/fd/N": names an O_PATH descriptor's file for calls that want a path.
std::string fd_path(int fd);
// Whether the directory has overlayfs's mark that hides all below.
bool is_opaque(int directory_fd);
bool is_whiteout(const struct stat& status);

// Name → value of the extended attributes of what `fd` stands for (O_PATH will do) except trusted.overlay.*, sorted. Symlinks
// (which can only have security.* and trusted.*) count as having none.
Result<std::vector<std::pair<std::string, std::string>>> read_xattrs(int fd, const struct stat& status);

}  // namespace gantry::engine
