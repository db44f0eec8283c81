#include "engine/image/layer_view.h"

#include <dirent.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <deque>
#include <iterator>

#include "base/strings.h"

namespace gantry::engine {
namespace {

constexpr const char* kOpaque = "trusted.overlay.opaque";
constexpr std::string_view kOverlayPrefix = "trusted.overlay.";

std::deque<std::string> names_to_walk(std::string_view path) {
  std::deque<std::string> parts;
  for (std::string& part : split(path, '/')) {
    if (!part.empty() && part != ".") parts.push_back(std::move(part));
  }
  return parts;
}

struct Listed {
  std::string name;
  unsigned char type = DT_UNKNOWN;
  friend bool operator<(const Listed& a, const Listed& b) { return a.name < b.name; }
};

// Without readdir(3), which asks and sets what it need not for each of thousands of small directories.
Result<std::vector<Listed>> list(int directory) {
  const Fd readable = TRY(open_at(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  std::vector<Listed> found;
  alignas(dirent64) char entries[32 * 1024];
  while (true) {
    const ssize_t size = getdents64(readable.get(), entries, sizeof entries);
    if (size < 0) return Error::from_errno(errno, "getdents64");
    if (size == 0) return found;
    for (ssize_t at = 0; at < size;) {
      const auto* entry = reinterpret_cast<const dirent64*>(entries + at);
      at += entry->d_reclen;
      const std::string_view name = entry->d_name;
      if (name != "." && name != "..") found.push_back({std::string(name), entry->d_type});
    }
  }
}

using Xattrs = std::vector<std::pair<std::string, std::string>>;

enum class Link { follow, keep };

Result<Xattrs> xattrs_at(const std::string& path, Link link) {
  Xattrs found;
  char names[64 * 1024];  // XATTR_LIST_MAX
  const bool follow = link == Link::follow;
  const ssize_t size = (follow ? listxattr : llistxattr)(path.c_str(), names, sizeof names);
  if (size < 0) {
    if (errno == ENOTSUP || errno == EPERM) return found;
    return Error::from_errno(errno, "listxattr", path);
  }
  if (size == 0) return found;
  std::vector<char> value(64 * 1024);  // XATTR_SIZE_MAX
  for (const char* name = names; name < names + size; name += strlen(name) + 1) {
    if (std::string_view(name).starts_with(kOverlayPrefix)) continue;
    const ssize_t length = (follow ? getxattr : lgetxattr)(path.c_str(), name, value.data(), value.size());
    if (length >= 0) found.emplace_back(name, std::string(value.data(), static_cast<size_t>(length)));
  }
  std::sort(found.begin(), found.end());
  return found;
}

}  // namespace

std::string child_path(const std::string& directory, const std::string& name) {
  return directory == "/" ? "/" + name : directory + "/" + name;
}

std::string fd_path(int fd) { return "/proc/self/fd/" + std::to_string(fd); }

bool is_whiteout(const struct stat& status) { return S_ISCHR(status.st_mode) && status.st_rdev == makedev(0, 0); }

bool is_opaque(int directory_fd) {
  char value = 0;
  return getxattr(fd_path(directory_fd).c_str(), kOpaque, &value, 1) == 1 && value == 'y';
}

Result<std::vector<std::pair<std::string, std::string>>> read_xattrs(int fd, const struct stat& status) {
  if (S_ISLNK(status.st_mode)) return Xattrs();
  return xattrs_at(fd_path(fd), Link::follow);  // flistxattr(2) refuses O_PATH descriptors
}

Result<LayerView> LayerView::open(const std::vector<std::filesystem::path>& directories) {
  LayerView view;
  CHECK(!directories.empty());
  for (const std::filesystem::path& directory : directories) {
    auto opened = std::make_shared<Fd>(TRY(gantry::open_file(directory, O_PATH | O_DIRECTORY | O_CLOEXEC)));
    view.root_.add_layer(opened);
    if (&directory != &directories.back() && is_opaque(opened->get())) break;
  }
  if (fstat(view.root_.top_->get(), &view.root_.status_) != 0)
    return Error::from_errno(errno, "fstat", directories.front().native());
  view.root_.path_ = "/";
  return view;
}

Result<std::optional<LayerView::Node>> LayerView::child(const Node& directory, const std::string& name) const {
  Node node;
  if (!TRY(look_up(directory, name, node))) return std::optional<Node>();
  return {std::move(node)};
}

Result<bool> LayerView::look_up(const Node& directory, const std::string& name, Node& node) const {
  node.path_ = directory.path_;
  if (node.path_ != "/") node.path_ += '/';
  node.path_ += name;
  node.below_.clear();
  bool found = false;
  for (size_t i = 0; i < directory.layers(); ++i) {
    const std::shared_ptr<Fd>& layer = directory.layer(i);
    struct stat status;
    if (fstatat(layer->get(), name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) {
      if (errno == ENOENT || errno == ENAMETOOLONG) continue;
      return Error::from_errno(errno, "fstatat", node.path_);
    }
    if (is_whiteout(status) || (found && !S_ISDIR(status.st_mode))) break;
    if (!found) node.status_ = status;
    if (!S_ISDIR(status.st_mode)) {
      if (node.top_ != layer) node.top_ = layer;
      return true;
    }
    auto opened = std::make_shared<Fd>(
        TRY(open_at(layer->get(), name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC).within(directory.path_)));
    const bool hides_the_rest = i + 1 < directory.layers() && is_opaque(opened->get());
    if (found) node.below_.push_back(std::move(opened));
    else node.top_ = std::move(opened);
    found = true;
    if (hides_the_rest) break;
  }
  return found;
}

// The topmost entry of a name decides: nothing is hidden but by a whiteout, which is a character device.
Result<std::vector<std::string>> LayerView::names(const Node& directory) const {
  std::vector<Listed> all;
  for (size_t i = 0; i < directory.layers(); ++i) {
    std::vector<Listed> found = TRY(list(directory.layer(i)->get()).within(directory.path_));
    if (i == 0) all = std::move(found);
    else all.insert(all.end(), std::make_move_iterator(found.begin()), std::make_move_iterator(found.end()));
  }
  if (directory.layers() == 1) {
    std::sort(all.begin(), all.end());
  } else {
    std::stable_sort(all.begin(), all.end());
    all.erase(std::unique(all.begin(), all.end(), [](const Listed& a, const Listed& b) { return a.name == b.name; }),
              all.end());
  }
  std::vector<std::string> names;
  names.reserve(all.size());
  for (Listed& entry : all) {
    const bool may_hide = entry.type == DT_CHR || entry.type == DT_UNKNOWN;
    if (may_hide && !TRY(child(directory, entry.name)).has_value()) continue;
    names.push_back(std::move(entry.name));
  }
  return names;
}

Result<std::vector<std::string>> LayerView::raw_names(const Node& directory) {
  std::vector<std::string> names;
  for (Listed& entry : TRY(list(directory.fd()).within(directory.path_))) names.push_back(std::move(entry.name));
  std::sort(names.begin(), names.end());
  return names;
}

Result<LayerView::Node> LayerView::raw_child(const Node& directory, const std::string& name) {
  Node node;
  node.path_ = child_path(directory.path_, name);
  if (fstatat(directory.fd(), name.c_str(), &node.status_, AT_SYMLINK_NOFOLLOW) != 0) {
    return Error::from_errno(errno, "fstatat", node.path_);
  }
  node.top_ = directory.top_;
  if (node.is_directory()) {
    node.top_ = std::make_shared<Fd>(
        TRY(open_at(directory.fd(), name, O_PATH | O_DIRECTORY | O_NOFOLLOW).within(directory.path_)));
  }
  return node;
}

Result<std::optional<LayerView::Node>> LayerView::find(const std::string& path, LastLink last) const {
  std::deque<std::string> rest = names_to_walk(path);
  std::vector<Node> way = {root_};  // for ".."
  int links = 0;
  while (!rest.empty()) {
    const std::string name = std::move(rest.front());
    rest.pop_front();
    if (!way.back().is_directory()) return std::optional<Node>();
    if (name == "..") {
      if (way.size() > 1) way.pop_back();
      continue;
    }
    std::optional<Node> next = TRY(child(way.back(), name));
    if (!next.has_value()) return std::optional<Node>();
    if (next->is_symlink() && (!rest.empty() || last == LastLink::follow)) {
      if (++links > kMostLinks) return Error::from_errno(ELOOP, "resolving", path);
      const std::string target = TRY(read_link(*next));
      if (target.starts_with('/')) way.resize(1);
      const std::deque<std::string> more = names_to_walk(target);
      rest.insert(rest.begin(), more.begin(), more.end());
      continue;
    }
    way.push_back(std::move(*next));
  }
  return {std::move(way.back())};
}

Result<Fd> LayerView::open_file(const Node& file) {
  CHECK(file.is_file());
  const int fd = openat(file.directory(), file.name(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return Error::from_errno(errno, "open", file.path());
  return Fd(fd);
}

Result<std::string> LayerView::read_link(const Node& link) {
  std::string target(4096, '\0');
  const ssize_t size = readlinkat(link.directory(), link.name(), target.data(), target.size());
  if (size < 0) return Error::from_errno(errno, "readlinkat", link.path());
  target.resize(static_cast<size_t>(size));
  return target;
}

Result<std::string> LayerView::read_text(const std::string& path, size_t limit) const {
  const std::optional<Node> node = TRY(find(path));
  if (!node.has_value() || !node->is_file()) return std::string();
  const Fd file = TRY(open_file(*node));
  return read_all(file.get(), limit).within(path);
}

Result<std::vector<std::pair<std::string, std::string>>> LayerView::xattrs(const Node& node) {
  if (node.is_symlink()) return Xattrs();
  const std::string directory = fd_path(node.directory());
  if (node.is_directory()) return xattrs_at(directory, Link::follow);
  return xattrs_at(directory + "/" + node.name(), Link::keep);
}

}  // namespace gantry::engine
