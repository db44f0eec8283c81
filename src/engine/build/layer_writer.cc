#include "engine/build/layer_writer.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <ctime>

#include "base/strings.h"
#include "engine/image/layer_view.h"

namespace gantry::engine {
namespace {

timespec now() {
  timespec time{};
  clock_gettime(CLOCK_REALTIME, &time);
  return time;
}

}  // namespace

Result<LayerWriter> LayerWriter::open(const std::filesystem::path& upper,
                                      const std::vector<std::filesystem::path>& below) {
  Fd fd = TRY(open_file(upper, O_RDONLY | O_DIRECTORY));
  const LayerView tree = TRY(LayerView::open(below));
  TRY(set_attributes(fd.get(), upper.native(), TRY(FileAttributes::of(tree.root()))));
  std::vector<std::filesystem::path> all = {upper};
  all.insert(all.end(), below.begin(), below.end());
  return LayerWriter(TRY(LayerView::open(all)), std::move(fd));
}

Result<bool> LayerWriter::is_directory(const std::string& path) const {
  const std::optional<LayerView::Node> node = TRY(view_.find(path));
  return node.has_value() && node->is_directory();
}

Result<std::string> LayerWriter::make_directories(const std::string& path, Owner owner) {
  std::string here = "/";
  for (const std::string& name : split(path, '/')) {
    if (name.empty() || name == ".") continue;
    const std::string next = child_path(here, name);
    const std::optional<LayerView::Node> node = TRY(view_.find(next));
    if (node.has_value()) {
      if (!node->is_directory()) return invalid("cannot copy to non-directory: " + node->path());
      here = node->path();
      continue;
    }
    if (TRY(view_.find(next, LayerView::LastLink::keep)).has_value()) {
      return invalid("cannot copy to " + next + ": it is a symlink that leads nowhere");
    }
    const Fd parent = TRY(open_in_upper(here));
    if (mkdirat(parent.get(), name.c_str(), 0755) != 0) return Error::from_errno(errno, "mkdirat", next);
    const Fd made = TRY(open_at(parent.get(), name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
    TRY(set_attributes(made.get(), next,
                       {.mode = 0755, .uid = owner.uid, .gid = owner.gid, .modified = now(), .xattrs = {}}));
    here = next;
  }
  return here;
}

Result<std::string> LayerWriter::copy_directory(const std::string& path, Owner parents, FileAttributes attributes) {
  std::string resolved = TRY(make_directories(path, parents));
  (void)TRY(open_in_upper(resolved));
  late_.push_back({.path = resolved, .attributes = std::move(attributes)});
  return resolved;
}

// Directories that are only in the layers below are made here, too, with the attributes they have there.
Result<Fd> LayerWriter::open_in_upper(const std::string& resolved) {
  Fd here = TRY(upper_.duplicate());
  std::string path = "/";
  for (const std::string& name : split(resolved, '/')) {
    if (name.empty()) continue;
    path = child_path(path, name);
    const int next = openat(here.get(), name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (next >= 0) {
      here = Fd(next);
      continue;
    }
    if (errno != ENOENT) return Error::from_errno(errno, "openat", path);
    const std::optional<LayerView::Node> below = TRY(view_.find(path, LayerView::LastLink::keep));
    CHECK(below.has_value() && below->is_directory());
    if (mkdirat(here.get(), name.c_str(), 0700) != 0) return Error::from_errno(errno, "mkdirat", path);
    Fd made = TRY(open_at(here.get(), name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
    TRY(set_attributes(made.get(), path, TRY(FileAttributes::of(*below))));
    here = std::move(made);
  }
  return here;
}

// The directory's descriptor, kept for the next entry, once nothing is in the way of this one.
Result<int> LayerWriter::open_for_entry(const std::string& directory, const std::string& name) {
  if (!last_fd_ || last_directory_ != directory) {
    last_fd_ = TRY(open_in_upper(directory));
    last_node_ = TRY(view_.find(directory, LayerView::LastLink::keep));
    last_directory_ = directory;
  }
  CHECK(last_node_.has_value());
  const std::optional<LayerView::Node> there = TRY(view_.child(*last_node_, name));
  if (there.has_value() && there->is_directory()) {
    return invalid("cannot overwrite directory " + child_path(directory, name) + " with non-directory");
  }
  return last_fd_.get();
}

Result<> LayerWriter::copy(const LayerView& from, const LayerView::Node& node, const std::string& directory,
                           const std::string& name, const FileAttributes& attributes) {
  const int fd = TRY(open_for_entry(directory, name));
  TRY(copy_node(from, node, fd, name, attributes));
  return {};
}

Result<> LayerWriter::write(std::string_view content, const std::string& directory, const std::string& name,
                            const FileAttributes& attributes) {
  const int fd = TRY(open_for_entry(directory, name));
  const Fd file = TRY(create_file_at(fd, name));
  TRY(write_all(file.get(), content));
  return set_attributes(file.get(), name, attributes);
}

Result<> LayerWriter::finish() {
  for (auto late = late_.rbegin(); late != late_.rend(); ++late) {
    const Fd directory = TRY(open_in_upper(late->path));
    TRY(set_attributes(directory.get(), late->path, late->attributes));
  }
  late_.clear();
  return {};
}

}  // namespace gantry::engine
