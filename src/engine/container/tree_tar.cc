// tree_copy.h's reading half: looking up and writing tars.
#include <archive.h>
#include <archive_entry.h>
#include <dirent.h>
#include <locale.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <map>
#include <memory>
#include <set>
#include <vector>

#include "base/beneath.h"
#include "base/strings.h"
#include "engine/container/tree_copy.h"
#include "engine/image/layer_view.h"

namespace gantry::engine {
namespace {

struct AskedPath {
  std::vector<std::string> parts;  // lexically clean: how Docker reads paths in a container
  bool trailing_dot = false;
  bool trailing_slash = false;

  std::string text() const { return "/" + join(parts, "/"); }
  std::string parent() const { return "/" + join(std::span(parts).first(parts.size() - 1), "/"); }
};

AskedPath parse_path(const std::string& path) {
  AskedPath asked;
  asked.trailing_dot = path.ends_with("/.") || path == ".";
  asked.trailing_slash = path.ends_with('/');
  for (std::string& part : split(path, '/')) {
    if (part.empty() || part == ".") continue;
    if (part == "..") {
      if (!asked.parts.empty()) asked.parts.pop_back();
    } else {
      asked.parts.push_back(std::move(part));
    }
  }
  return asked;
}

Result<std::string> read_link(int link) {
  std::string target(4096, '\0');
  const ssize_t size = ::readlinkat(link, "", target.data(), target.size());
  if (size < 0) return Error::from_errno(errno, "readlink");
  target.resize(static_cast<size_t>(size));
  return target;
}

// Where a symlink leads in the end, or as far as it goes.
std::string final_target(int root, AskedPath at) {
  std::vector<std::string> done;
  std::vector<std::string> left(at.parts.rbegin(), at.parts.rend());
  for (int links = 0; !left.empty();) {
    const std::string part = left.back();
    left.pop_back();
    if (part.empty() || part == ".") continue;
    if (part == "..") {
      if (!done.empty()) done.pop_back();
      continue;
    }
    const std::string path = "/" + join(done, "/") + "/" + part;
    const Result<Fd> found = open_in_root(root, path, O_PATH | O_NOFOLLOW);
    struct stat status {};
    const bool is_link = found.ok() && ::fstat(found->get(), &status) == 0 && S_ISLNK(status.st_mode);
    const Result<std::string> target = is_link ? read_link(found->get()) : Result<std::string>(std::string());
    if (!is_link || !target.ok() || ++links > kMostLinks) {
      done.push_back(part);
      continue;
    }
    if (target->starts_with('/')) done.clear();
    const std::vector<std::string> more = split(*target, '/');
    left.insert(left.end(), more.rbegin(), more.rend());
  }
  return "/" + join(done, "/");
}

// A descriptor of what the path names. A symlink is kept unless the path ends in a slash.
Result<Fd> open_asked(int root, const AskedPath& asked, int flags) {
  const bool follow = asked.trailing_dot || asked.trailing_slash || asked.parts.empty();
  return open_in_root(root, asked.text(), flags | (follow ? 0 : O_NOFOLLOW));
}

// libarchive converts names by the thread's locale: they are bytes, or UTF-8.
class Utf8Names {
 public:
  Utf8Names() : before_(::uselocale(utf8())) {}
  ~Utf8Names() { ::uselocale(before_); }
  Utf8Names(const Utf8Names&) = delete;

 private:
  static locale_t utf8() {
    static const locale_t locale = ::newlocale(LC_CTYPE_MASK, "C.UTF-8", nullptr);
    return locale;
  }
  locale_t before_;
};

class TarWriter {
 public:
  explicit TarWriter(const TreeSink& sink) : sink_(sink), buffer_(kTransferBuffer) {
    archive_write_set_format_pax_restricted(archive_.get());
    archive_write_set_bytes_per_block(archive_.get(), 0);  // what is written goes out
    archive_write_open(archive_.get(), this, nullptr, on_write, nullptr);
  }

  // `name` of the directory entry and what stands before the names in it.
  Result<> directory(int fd, const struct stat& status, const std::string& name, const std::string& prefix) {
    if (!name.empty()) TRY(header(fd, status, name, {}));
    for (const std::string& child : TRY(names_of(fd))) {
      Result<> added = node(fd, child, prefix + child);
      // What has been deleted meanwhile was not to be had.
      if (!added.ok() && added.error().errno_value() != ENOENT) return added;
    }
    return {};
  }

  Result<> node(int parent, const std::string& name, const std::string& path) {
    const Fd place(::openat(parent, name.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
    if (!place) return Error::from_errno(errno, "open", path);
    struct stat status {};
    if (::fstat(place.get(), &status) != 0) return Error::from_errno(errno, "stat", path);
    if (S_ISDIR(status.st_mode)) {
      const Fd directory_fd(::openat(parent, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
      if (!directory_fd) return Error::from_errno(errno, "open", path);
      return directory(directory_fd.get(), status, path + "/", path + "/");
    }
    return leaf(place.get(), status, path);
  }

  // Anything but a directory; `place` is an O_PATH descriptor.
  Result<> leaf(int place, const struct stat& status, const std::string& path) {
    if (S_ISSOCK(status.st_mode)) return {};
    if (status.st_nlink > 1) {
      const auto [first, is_new] = names_.try_emplace({status.st_dev, status.st_ino}, path);
      if (!is_new) return header(place, status, path, first->second);
    }
    if (!S_ISREG(status.st_mode)) return header(place, status, path, {});
    // By the descriptor that was looked at: the name may be a fifo by now, and opening that would hang.
    const Fd file(::open(fd_path(place).c_str(), O_RDONLY | O_CLOEXEC));
    if (!file) return Error::from_errno(errno, "open", path);
    TRY(header(place, status, path, {}));
    return content(file.get(), static_cast<uint64_t>(status.st_size), path);
  }

  Result<> end() {
    Utf8Names names;
    if (archive_write_close(archive_.get()) == ARCHIVE_OK) return {};
    return failure();
  }

 private:
  static la_ssize_t on_write(archive* archive, void* self, const void* data, size_t size) {
    auto* writer = static_cast<TarWriter*>(self);
    Result<> sent = writer->sink_({static_cast<const char*>(data), size});
    if (sent.ok()) return static_cast<la_ssize_t>(size);
    writer->failure_ = std::move(sent).error();
    archive_set_error(archive, EIO, "write failed");
    return -1;
  }

  Error failure() const {
    if (failure_) return *failure_;
    const char* text = archive_error_string(archive_.get());
    return internal_error(std::string("writing a tar: ") + (text == nullptr ? "?" : text));
  }

  static Result<std::vector<std::string>> names_of(int directory) {
    Fd copy(::openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    DIR* stream = copy ? ::fdopendir(copy.get()) : nullptr;
    if (stream == nullptr) return Error::from_errno(errno, "read directory");
    copy.release();
    std::vector<std::string> names;
    while (const dirent* entry = ::readdir(stream)) {
      const std::string_view name = entry->d_name;
      if (name != "." && name != "..") names.emplace_back(name);
    }
    ::closedir(stream);
    std::sort(names.begin(), names.end());
    return names;
  }

  Result<> header(int place, const struct stat& status, const std::string& path, const std::string& hard_link) {
    entry_.reset(archive_entry_new());
    archive_entry* entry = entry_.get();
    archive_entry_copy_stat(entry, &status);
    archive_entry_copy_pathname(entry, path.c_str());
    archive_entry_unset_atime(entry);
    archive_entry_unset_ctime(entry);
    archive_entry_set_mtime(entry, status.st_mtim.tv_sec, 0);
    if (S_ISLNK(status.st_mode)) archive_entry_copy_symlink(entry, TRY(read_link(place)).c_str());
    if (!S_ISREG(status.st_mode)) archive_entry_set_size(entry, 0);
    if (!hard_link.empty()) {
      archive_entry_copy_hardlink(entry, hard_link.c_str());
      archive_entry_set_size(entry, 0);
    } else if (const auto xattrs = read_xattrs(place, status); xattrs.ok()) {
      for (const auto& [name, value] : *xattrs) {
        const bool kept = name.starts_with("user.") || name == "security.capability";
        if (kept) archive_entry_xattr_add_entry(entry, name.c_str(), value.data(), value.size());
      }
    }
    Utf8Names names;
    const int written = archive_write_header(archive_.get(), entry);
    if (written == ARCHIVE_OK || written == ARCHIVE_WARN) return {};
    return failure();
  }

  // Exactly `size` bytes, as the header says: a file that has shrunk is filled up with zeros by libarchive.
  Result<> content(int file, uint64_t size, const std::string& path) {
    for (uint64_t left = size; left > 0;) {
      const ssize_t got = ::read(file, buffer_.data(), std::min<uint64_t>(left, buffer_.size()));
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) return Error::from_errno(errno, "read", path);
      if (got == 0) return {};
      if (archive_write_data(archive_.get(), buffer_.data(), static_cast<size_t>(got)) < 0) return failure();
      left -= static_cast<uint64_t>(got);
    }
    return {};
  }

  struct Free {
    void operator()(archive* archive) const { archive_write_free(archive); }
    void operator()(archive_entry* entry) const { archive_entry_free(entry); }
  };
  const TreeSink& sink_;
  std::optional<Error> failure_;
  std::unique_ptr<archive, Free> archive_{archive_write_new()};
  std::unique_ptr<archive_entry, Free> entry_;
  std::vector<char> buffer_;
  std::map<std::pair<dev_t, ino_t>, std::string> names_;
};

uint64_t size_below(int directory, std::set<std::pair<dev_t, ino_t>>& seen) {
  uint64_t total = 0;
  Fd copy(::openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  DIR* stream = copy ? ::fdopendir(copy.get()) : nullptr;
  if (stream == nullptr) return 0;
  copy.release();
  while (const dirent* entry = ::readdir(stream)) {
    const std::string_view name = entry->d_name;
    struct stat status {};
    if (name == "." || name == "..") continue;
    if (::fstatat(directory, entry->d_name, &status, AT_SYMLINK_NOFOLLOW) != 0) continue;
    if (status.st_nlink > 1 && !S_ISDIR(status.st_mode) && !seen.insert({status.st_dev, status.st_ino}).second) continue;
    if (!S_ISDIR(status.st_mode)) {
      total += static_cast<uint64_t>(status.st_size);
      continue;
    }
    const Fd below(::openat(directory, entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (below) total += size_below(below.get(), seen);
  }
  ::closedir(stream);
  return total;
}

}  // namespace

Result<TreeEntry> look_up(int root, const std::string& path) {
  const AskedPath asked = parse_path(path);
  const Fd place = TRY(open_asked(root, asked, O_PATH));
  TreeEntry entry;
  if (::fstat(place.get(), &entry.status) != 0) return Error::from_errno(errno, "stat", path);
  // "/etc/hosts/": no directory.
  if ((asked.trailing_slash || asked.trailing_dot) && !S_ISDIR(entry.status.st_mode)) {
    return Error::from_errno(ENOTDIR, "stat", path);
  }
  entry.name = asked.parts.empty() ? "/" : asked.trailing_dot ? "." : asked.parts.back();
  if (S_ISLNK(entry.status.st_mode)) entry.link_target = final_target(root, asked);
  return entry;
}

Result<> write_tree_tar(int root, const std::string& path, const TreeSink& sink) {
  const TreeEntry entry = TRY(look_up(root, path));
  const AskedPath asked = parse_path(path);
  TarWriter writer(sink);
  const Fd place = TRY(open_asked(root, asked, O_PATH));
  if (S_ISDIR(entry.status.st_mode)) {
    const Fd directory = TRY(open_asked(root, asked, O_RDONLY | O_DIRECTORY));
    const std::string name = entry.name == "/" ? "/" : entry.name + "/";
    TRY(writer.directory(directory.get(), entry.status, name, name));
  } else {
    struct stat status {};
    if (::fstat(place.get(), &status) != 0) return Error::from_errno(errno, "stat", path);
    TRY(writer.leaf(place.get(), status, entry.name));
  }
  return writer.end();
}

Result<> write_whole_tar(int root, const TreeSink& sink) {
  struct stat status {};
  if (::fstat(root, &status) != 0) return Error::from_errno(errno, "stat", "/");
  TarWriter writer(sink);
  TRY(writer.directory(root, status, "", ""));
  return writer.end();
}

uint64_t tree_size(const std::string& directory) {
  std::set<std::pair<dev_t, ino_t>> seen;
  const Fd top(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  return top ? size_below(top.get(), seen) : 0;
}

}  // namespace gantry::engine
