#include "engine/image/unpack.h"

#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>

#include "base/beneath.h"
#include "base/strings.h"
#include "engine/image/file_copy.h"
#include "engine/image/tar_reader.h"

namespace gantry::engine {
namespace {

constexpr std::string_view kWhiteout = ".wh.";
constexpr std::string_view kWhiteoutMeta = ".wh..wh.";
constexpr std::string_view kOpaqueMark = ".wh..wh..opq";

std::string path_of(std::span<const std::string> parts) { return join(parts, "/"); }

class Unpacker {
 public:
  Unpacker(ByteSource& tar, int root, const UnpackOptions& options)
      : tar_(tar), reader_(tar), root_(root), options_(options), may_chown_(geteuid() == 0) {}

  Result<Unpacked> run() {
    while (true) {
      if (options_.cancelled && options_.cancelled()) return Error(Code::cancelled, "cancelled");
      std::optional<TarEntry> entry = TRY(reader_.next());
      if (!entry.has_value()) break;
      if (++done_.entries > options_.limits.entries) {
        return invalid("tar with more than " + std::to_string(options_.limits.entries) + " entries");
      }
      TRY(add(*entry).within(gantry::quoted(entry->path)));
    }
    TRY(drain(tar_));
    TRY(remove_needless_whiteouts());
    TRY(set_directory_times());
    return done_;
  }

 private:
  bool is_layer() const { return options_.form == UnpackOptions::Form::layer; }

  Result<> add(const TarEntry& entry) {
    std::vector<std::string> parts = TRY(cleaned_tar_path(entry.path));
    if (parts.empty()) return entry.kind == TarEntry::Kind::directory ? add_root(entry) : Result<>();
    const std::string name = std::move(parts.back());
    parts.pop_back();
    const int parent = TRY(open_parent(parts));
    if (is_layer() && name.starts_with(kWhiteout)) return add_whiteout(parent, path_of(parts), name, entry.modified);
    switch (entry.kind) {
      case TarEntry::Kind::directory:
        parts.push_back(name);
        return add_directory(parent, name, path_of(parts), entry);
      case TarEntry::Kind::file:
        return add_file(parent, name, entry);
      case TarEntry::Kind::symlink:
        TRY(create_symlink_at(parent, name, entry.link_target));
        parent_path_.clear();  // it may now lead elsewhere
        return finish_unopened(parent, name, entry);
      case TarEntry::Kind::hard_link:
        return add_hard_link(parent, name, entry);
      case TarEntry::Kind::character_device:
      case TarEntry::Kind::block_device:
        if (!is_layer()) return invalid("device nodes cannot be unpacked here");
        [[fallthrough]];
      case TarEntry::Kind::fifo: {
        const mode_t type = entry.kind == TarEntry::Kind::fifo           ? S_IFIFO
                            : entry.kind == TarEntry::Kind::block_device ? S_IFBLK
                                                                         : S_IFCHR;
        TRY(create_node_at(parent, name, type, makedev(entry.major, entry.minor)));
        return finish_unopened(parent, name, entry);
      }
      case TarEntry::Kind::other:
        break;
    }
    return invalid("unknown kind of tar entry");
  }

  FileAttributes attributes_of(const TarEntry& entry) const {
    FileAttributes attributes{
        .mode = entry.mode, .uid = entry.uid, .gid = entry.gid, .modified = entry.modified, .xattrs = entry.xattrs};
    if (options_.owner.has_value()) std::tie(attributes.uid, attributes.gid) = *options_.owner;
    if (!is_layer() && !may_chown_) {
      attributes.uid = geteuid();
      attributes.gid = getegid();
    }
    return attributes;
  }

  Result<> finish_unopened(int parent, const std::string& name, const TarEntry& entry) {
    return set_attributes_at(parent, name, attributes_of(entry));
  }

  Result<> add_root(const TarEntry& entry) {
    const Fd directory = TRY(open_at(root_, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    directory_times_.emplace_back(".", entry.modified);
    done_.has_root = true;
    return set_attributes(directory.get(), ".", attributes_of(entry));
  }

  // The directory that entries go into, made if the tar forgot it. Valid until the next call.
  Result<int> open_parent(const std::vector<std::string>& parts) {
    if (parts.empty()) {
      parent_path_.clear();
      return root_;
    }
    std::string path = path_of(parts);
    if (parent_ && path == parent_path_) return parent_.get();
    Result<Fd> found = open_in_root(root_, path, O_PATH | O_DIRECTORY);
    if (!found.ok()) {
      const int error = found.error().errno_value();
      if (error != ENOENT && error != ENOTDIR) return std::move(found).error();
      TRY(make_parents(parts));
      found = open_in_root(root_, path, O_PATH | O_DIRECTORY);
    }
    parent_ = TRY(std::move(found));
    parent_path_ = std::move(path);
    return parent_.get();
  }

  Result<> make_parents(const std::vector<std::string>& parts) {
    Fd at = TRY(open_in_root(root_, ".", O_PATH | O_DIRECTORY));
    for (size_t i = 0; i < parts.size(); ++i) {
      const std::string path = path_of(std::span(parts).first(i + 1));
      Result<Fd> next = open_in_root(root_, path, O_PATH | O_DIRECTORY);
      if (!next.ok()) {
        TRY(make_parent(at.get(), parts[i], path));
        next = open_in_root(root_, path, O_PATH | O_DIRECTORY);
      }
      at = TRY(std::move(next));
    }
    return {};
  }

  Result<> make_parent(int at, const std::string& name, const std::string& path) {
    const bool hides_lower = TRY(remove_whiteout(at, name));
    if (mkdirat(at, name.c_str(), 0755) != 0) return Error::from_errno(errno, "mkdirat", path);
    const Fd made = TRY(open_at(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (fchmod(made.get(), 0755) != 0) return Error::from_errno(errno, "fchmod", path);  // whatever the umask
    if (hides_lower) return mark_opaque(made.get());
    const std::optional<LayerView::Node> lower = TRY(find_below(path));
    if (!lower.has_value() || !lower->is_directory()) return {};
    const FileAttributes attributes = TRY(FileAttributes::of(*lower));
    directory_times_.emplace_back(path, attributes.modified);
    return set_attributes(made.get(), path, attributes);
  }

  Result<std::optional<LayerView::Node>> find_below(const std::string& path) {
    const LayerView* below = options_.below ? TRY(options_.below()) : nullptr;
    if (below == nullptr) return std::optional<LayerView::Node>();
    return below->find(path, LayerView::LastLink::keep);
  }

  // Whether there was one.
  Result<bool> remove_whiteout(int parent, const std::string& name) {
    struct stat status {};
    if (!is_layer() || fstatat(parent, name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) return false;
    if (!is_whiteout(status)) return false;
    if (unlinkat(parent, name.c_str(), 0) != 0) return Error::from_errno(errno, "unlinkat", name);
    return true;
  }

  Result<> mark_opaque(int directory) {
    if (setxattr(fd_path(directory).c_str(), "trusted.overlay.opaque", "y", 1, 0) == 0) return {};
    return Error::from_errno(errno, "setxattr trusted.overlay.opaque");
  }

  // A whiteout hides what lower layers have, not what this one has.
  // And only what there is: where overlayfs merges nothing, it would list a whiteout as a broken file.
  Result<> add_whiteout(int parent, const std::string& directory_path, const std::string& name, timespec modified) {
    if (name == kOpaqueMark) return mark_opaque(parent);
    if (name.starts_with(kWhiteoutMeta)) return {};  // aufs's own bookkeeping
    const std::string hidden = name.substr(kWhiteout.size());
    if (hidden.empty() || hidden == "." || hidden == "..") return invalid("invalid whiteout");
    struct stat status {};
    if (fstatat(parent, hidden.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0) {
      if (!S_ISDIR(status.st_mode)) return {};
      const Fd directory = TRY(open_at(parent, hidden, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
      return mark_opaque(directory.get());
    }
    const std::string path = directory_path.empty() ? hidden : directory_path + "/" + hidden;
    if (!TRY(find_below(path)).has_value()) return {};
    whiteouts_.push_back(path);
    TRY(create_node_at(parent, hidden, S_IFCHR, makedev(0, 0)));
    const timespec times[2] = {modified, modified};  // is told in the layer's tar
    if (utimensat(parent, hidden.c_str(), times, AT_SYMLINK_NOFOLLOW) != 0) return Error::from_errno(errno, "utimensat", path);
    return {};
  }

  // In an opaque directory (whose mark may come after its entries) and below, there is nothing left to hide.
  Result<> remove_needless_whiteouts() {
    for (const std::string& path : whiteouts_) {
      for (size_t slash = path.find('/'); slash != std::string::npos; slash = path.find('/', slash + 1)) {
        const Result<Fd> directory = open_in_root(root_, path.substr(0, slash), O_PATH | O_DIRECTORY);
        if (!directory.ok()) break;
        if (!is_opaque(directory->get())) continue;
        const Result<Fd> parent = open_in_root(root_, path.substr(0, path.rfind('/')), O_PATH | O_DIRECTORY);
        if (parent.ok()) TRY(remove_whiteout(parent->get(), path.substr(path.rfind('/') + 1)));
        break;
      }
    }
    return {};
  }

  Result<> add_directory(int parent, const std::string& name, const std::string& path, const TarEntry& entry) {
    bool hides_lower = false;
    if (mkdirat(parent, name.c_str(), 0700) != 0) {
      if (errno != EEXIST) return Error::from_errno(errno, "mkdirat", path);
      struct stat status {};
      if (fstatat(parent, name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) {
        return Error::from_errno(errno, "fstatat", path);
      }
      if (!S_ISDIR(status.st_mode)) {
        hides_lower = is_layer() && is_whiteout(status);
        parent_path_.clear();
        TRY(remove_at(parent, name));
        if (mkdirat(parent, name.c_str(), 0700) != 0) return Error::from_errno(errno, "mkdirat", path);
      }
    }
    const Fd directory = TRY(open_at(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (hides_lower) TRY(mark_opaque(directory.get()));
    directory_times_.emplace_back(path, entry.modified);
    return set_attributes(directory.get(), path, attributes_of(entry));
  }

  Result<> add_file(int parent, const std::string& name, const TarEntry& entry) {
    const Fd file = TRY(create_file_at(parent, name));
    uint64_t end = 0;
    while (true) {
      const std::optional<TarReader::Block> block = TRY(reader_.next_block());
      if (!block.has_value()) break;
      TRY(count(block->data.size()));
      TRY(write_at(file.get(), *block));
      end = block->offset + block->data.size();
    }
    if (end < entry.size && ftruncate(file.get(), static_cast<off_t>(entry.size)) != 0) {  // a hole at the end
      return Error::from_errno(errno, "ftruncate");
    }
    return set_attributes(file.get(), name, attributes_of(entry));
  }

  Result<> write_at(int file, const TarReader::Block& block) {
    size_t written = 0;
    while (written < block.data.size()) {
      const ssize_t got = pwrite(file, block.data.data() + written, block.data.size() - written,
                                 static_cast<off_t>(block.offset + written));
      if (got < 0 && errno != EINTR) return Error::from_errno(errno, "pwrite");
      if (got > 0) written += static_cast<size_t>(got);
    }
    return {};
  }

  Result<> count(uint64_t bytes) {
    done_.bytes += bytes;
    if (done_.bytes > options_.limits.bytes) {
      return invalid("tar holds more than " + std::to_string(options_.limits.bytes) + " bytes");
    }
    if (options_.cancelled && options_.cancelled()) return Error(Code::cancelled, "cancelled");
    return {};
  }

  Result<> add_hard_link(int parent, const std::string& name, const TarEntry& entry) {
    std::vector<std::string> target = TRY(cleaned_tar_path(entry.link_target));
    if (target.empty()) return invalid("hard link to " + gantry::quoted(entry.link_target));
    const std::string path = path_of(target);
    const std::string target_name = std::move(target.back());
    target.pop_back();
    Result<Fd> directory = open_in_root(root_, path_of(target), O_PATH | O_DIRECTORY);
    if (directory.ok()) {
      struct stat status {};
      if (fstatat(directory->get(), target_name.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0 && !is_whiteout(status)) {
        return link(directory->get(), target_name, parent, name);
      }
    }
    return copy_up(path, parent, name);
  }

  Result<> link(int from, const std::string& target, int parent, const std::string& name) {
    struct stat source {};
    struct stat existing {};
    if (fstatat(from, target.c_str(), &source, AT_SYMLINK_NOFOLLOW) == 0 &&
        fstatat(parent, name.c_str(), &existing, AT_SYMLINK_NOFOLLOW) == 0 && source.st_ino == existing.st_ino &&
        source.st_dev == existing.st_dev) {
      return {};  // a link to itself: removing the name first would lose the file
    }
    if (linkat(from, target.c_str(), parent, name.c_str(), 0) == 0) return {};
    if (errno == EEXIST) {
      TRY(remove_at(parent, name));
      if (linkat(from, target.c_str(), parent, name.c_str(), 0) == 0) return {};
    }
    return Error::from_errno(errno, "linkat", target);
  }

  // overlayfs has no hard links across layers: the new name gets a file of its own.
  Result<> copy_up(const std::string& path, int parent, const std::string& name) {
    const std::optional<LayerView::Node> lower = TRY(find_below(path));
    if (!lower.has_value() || lower->is_directory()) {
      return invalid("hard link to " + gantry::quoted(path) + ", which is not in the archive");
    }
    const FileAttributes attributes = TRY(FileAttributes::of(*lower));
    return count(TRY(copy_node(*TRY(options_.below()), *lower, parent, name, attributes)));
  }

  // Last of all, because writing into a directory changes its time.
  Result<> set_directory_times() {
    for (auto& [path, modified] : directory_times_) {
      const Result<Fd> directory = open_in_root(root_, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
      if (!directory.ok()) continue;  // replaced later in the same tar
      const timespec times[2] = {modified, modified};
      if (futimens(directory->get(), times) != 0) return Error::from_errno(errno, "futimens", path);
    }
    return {};
  }

  ByteSource& tar_;
  TarReader reader_;
  int root_;
  const UnpackOptions& options_;
  bool may_chown_;
  Unpacked done_;
  Fd parent_;
  std::string parent_path_;
  std::vector<std::pair<std::string, timespec>> directory_times_;
  std::vector<std::string> whiteouts_;
};

}  // namespace

Result<Unpacked> unpack(ByteSource& tar, int directory, const UnpackOptions& options) {
  return Unpacker(tar, directory, options).run();
}

}  // namespace gantry::engine
