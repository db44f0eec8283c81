#include "engine/container/file_changes.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <set>

#include "base/beneath.h"
#include "engine/image/layer_view.h"

namespace gantry::engine {
namespace {

// What every container's sandbox mounts. Deepest first, so that a directory comes after what is in it.
constexpr const char* kMountPlaces[] = {"/etc/hostname", "/etc/hosts", "/etc/resolv.conf", "/dev/console", "/dev/mqueue",
                                        "/dev/pts",      "/dev/shm",   "/dev",             "/proc",        "/sys",
                                        "/.dockerenv"};
constexpr const char* kParentsOfPlaces[] = {"/etc", "/dev", "/"};

bool is_mount_place(const std::string& path) {
  return std::find(std::begin(kMountPlaces), std::end(kMountPlaces), path) != std::end(kMountPlaces);
}

bool has_mount_places(const std::string& path) {
  return std::find(std::begin(kParentsOfPlaces), std::end(kParentsOfPlaces), path) != std::end(kParentsOfPlaces);
}

bool same_attributes(const struct stat& a, const struct stat& b) {
  return a.st_mode == b.st_mode && a.st_uid == b.st_uid && a.st_gid == b.st_gid && a.st_mtim.tv_sec == b.st_mtim.tv_sec &&
         a.st_mtim.tv_nsec == b.st_mtim.tv_nsec;
}

class Comparison {
 public:
  Comparison(const LayerView& below) : below_(below) {}

  Result<> directory(const LayerView::Node& upper, const std::optional<LayerView::Node>& lower, const std::string& path) {
    const bool hides = is_opaque(upper.fd());
    std::set<std::string> kept;
    for (const std::string& name : TRY(LayerView::raw_names(upper))) {
      kept.insert(name);
      std::optional<LayerView::Node> before;
      if (lower) before = TRY(below_.child(*lower, name));
      TRY(entry(TRY(LayerView::raw_child(upper, name)), before, path + "/" + name, hides));
    }
    // Removed and made again: what it had before and has no more is gone.
    if (!hides || !lower) return {};
    for (const std::string& name : TRY(below_.names(*lower))) {
      if (!kept.contains(name)) add(path + "/" + name, FileChange::Kind::deleted);
    }
    return {};
  }

  std::vector<FileChange> take() {
    std::sort(changes_.begin(), changes_.end(), [](const auto& a, const auto& b) { return a.path < b.path; });
    return std::move(changes_);
  }

 private:
  void add(const std::string& path, FileChange::Kind kind) { changes_.push_back({.path = path, .kind = kind}); }

  Result<> entry(const LayerView::Node& node, const std::optional<LayerView::Node>& before, const std::string& path,
                 bool hidden) {
    if (is_whiteout(node.status())) {
      if (before) add(path, FileChange::Kind::deleted);
      return {};
    }
    const auto kind = before && !hidden ? FileChange::Kind::modified : FileChange::Kind::added;
    if (!node.is_directory()) {
      const bool place = is_mount_place(path) && !before && node.status().st_size == 0;
      if (!place) add(path, kind);
      return {};
    }
    const size_t already = changes_.size();
    const bool before_is_directory = before && before->is_directory();
    TRY(directory(node, before_is_directory ? before : std::nullopt, path));
    bool changed = changes_.size() > already;
    if (!before_is_directory) {
      changed = changed || !(is_mount_place(path) || has_mount_places(path));
    } else if (!has_mount_places(path)) {
      changed = changed || !same_attributes(node.status(), before->status());
    }
    if (changed) add(path, kind);
    return {};
  }

  const LayerView& below_;
  std::vector<FileChange> changes_;
};

}  // namespace

Result<std::vector<FileChange>> file_changes(const std::filesystem::path& upper,
                                             const std::vector<std::filesystem::path>& layers) {
  const LayerView below = TRY(LayerView::open(layers));
  const LayerView own = TRY(LayerView::open({upper}));
  Comparison comparison(below);
  TRY(comparison.directory(own.root(), below.root(), ""));
  return comparison.take();
}

Result<> remove_mount_places(int upper, const std::vector<std::filesystem::path>& layers) {
  const LayerView below = TRY(LayerView::open(layers));
  for (const char* path : kMountPlaces) {
    if (TRY(below.find(path, LayerView::LastLink::keep)).has_value()) continue;
    const std::filesystem::path place(path);
    const Result<Fd> parent = open_without_links(upper, place.parent_path().native(), O_PATH | O_DIRECTORY);
    if (!parent.ok()) continue;
    const std::string name = place.filename().native();
    struct stat status {};
    if (::fstatat(parent->get(), name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) continue;
    const bool empty_file = S_ISREG(status.st_mode) && status.st_size == 0;
    const int flags = S_ISDIR(status.st_mode) ? AT_REMOVEDIR : 0;
    if (!empty_file && flags == 0) continue;
    // A directory that holds something stays: somebody has put it there.
    if (::unlinkat(parent->get(), name.c_str(), flags) != 0 && errno != ENOTEMPTY) {
      return Error::from_errno(errno, "unlink", path);
    }
  }
  return {};
}

}  // namespace gantry::engine
