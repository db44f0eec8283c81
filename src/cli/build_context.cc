#include "cli/build_context.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "base/ignore_patterns.h"
#include "cli/local_files.h"

namespace gantry::cli {

namespace fs = std::filesystem;

namespace {

// Docker looks for "<Dockerfile>.dockerignore" beside the Dockerfile first.
Result<IgnorePatterns> read_ignore_file(const ContextOptions& options) {
  std::vector<fs::path> candidates;
  if (!options.dockerfile.empty()) candidates.push_back(options.dockerfile.string() + ".dockerignore");
  candidates.push_back(options.directory / ".dockerignore");
  for (const fs::path& candidate : candidates) {
    if (::access(candidate.c_str(), F_OK) != 0) continue;
    return IgnorePatterns::parse(TRY(read_file(candidate))).within(candidate.string());
  }
  return IgnorePatterns();
}

class Walker {
 public:
  Walker(const ContextOptions& options, IgnorePatterns ignored)
      : options_(options), ignored_(std::move(ignored)), dockerfile_(options.dockerfile.lexically_normal()) {}

  std::vector<TarItem> found;

  Result<> enter(const std::string& relative) {
    for (const std::string& name :
         TRY(names_in(relative.empty() ? options_.directory : options_.directory / relative, "reading the build context"))) {
      TRY(visit(relative.empty() ? name : relative + "/" + name));
    }
    return {};
  }

 private:
  Result<> visit(const std::string& path) {
    const fs::path source = options_.directory / path;
    struct stat status {};
    if (::lstat(source.c_str(), &status) != 0) return Error::from_errno(errno, "lstat", source.string());
    const bool is_directory = S_ISDIR(status.st_mode);
    const bool needed_by_builder = source.lexically_normal() == dockerfile_;
    const bool left_out = !needed_by_builder && ignored_.matches(path);
    if (is_directory) {
      if (left_out && ignored_.can_skip(path) && !holds_dockerfile(source)) return {};
      if (!left_out) add(path, source, status, TarEntry::Kind::directory);
      return enter(path);
    }
    if (left_out || S_ISSOCK(status.st_mode)) return {};  // sockets cannot be archived, and nobody expects them
    if (S_ISREG(status.st_mode)) {
      add(path, source, status, TarEntry::Kind::file);
      return {};
    }
    if (!S_ISLNK(status.st_mode)) {
      return invalid("build context: " + source.string() +
                     " is a device or a pipe, which cannot be copied; list it in .dockerignore");
    }
    add(path, source, status, TarEntry::Kind::symlink);
    found.back().header.target = TRY(link_target(source));
    return {};
  }

  bool holds_dockerfile(const fs::path& directory) const {
    return !dockerfile_.empty() && dockerfile_.string().starts_with(directory.lexically_normal().string() + "/");
  }

  void add(const std::string& path, const fs::path& source, const struct stat& status, TarEntry::Kind kind) {
    found.push_back({.header = {.path = path,
                                .kind = kind,
                                .mode = static_cast<uint32_t>(status.st_mode & 07777),
                                .size = kind == TarEntry::Kind::file ? static_cast<uint64_t>(status.st_size) : 0,
                                .modified = status.st_mtime,
                                .target = {}},
                     .source = source,
                     .content = {}});
  }

  const ContextOptions& options_;
  IgnorePatterns ignored_;
  fs::path dockerfile_;
};

}  // namespace

Result<BuildContext> BuildContext::open(const ContextOptions& options) {
  Walker walker(options, options.directory.empty() ? IgnorePatterns() : TRY(read_ignore_file(options)));
  if (!options.directory.empty()) TRY(walker.enter(""));  // else only the extra files
  for (const auto& [path, content] : options.extra) {
    walker.found.push_back(
        {.header = {.path = path, .size = content.size(), .target = {}}, .source = {}, .content = content});
  }
  BuildContext context;
  context.stream_ = TarStream(std::move(walker.found), "build context");
  return context;
}

}  // namespace gantry::cli
