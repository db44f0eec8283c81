#include "cli/tar_extract.h"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <optional>
#include <thread>

#include "base/fd.h"
#include "base/scope_exit.h"

namespace gantry::cli {

namespace {

constexpr size_t kWritePiece = size_t{64} << 10;

struct Source {
  const std::function<Result<std::string>()>& next;
  std::string piece;
  std::optional<Error> error;
};

la_ssize_t read_piece(archive*, void* data, const void** buffer) {
  auto& source = *static_cast<Source*>(data);
  auto piece = source.next();
  if (!piece.ok()) {
    source.error = std::move(piece).error();
    return -1;
  }
  source.piece = *std::move(piece);
  *buffer = source.piece.data();
  return static_cast<la_ssize_t>(source.piece.size());
}

// "web/a/b" with root "x" → "x/a/b"; "" for the root itself when it is dropped.
std::string renamed(std::string_view name, const ExtractRules& rules) {
  const std::string& root = rules.root_name;
  while (name.starts_with("./")) name.remove_prefix(2);
  while (name.ends_with('/')) name.remove_suffix(1);
  if (rules.keeps_names) return name == "." ? "" : std::string(name);
  const size_t slash = name.find('/');
  const std::string rest = slash == std::string_view::npos ? "" : std::string(name.substr(slash + 1));
  if (root.empty()) return rest;
  return rest.empty() ? root : root + "/" + rest;
}

Error problem_of(archive* reader, const Source& source) {
  if (source.error) return *source.error;
  const char* text = archive_error_string(reader);
  return internal_error(std::string("unpacking: ") + (text == nullptr ? "unknown error" : text));
}

Result<> copy_content(archive* reader, archive* writer, const Source& source) {
  for (;;) {
    const void* block = nullptr;
    size_t size = 0;
    la_int64_t offset = 0;
    const int got = archive_read_data_block(reader, &block, &size, &offset);
    if (got == ARCHIVE_EOF) return {};
    if (got < ARCHIVE_WARN) return problem_of(reader, source);
    if (archive_write_data_block(writer, block, size, offset) < ARCHIVE_WARN) return problem_of(writer, source);
  }
}

Result<> extract_all(archive* reader, archive* writer, const ExtractRules& rules, const Source& source) {
  for (;;) {
    archive_entry* entry = nullptr;
    const int got = archive_read_next_header(reader, &entry);
    if (got == ARCHIVE_EOF) return {};
    if (got < ARCHIVE_WARN) return problem_of(reader, source);
    const std::string name = renamed(archive_entry_pathname(entry), rules);
    if (name.empty()) continue;
    archive_entry_set_pathname(entry, name.c_str());
    if (const char* link = archive_entry_hardlink(entry)) {
      archive_entry_set_hardlink(entry, renamed(link, rules).c_str());
    }
    if (archive_write_header(writer, entry) < ARCHIVE_WARN) return problem_of(writer, source);
    TRY(copy_content(reader, writer, source));
    if (archive_write_finish_entry(writer) < ARCHIVE_WARN) return problem_of(writer, source);
  }
}

}  // namespace

Result<> extract_tar(const std::string& directory, const ExtractRules& rules,
                     const std::function<Result<std::string>()>& next) {
  // Names are relative to the working directory: so that links on the way to the directory are the user's, and none
  // below it is followed.
  const Fd before(::open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (::chdir(directory.c_str()) != 0) return Error::from_errno(errno, "chdir", directory);
  ScopeExit back([&] {
    if (before.get() >= 0) (void)!::fchdir(before.get());
  });
  Source source{.next = next, .piece = {}, .error = {}};
  const std::unique_ptr<archive, int (*)(archive*)> reader(archive_read_new(), archive_read_free);
  const std::unique_ptr<archive, int (*)(archive*)> writer(archive_write_disk_new(), archive_write_free);
  archive_read_support_format_tar(reader.get());
  int flags = ARCHIVE_EXTRACT_TIME | ARCHIVE_EXTRACT_PERM | ARCHIVE_EXTRACT_SECURE_SYMLINKS |
              ARCHIVE_EXTRACT_SECURE_NODOTDOT | ARCHIVE_EXTRACT_SECURE_NOABSOLUTEPATHS | ARCHIVE_EXTRACT_UNLINK;
  if (rules.keep_owner) flags |= ARCHIVE_EXTRACT_OWNER;
  archive_write_disk_set_options(writer.get(), flags);
  if (archive_read_open(reader.get(), &source, nullptr, read_piece, nullptr) != ARCHIVE_OK) {
    return problem_of(reader.get(), source);
  }
  TRY(extract_all(reader.get(), writer.get(), rules, source));
  if (archive_write_close(writer.get()) < ARCHIVE_WARN) return problem_of(writer.get(), source);
  return {};
}

Result<std::string> read_some(int fd) {
  std::string piece(kWritePiece, '\0');
  for (;;) {
    const ssize_t got = ::read(fd, piece.data(), piece.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return Error::from_errno(errno, "read");
    piece.resize(static_cast<size_t>(got));
    return piece;
  }
}

// The stream comes by callbacks and is unpacked by a reader: a pipe and a thread in between.
Result<uint64_t> extract_answer(client::ApiClient& api, const std::string& request, const std::string& directory,
                                const ExtractRules& rules) {
  Pipe pipe = TRY(make_pipe(O_CLOEXEC));
  Result<> sent;
  uint64_t received = 0;  // the thread's
  std::thread sender([&, write = std::move(pipe.write)]() mutable {
    sent = api.stream_bytes("GET", request, "", [&](std::string_view bytes) {
      received += bytes.size();
      return write_all(write.get(), bytes).ok();
    });
    write = Fd();
  });
  auto unpacked = extract_tar(directory, rules, [&pipe] { return read_some(pipe.read.get()); });
  pipe.read = Fd();
  sender.join();
  TRY(std::move(sent));
  TRY(std::move(unpacked));
  return received;
}

}  // namespace gantry::cli
