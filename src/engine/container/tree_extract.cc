// tree_copy.h's writing half. The tree belongs to whoever lives in it: nothing here trusts that a name is still what
// was made under it a moment ago.
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>
#include <map>

#include "base/beneath.h"
#include "base/strings.h"
#include "engine/container/tree_copy.h"
#include "engine/image/file_copy.h"
#include "engine/image/tar_reader.h"

namespace gantry::engine {
namespace {

class Extraction {
 public:
  Extraction(int root, std::string directory, ByteSource& tar, const ExtractOptions& options)
      : root_(root), directory_(std::move(directory)), tar_(tar), reader_(tar), options_(options) {}

  Result<> run() {
    for (;;) {
      const std::optional<TarEntry> entry = TRY(reader_.next());
      if (!entry) break;
      TRY(add(*entry).within(gantry::quoted(entry->path)));
    }
    TRY(drain(tar_));
    return set_directory_times();
  }

 private:
  std::string below(std::span<const std::string> parts) const { return directory_ + "/" + join(parts, "/"); }

  FileAttributes attributes_of(const TarEntry& entry) const {
    return {.mode = entry.mode,
            .uid = options_.owner ? options_.owner->first : entry.uid,
            .gid = options_.owner ? options_.owner->second : entry.gid,
            .modified = entry.modified,
            .xattrs = entry.xattrs};
  }

  // Made where missing; symlinks on the way lead to where they lead in the container.
  Result<Fd> open_parent(std::span<const std::string> parts) {
    Result<Fd> parent = open_in_root(root_, below(parts), O_PATH | O_DIRECTORY);
    if (parent.ok() || parent.error().errno_value() != ENOENT || parts.empty()) return parent;
    const Fd above = TRY(open_parent(parts.first(parts.size() - 1)));
    if (::mkdirat(above.get(), parts.back().c_str(), 0755) != 0 && errno != EEXIST) {
      return Error::from_errno(errno, "mkdir", below(parts));
    }
    return open_in_root(root_, below(parts), O_PATH | O_DIRECTORY);
  }

  Result<> add(const TarEntry& entry) {
    std::vector<std::string> parts = TRY(cleaned_tar_path(entry.path));
    if (parts.empty()) return {};  // "./": the directory stays as it is
    const std::string name = parts.back();
    const std::string path = below(parts);
    parts.pop_back();
    const Fd parent = TRY(open_parent(parts));
    const bool is_directory = entry.kind == TarEntry::Kind::directory;
    if (TRY(make_room(parent.get(), name, path, is_directory))) return finish_directory(parent.get(), name, path, entry);
    switch (entry.kind) {
      case TarEntry::Kind::directory:
        if (::mkdirat(parent.get(), name.c_str(), 0700) != 0) return Error::from_errno(errno, "mkdir", path);
        return finish_directory(parent.get(), name, path, entry);
      case TarEntry::Kind::file:
        return add_file(parent.get(), name, entry);
      case TarEntry::Kind::symlink:
        TRY(create_symlink_at(parent.get(), name, entry.link_target));
        return finish_node(parent.get(), name, path, entry);
      case TarEntry::Kind::hard_link:
        return add_hard_link(parent.get(), name, path, entry);
      case TarEntry::Kind::fifo:
        TRY(create_node_at(parent.get(), name, S_IFIFO, 0));
        return finish_node(parent.get(), name, path, entry);
      case TarEntry::Kind::character_device:
      case TarEntry::Kind::block_device: {
        const mode_t type = entry.kind == TarEntry::Kind::character_device ? S_IFCHR : S_IFBLK;
        TRY(create_node_at(parent.get(), name, type, makedev(entry.major, entry.minor)));
        return finish_node(parent.get(), name, path, entry);
      }
      case TarEntry::Kind::other:
        break;
    }
    return invalid("it is of a kind that cannot be extracted");
  }

  // True: a directory is there and stays. Everything else in the way is removed, if the options let it.
  Result<bool> make_room(int parent, const std::string& name, const std::string& path, bool for_directory) {
    struct stat status {};
    if (::fstatat(parent, name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) {
      if (errno == ENOENT) return false;
      return Error::from_errno(errno, "stat", path);
    }
    const bool is_directory = S_ISDIR(status.st_mode);
    if (is_directory && for_directory) return true;
    if (options_.keep_kinds && is_directory != for_directory) {
      return is_directory ? invalid("cannot overwrite directory " + gantry::quoted(path) + " with non-directory")
                          : invalid("cannot overwrite non-directory " + gantry::quoted(path) + " with directory");
    }
    TRY(remove_at(parent, name));
    return false;
  }

  Result<> add_file(int parent, const std::string& name, const TarEntry& entry) {
    const Fd file = TRY(create_file_at(parent, name));
    for (;;) {
      const std::optional<TarReader::Block> block = TRY(reader_.next_block());
      if (!block) break;
      TRY(write_at(file.get(), block->data, block->offset, name));
    }
    // A hole at the end has no block.
    if (entry.size > 0 && ::ftruncate(file.get(), static_cast<off_t>(entry.size)) != 0) {
      return Error::from_errno(errno, "ftruncate", name);
    }
    return set_attributes(file.get(), name, attributes_of(entry));
  }

  static Result<> write_at(int file, std::span<const char> data, uint64_t offset, const std::string& name) {
    while (!data.empty()) {
      const ssize_t written = ::pwrite(file, data.data(), data.size(), static_cast<off_t>(offset));
      if (written < 0 && errno == EINTR) continue;
      if (written < 0) return Error::from_errno(errno, "write", name);
      data = data.subspan(static_cast<size_t>(written));
      offset += static_cast<uint64_t>(written);
    }
    return {};
  }

  Result<> add_hard_link(int parent, const std::string& name, const std::string& path, const TarEntry& entry) {
    std::vector<std::string> parts = TRY(cleaned_tar_path(entry.link_target));
    if (parts.empty()) return invalid("hard link to " + gantry::quoted(entry.link_target));
    const std::string target = parts.back();
    parts.pop_back();
    const Fd from = TRY(open_in_root(root_, below(parts), O_PATH | O_DIRECTORY));
    if (::linkat(from.get(), target.c_str(), parent, name.c_str(), 0) != 0) return Error::from_errno(errno, "link", path);
    return {};
  }

  Result<> finish_directory(int parent, const std::string& name, const std::string& path, const TarEntry& entry) {
    const Fd made = TRY(open_at(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
    const FileAttributes attributes = attributes_of(entry);
    TRY(set_attributes(made.get(), path, attributes));
    directory_times_[path] = attributes.modified;
    return {};
  }

  // A node just made, or what has been put in its place: by an O_PATH descriptor, so that nothing is followed.
  Result<> finish_node(int parent, const std::string& name, const std::string& path, const TarEntry& entry) {
    const Fd node(::openat(parent, name.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
    struct stat status {};
    if (!node || ::fstat(node.get(), &status) != 0) return Error::from_errno(errno, "open", path);
    const FileAttributes attributes = attributes_of(entry);
    if (::fchownat(node.get(), "", attributes.uid, attributes.gid, AT_EMPTY_PATH) != 0) {
      return Error::from_errno(errno, "chown", path);
    }
    const bool is_link = S_ISLNK(status.st_mode);
    if (!is_link && ::chmod(fd_path(node.get()).c_str(), attributes.mode) != 0) {
      return Error::from_errno(errno, "chmod", path);
    }
    const timespec times[2] = {attributes.modified, attributes.modified};
    // Kernels before 5.8 do not take a descriptor alone here; a time is not worth a failure.
    (void)::utimensat(node.get(), "", times, AT_EMPTY_PATH);
    return {};
  }

  // Making what is in a directory has changed its time.
  Result<> set_directory_times() {
    for (const auto& [path, time] : directory_times_) {
      const Result<Fd> directory = open_in_root(root_, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
      if (!directory.ok()) continue;
      const timespec times[2] = {time, time};
      if (::futimens(directory->get(), times) != 0) return Error::from_errno(errno, "futimens", path);
    }
    return {};
  }

  const int root_;
  const std::string directory_;
  ByteSource& tar_;
  TarReader reader_;
  const ExtractOptions& options_;
  std::map<std::string, timespec> directory_times_;
};

std::string small_text(int root, const std::string& path) {
  const Result<Fd> place = open_in_root(root, path, O_PATH);
  struct stat status {};
  // Only a real file: opening a fifo would wait.
  if (!place.ok() || ::fstat(place->get(), &status) != 0 || !S_ISREG(status.st_mode)) return {};
  const Fd file(::open(fd_path(place->get()).c_str(), O_RDONLY | O_CLOEXEC));
  if (!file) return {};
  return read_all(file.get(), 1 << 20).value_or("");
}

// The line of a passwd or group file that has the text in that field.
std::optional<std::vector<std::string>> line_of(const std::string& text, const std::string& name, size_t key) {
  for (const std::string& line : split(text, '\n')) {
    std::vector<std::string> fields = split(line, ':');
    if (fields.size() > key && fields[key] == name) return fields;
  }
  return std::nullopt;
}

}  // namespace

Result<> extract_tree(int root, const std::string& directory, ByteSource& tar, const ExtractOptions& options) {
  return Extraction(root, directory, tar, options).run();
}

Result<std::pair<uid_t, gid_t>> look_up_owner(int root, const std::string& user) {
  const size_t colon = user.find(':');
  const std::string name = user.substr(0, colon);
  const std::string group = colon == std::string::npos ? "" : user.substr(colon + 1);
  const std::string passwd = small_text(root, "/etc/passwd");
  const std::optional<uint64_t> number = parse_unsigned(name);
  std::optional<std::vector<std::string>> line = line_of(passwd, name, 0);
  if (!line && number) line = line_of(passwd, name, 2);
  std::optional<uint64_t> uid = number;
  std::optional<uint64_t> gid = number ? std::optional<uint64_t>(0) : std::nullopt;
  if (line && line->size() >= 4) {
    if (!uid) uid = parse_unsigned((*line)[2]);
    gid = parse_unsigned((*line)[3]);
  }
  if (!uid || *uid >= UINT32_MAX) return invalid("unable to find user " + name + ": no matching entries in passwd file");
  if (!group.empty()) {
    gid = parse_unsigned(group);
    if (const auto found = line_of(small_text(root, "/etc/group"), group, 0); found && found->size() >= 3) {
      gid = parse_unsigned((*found)[2]);
    }
    if (!gid) return invalid("unable to find group " + group + ": no matching entries in group file");
  }
  if (!gid || *gid >= UINT32_MAX) return invalid("user " + name + " has no valid group");
  return std::pair(static_cast<uid_t>(*uid), static_cast<gid_t>(*gid));
}

}  // namespace gantry::engine
