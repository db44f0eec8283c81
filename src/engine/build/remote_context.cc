#include "engine/build/remote_context.h"

#include <sys/stat.h>
#include <unistd.h>

#include "base/beneath.h"
#include "base/fd.h"
#include "base/remove_tree.h"
#include "engine/build/context_archive.h"
#include "engine/build/remote_source.h"
#include "engine/image/byte_source.h"

namespace gantry::engine {
namespace {

namespace fs = std::filesystem;

// Whether it begins as archives do, compressed or not.
Result<bool> is_archive(const fs::path& file) {
  const Fd opened = TRY(open_file(file, O_RDONLY));
  FdSource raw(opened.get());
  const Result<std::unique_ptr<ByteSource>> plain = decompressed(raw);
  if (!plain.ok()) return false;
  std::string head;
  char buffer[512];
  while (head.size() < sizeof buffer) {
    const Result<size_t> got = (*plain)->read(std::span(buffer).first(sizeof buffer - head.size()));
    if (!got.ok() || *got == 0) break;
    head.append(buffer, *got);
  }
  constexpr size_t kMagicAt = 257;
  return head.size() > kMagicAt + 5 && head.compare(kMagicAt, 5, "ustar") == 0;
}

Result<> take_file(const RemoteSource& source, const fs::path& directory, const CancelCheck& cancelled) {
  const fs::path fetched = directory.native() + ".fetched";
  if (mkdir(fetched.c_str(), 0700) != 0) return Error::from_errno(errno, "mkdir", fetched.native());
  RemoteSource named = source;
  named.name = "context";
  const auto place = [&]() -> Result<> {
    TRY(fetch_remote(named, fetched, cancelled));
    const fs::path file = fetched / named.name;
    if (TRY(is_archive(file))) {
      const Fd archive = TRY(open_file(file, O_RDONLY));
      return extract_context(archive.get(), directory);
    }
    if (rename(file.c_str(), (directory / "Dockerfile").c_str()) != 0) {
      return Error::from_errno(errno, "rename", file.native());
    }
    return {};
  };
  Result<> placed = place();
  (void)remove_tree(fetched).ok();
  return placed;
}

}  // namespace

Result<fs::path> fetch_context(const std::string& url, const fs::path& directory, const CancelCheck& cancelled) {
  if (!is_remote_source(url)) {
    return invalid("build context " + gantry::quoted(url) + ": expected a Git repository or a URL");
  }
  const RemoteSource remote = TRY(resolve_remote(url, "", false, cancelled).within("build context " + url));
  if (remote.kind == RemoteSource::Kind::url) {
    TRY(take_file(remote, directory, cancelled).within("build context " + url));
    return directory;
  }
  TRY(fetch_remote(remote, directory, cancelled).within("build context " + url));
  if (remote.directory.empty()) return directory;
  // A repository's links do not lead out of it.
  const Fd root = TRY(open_file(directory, O_PATH | O_DIRECTORY));
  const Fd inside = TRY(open_in_root(root.get(), remote.directory, O_PATH | O_DIRECTORY)
                            .within("build context " + url + ": directory " + gantry::quoted(remote.directory)));
  std::error_code error;
  const fs::path place = fs::read_symlink("/proc/self/fd/" + std::to_string(inside.get()), error);
  if (error) return Error::from_errno(error.value(), "readlink", remote.directory);
  return place;
}

}  // namespace gantry::engine
