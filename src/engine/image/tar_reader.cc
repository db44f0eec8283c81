#include "engine/image/tar_reader.h"

#include <archive.h>
#include <archive_entry.h>
#include <locale.h>
#include <sys/stat.h>

#include "base/strings.h"

namespace gantry::engine {
namespace {

constexpr size_t kLongestPath = 4096;
constexpr size_t kMostXattrBytes = 1 << 20;

// libarchive translates PAX names (UTF-8) to the thread's character set and spoils them where that is ASCII.
class Utf8Locale {
 public:
  Utf8Locale() : before_(uselocale(utf8())) {}
  ~Utf8Locale() { uselocale(before_); }

 private:
  static locale_t utf8() {
    static const locale_t locale = newlocale(LC_CTYPE_MASK, "C.UTF-8", nullptr);
    return locale;  // null leaves the locale as it is
  }
  locale_t before_;
};

std::string text_of(const char* text) { return text == nullptr ? std::string() : std::string(text); }

TarEntry::Kind kind_of(archive_entry* entry) {
  if (archive_entry_hardlink(entry) != nullptr) return TarEntry::Kind::hard_link;
  switch (archive_entry_filetype(entry)) {
    case AE_IFREG:
      return TarEntry::Kind::file;
    case AE_IFDIR:
      return TarEntry::Kind::directory;
    case AE_IFLNK:
      return TarEntry::Kind::symlink;
    case AE_IFCHR:
      return TarEntry::Kind::character_device;
    case AE_IFBLK:
      return TarEntry::Kind::block_device;
    case AE_IFIFO:
      return TarEntry::Kind::fifo;
    default:
      return TarEntry::Kind::other;
  }
}

Result<> read_xattrs(archive_entry* entry, TarEntry& into) {
  size_t bytes = 0;
  archive_entry_xattr_reset(entry);
  const char* name = nullptr;
  const void* value = nullptr;
  size_t size = 0;
  while (archive_entry_xattr_next(entry, &name, &value, &size) == ARCHIVE_OK) {
    bytes += size;
    if (bytes > kMostXattrBytes) return invalid(gantry::quoted(into.path) + ": too many extended attributes");
    into.xattrs.emplace_back(text_of(name), std::string(static_cast<const char*>(value), size));
  }
  return {};
}

}  // namespace

struct TarReader::State {
  explicit State(ByteSource& source) : source(source), buffer(kTransferBuffer), content(*this) {}

  struct Content final : ByteSource {
    explicit Content(State& state) : state(state) {}
    Result<size_t> read(std::span<char> into) override {
      Utf8Locale locale;
      const la_ssize_t got = archive_read_data(state.reader.get(), into.data(), into.size());
      if (got < 0) return state.error();
      return static_cast<size_t>(got);
    }
    State& state;
  };

  static la_ssize_t on_read(archive* archive, void* self, const void** data) {
    auto* state = static_cast<State*>(self);
    Result<size_t> got = state->source.read(state->buffer);
    if (!got.ok()) {
      state->failure = std::move(got).error();
      archive_set_error(archive, EIO, "read failed");
      return -1;
    }
    *data = state->buffer.data();
    return static_cast<la_ssize_t>(*got);
  }

  Error error() const {
    if (failure.has_value()) return *failure;
    const std::string text = text_of(archive_error_string(reader.get()));
    return invalid(text.empty() ? "no tar archive" : "no proper tar archive: " + text);
  }

  Result<> open() {
    archive_read_support_format_tar(reader.get());
    archive_read_support_format_empty(reader.get());
    if (archive_read_open(reader.get(), this, nullptr, on_read, nullptr) != ARCHIVE_OK) return error();
    opened = true;
    return {};
  }

  struct Free {
    void operator()(archive* archive) const { archive_read_free(archive); }
  };
  ByteSource& source;
  std::vector<char> buffer;
  std::unique_ptr<archive, Free> reader{archive_read_new()};
  std::optional<Error> failure;
  Content content;
  bool opened = false;
};

TarReader::TarReader(ByteSource& source) : state_(std::make_unique<State>(source)) {}
TarReader::~TarReader() = default;

Result<std::optional<TarEntry>> TarReader::next() {
  Utf8Locale locale;
  if (!state_->opened) TRY(state_->open());
  archive_entry* found = nullptr;
  const int code = archive_read_next_header(state_->reader.get(), &found);
  if (code == ARCHIVE_EOF) return std::optional<TarEntry>();
  if (code != ARCHIVE_OK && code != ARCHIVE_WARN) return state_->error();
  TarEntry entry;
  entry.kind = kind_of(found);
  entry.path = text_of(archive_entry_pathname(found));
  entry.link_target =
      text_of(entry.kind == TarEntry::Kind::hard_link ? archive_entry_hardlink(found) : archive_entry_symlink(found));
  if (entry.path.empty()) return invalid("tar entry without a name");
  if (entry.path.size() > kLongestPath || entry.link_target.size() > kLongestPath) {
    return invalid("tar entry with a name of more than 4096 bytes: " + gantry::quoted(entry.path.substr(0, 100)) + "…");
  }
  entry.mode = archive_entry_perm(found);
  const auto uid = archive_entry_uid(found);
  const auto gid = archive_entry_gid(found);
  // -1 (and what wraps to it) would mean "leave as it is" to chown(2).
  if (uid < 0 || uid >= UINT32_MAX || gid < 0 || gid >= UINT32_MAX) {
    return invalid(gantry::quoted(entry.path) + ": owner " + std::to_string(uid) + ":" + std::to_string(gid) +
                   " is out of range");
  }
  entry.uid = static_cast<uid_t>(uid);
  entry.gid = static_cast<gid_t>(gid);
  entry.size = archive_entry_size(found) < 0 ? 0 : static_cast<uint64_t>(archive_entry_size(found));
  entry.modified = {.tv_sec = archive_entry_mtime(found), .tv_nsec = archive_entry_mtime_nsec(found)};
  entry.major = static_cast<unsigned>(archive_entry_rdevmajor(found));
  entry.minor = static_cast<unsigned>(archive_entry_rdevminor(found));
  TRY(read_xattrs(found, entry));
  return {std::move(entry)};
}

Result<std::optional<TarReader::Block>> TarReader::next_block() {
  Utf8Locale locale;
  const void* data = nullptr;
  size_t size = 0;
  la_int64_t offset = 0;
  const int code = archive_read_data_block(state_->reader.get(), &data, &size, &offset);
  if (code == ARCHIVE_EOF) return std::optional<Block>();
  if (code != ARCHIVE_OK && code != ARCHIVE_WARN) return state_->error();
  return {Block{.data = {static_cast<const char*>(data), size}, .offset = static_cast<uint64_t>(offset)}};
}

ByteSource& TarReader::content() { return state_->content; }

Result<std::vector<std::string>> cleaned_tar_path(const std::string& path) {
  std::vector<std::string> parts;
  if (path.find('\0') != std::string::npos) return invalid("invalid name in tar: " + gantry::quoted(path));
  for (std::string& part : split(path, '/')) {
    if (part.empty() || part == ".") continue;
    if (part != "..") {
      parts.push_back(std::move(part));
    } else if (parts.empty()) {
      return invalid("tar entry " + gantry::quoted(path) + " leads out of the archive");
    } else {
      parts.pop_back();
    }
  }
  return parts;
}

}  // namespace gantry::engine
