#include "cli/copy_paths.h"

namespace gantry::cli {

namespace {

std::string without_slashes(std::string_view path) {
  while (path.size() > 1 && path.ends_with('/')) path.remove_suffix(1);
  return std::string(path);
}

bool means_content(std::string_view path) { return path == "." || path.ends_with("/."); }

}  // namespace

CopyPlace parse_copy_place(std::string_view text) {
  const size_t colon = text.find(':');
  const bool is_path = text.starts_with('/') || text.starts_with('.') || colon == std::string_view::npos ||
                       text.find('/') < colon;
  if (is_path) return {.service = {}, .path = std::string(text)};
  return {.service = std::string(text.substr(0, colon)), .path = std::string(text.substr(colon + 1))};
}

std::string last_part(std::string_view path) {
  const std::string bare = without_slashes(path);
  const size_t slash = bare.rfind('/');
  const std::string name = slash == std::string::npos ? bare : bare.substr(slash + 1);
  return name == "." || name == "/" ? "" : name;
}

std::string parent_path(std::string_view path) {
  const std::string bare = without_slashes(path);
  const size_t slash = bare.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : bare.substr(0, slash);
}

Result<CopyTarget> copy_target(const std::string& source, bool source_is_directory, const std::string& target,
                               PathKind kind, bool parent_exists) {
  if (kind.exists && kind.is_directory) {
    return CopyTarget{.directory = without_slashes(target),
                      .name = source_is_directory && means_content(source) ? "" : last_part(source)};
  }
  if (kind.exists) {
    if (source_is_directory) return invalid("cannot copy directory " + source + " onto the file " + target);
    if (target.ends_with('/')) return invalid(target + ": not a directory");
    return CopyTarget{.directory = parent_path(target), .name = last_part(target)};
  }
  if (!parent_exists) return not_found("no such directory: " + parent_path(target));
  if (!source_is_directory && target.ends_with('/')) return not_found("no such directory: " + target);
  return CopyTarget{.directory = parent_path(target), .name = last_part(target)};
}

}  // namespace gantry::cli
