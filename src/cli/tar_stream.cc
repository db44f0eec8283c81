#include "cli/tar_stream.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "cli/local_files.h"

namespace gantry::cli {

namespace fs = std::filesystem;

namespace {

constexpr size_t kPiece = size_t{256} << 10;
constexpr size_t kDeepestDirectory = 512;

TarItem item_of(const fs::path& path, const std::string& name, const struct stat& status, TarEntry::Kind kind,
                const TreeRules& rules) {
  TarItem item{.header = {.path = name,
                          .kind = kind,
                          .mode = static_cast<uint32_t>(status.st_mode & 07777),
                          .size = kind == TarEntry::Kind::file ? static_cast<uint64_t>(status.st_size) : 0,
                          .modified = status.st_mtime,
                          .target = {}},
               .source = path,
               .content = {}};
  if (rules.keep_owner) {
    item.header.uid = status.st_uid;
    item.header.gid = status.st_gid;
  }
  return item;
}

Result<> add_tree(const fs::path& path, const std::string& name, const TreeRules& rules, size_t depth,
                  std::vector<TarItem>& items) {
  if (depth > kDeepestDirectory) return invalid(path.string() + ": directories are nested too deeply");
  auto item = TRY(single_item(path, name, rules));
  if (!item) return {};
  const bool is_directory = item->header.kind == TarEntry::Kind::directory;
  if (depth > 0 || !rules.only_content || !is_directory) items.push_back(*std::move(item));
  if (!is_directory) return {};
  TreeRules below = rules;
  below.follow_link = false;
  for (const std::string& child : TRY(names_in(path, "reading the directory"))) {
    TRY(add_tree(path / child, name.empty() ? child : name + "/" + child, below, depth + 1, items));
  }
  return {};
}

}  // namespace

Result<std::string> TarStream::next() {
  if (content_left_ > 0) return next_content();
  if (ended_) return std::string();
  // Small entries share a piece.
  std::string piece;
  while (piece.size() < kPiece) {
    if (next_item_ == items_.size()) {
      ended_ = true;
      return piece + tar_end();
    }
    const TarItem& item = items_[next_item_++];
    piece += tar_header(item.header);
    if (item.source.empty()) {
      piece += item.content + tar_padding(item.content.size());
    } else if (item.header.size > 0) {
      open_file_ = TRY(gantry::open_file(item.source, O_RDONLY | O_NOFOLLOW).within(what_));
      content_left_ = item.header.size;
      if (content_left_ > kPiece) break;
      piece += TRY(next_content());
    }
  }
  return piece;
}

Result<std::string> TarStream::next_content() {
  const TarItem& item = items_[next_item_ - 1];
  std::string piece(static_cast<size_t>(std::min<uint64_t>(content_left_, kPiece)), '\0');
  size_t got = 0;
  while (got < piece.size()) {
    const ssize_t count = ::read(open_file_.get(), piece.data() + got, piece.size() - got);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return Error::from_errno(errno, "reading the " + what_, item.source.string());
    if (count == 0) return conflict(what_ + ": " + item.source.string() + " became shorter while it was read");
    got += static_cast<size_t>(count);
  }
  content_left_ -= piece.size();
  if (content_left_ == 0) piece += tar_padding(item.header.size);
  return piece;
}

Result<std::optional<TarItem>> single_item(const fs::path& path, const std::string& name, const TreeRules& rules) {
  struct stat status {};
  fs::path source = path;
  if (rules.follow_link) {
    std::error_code problem;
    const fs::path real = fs::canonical(path, problem);
    if (!problem) source = real;
  }
  if (::lstat(source.c_str(), &status) != 0) {
    if (errno == ENOENT || errno == ENOTDIR) return std::optional<TarItem>();
    return Error::from_errno(errno, "lstat", source.string());
  }
  using Made = std::optional<TarItem>;
  if (S_ISSOCK(status.st_mode)) return Made();
  if (S_ISREG(status.st_mode)) return Made(item_of(source, name, status, TarEntry::Kind::file, rules));
  if (S_ISDIR(status.st_mode)) return Made(item_of(source, name, status, TarEntry::Kind::directory, rules));
  if (!S_ISLNK(status.st_mode)) return invalid(source.string() + " is a device or a pipe, which cannot be copied");
  TarItem item = item_of(source, name, status, TarEntry::Kind::symlink, rules);
  item.header.target = TRY(link_target(source));
  return Made(std::move(item));
}

Result<std::vector<TarItem>> tree_items(const fs::path& path, const std::string& name, const TreeRules& rules) {
  std::vector<TarItem> items;
  TRY(add_tree(path, name, rules, 0, items));
  return items;
}

}  // namespace gantry::cli
