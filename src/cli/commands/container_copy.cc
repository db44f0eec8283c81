#include "cli/commands/container_copy.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>

#include "cli/api_extra.h"
#include "cli/commands/commands.h"
#include "cli/copy_paths.h"
#include "cli/tar_extract.h"
#include "cli/tar_stream.h"

namespace gantry::cli {

namespace {

namespace fs = std::filesystem;

std::string archive_path(const std::string& id, const std::string& path) {
  return container_path(id, "archive") + "?path=" + client::url_encode(path);
}

std::string absolute_in_container(const std::string& path) { return path.starts_with('/') ? path : "/" + path; }

// Nothing if there is no such path in the container.
Result<std::optional<PathStat>> stat_in_container(client::ApiClient& api, const std::string& id,
                                                  const std::string& path) {
  const auto answer = TRY(api.request("HEAD", archive_path(id, path)));
  if (answer.status == 404) return std::optional<PathStat>();
  const auto header = answer.headers.find("x-docker-container-path-stat");
  if (answer.status >= 400 || header == answer.headers.end()) {
    return internal_error("looking at " + path + " in the container failed: status " + std::to_string(answer.status));
  }
  return std::optional(TRY(parse_path_stat(header->second)));
}

// What a link in the container points at; anything else is itself.
Result<std::string> followed(client::ApiClient& api, const std::string& id, std::string path) {
  const auto found = TRY(stat_in_container(api, id, path));
  if (!found || !found->is_symlink() || found->link_target.empty()) return path;
  if (found->link_target.starts_with('/')) return found->link_target;
  return (fs::path(parent_path(path)) / found->link_target).lexically_normal().string();
}

Result<CopiedBytes> put_archive(client::ApiClient& api, const std::string& id, const std::string& directory,
                                const CopyRules& rules, const std::function<Result<std::string>()>& next) {
  std::string path = archive_path(id, directory) + "&noOverwriteDirNonDir=true";
  if (rules.keep_owner) path += "&copyUIDGID=true";
  CopiedBytes copied = 0;
  const auto counted = [&]() -> Result<std::string> {
    std::string piece = TRY(next());
    copied += piece.size();
    return piece;
  };
  TRY(api.upload("PUT", path, "application/x-tar", counted, [](std::string_view) { return true; }));
  return copied;
}

}  // namespace

Result<CopiedBytes> copy_in(Session& session, client::ApiClient& api, const CopyContainer& container, const std::string& source,
                 const std::string& given_target, const CopyRules& rules) {
  const std::string target = TRY(followed(api, container.id, absolute_in_container(given_target)));
  if (source == "-") {
    return put_archive(api, container.id, target, rules, [&session] { return read_some(session.in); });
  }
  struct stat status {};
  if ((rules.follow_link ? ::stat : ::lstat)(source.c_str(), &status) != 0) {
    return Error::from_errno(errno, "lstat", source);
  }
  // "link/" and "link/." mean what the link points at.
  const bool is_directory = S_ISDIR(status.st_mode) || (source.ends_with('/') && fs::is_directory(source));
  const auto found = TRY(stat_in_container(api, container.id, target));
  const auto parent =
      found ? found : TRY(stat_in_container(api, container.id, TRY(followed(api, container.id, parent_path(target)))));
  if (!parent) return not_found("Could not find the file " + parent_path(target) + " in container " + container.name);
  const std::string wished = given_target.ends_with('/') && !target.ends_with('/') ? target + "/" : target;
  std::string local = source;
  if (const std::string name = last_part(source); name.empty() || name == "..") {
    local = fs::absolute(source).lexically_normal().string();
    if (source.ends_with("/.") || source == ".") local += local.ends_with('/') ? "." : "/.";
  }
  const CopyTarget place = TRY(copy_target(
      local, is_directory, wished, {.exists = found.has_value(), .is_directory = found && found->is_directory()},
      parent && parent->is_directory()));
  const TreeRules tree{.follow_link = rules.follow_link || source.ends_with('/'),
                       .keep_owner = rules.keep_owner,
                       .only_content = place.name.empty()};
  TarStream stream(TRY(tree_items(source, place.name, tree)), "copy");
  return put_archive(api, container.id, place.directory, rules, [&stream] { return stream.next(); });
}

Result<CopiedBytes> copy_out(Session& session, client::ApiClient& api, const CopyContainer& container, const std::string& source,
                  const std::string& target, const CopyRules& rules) {
  std::string path = absolute_in_container(source);
  if (rules.follow_link) path = TRY(followed(api, container.id, path));
  if (target == "-") {
    CopiedBytes copied = 0;
    TRY(api.stream_bytes("GET", archive_path(container.id, path), "", [&](std::string_view bytes) {
      session.out.write(bytes);
      copied += bytes.size();
      return true;
    }));
    return copied;
  }
  const auto found = TRY(stat_in_container(api, container.id, path));
  if (!found) return not_found("Could not find the file " + path + " in container " + container.name);
  const PathKind kind{.exists = fs::exists(target), .is_directory = fs::is_directory(target)};
  const CopyTarget place =
      TRY(copy_target(path, found->is_directory(), target, kind, fs::is_directory(parent_path(target))));
  // The archive's root is named after the path; "/." is about where it goes, not about what is asked for.
  const std::string asked = path.ends_with("/.") ? path.substr(0, path.size() - 2) : path;
  return extract_answer(api, archive_path(container.id, asked.empty() ? "/" : asked), place.directory,
                        {.root_name = place.name, .keep_owner = rules.keep_owner});
}

}  // namespace gantry::cli
