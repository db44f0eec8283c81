// cp: files between this machine and a service's containers.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "base/fd.h"
#include "cli/api_extra.h"
#include "cli/commands/commands.h"
#include "cli/copy_paths.h"
#include "cli/operation.h"
#include "cli/tar_extract.h"
#include "cli/tar_stream.h"
#include "cli/targets.h"

namespace gantry::cli {

namespace {

namespace fs = std::filesystem;
using compose::Progress;


constexpr Flag kFlags[] = {
    {.name = "all", .help = "Into containers of run, too"},
    {.name = "archive", .letter = 'a', .help = "Keep owner and group"},
    {.name = "follow-link", .letter = 'L', .help = "Follow symbolic links in the source"},
    {.name = "index", .kind = FlagKind::number, .value_name = "N", .help = "Only the N-th container of the service"},
};

struct CopyRules {
  bool keep_owner = false;
  bool follow_link = false;
};

std::string archive_path(const std::string& id, const std::string& path) {
  return container_path(id, "archive") + "?path=" + client::url_encode(path);
}

std::string absolute(const std::string& path) { return path.starts_with('/') ? path : "/" + path; }

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

// ---- into containers

Result<> put_archive(client::ApiClient& api, const std::string& id, const std::string& directory,
                     const CopyRules& rules, const std::function<Result<std::string>()>& next) {
  std::string path = archive_path(id, directory) + "&noOverwriteDirNonDir=true";
  if (rules.keep_owner) path += "&copyUIDGID=true";
  return api.upload("PUT", path, "application/x-tar", next, [](std::string_view) { return true; });
}

Result<> copy_in(Session& session, client::ApiClient& api, const ContainerRow& container, const std::string& source,
                 const std::string& given_target, const CopyRules& rules) {
  const std::string target = TRY(followed(api, container.id, absolute(given_target)));
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

// ---- out of a container

Result<> copy_out(Session& session, client::ApiClient& api, const ContainerRow& container, const std::string& source,
                  const std::string& target, const CopyRules& rules) {
  std::string path = absolute(source);
  if (rules.follow_link) path = TRY(followed(api, container.id, path));
  if (target == "-") {
    return api.stream_bytes("GET", archive_path(container.id, path), "", [&session](std::string_view bytes) {
      session.out.write(bytes);
      return true;
    });
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

// ---- the command

Result<std::vector<ContainerRow>> receivers(Session& session, const std::string& service, const Arguments& arguments) {
  if (arguments.given("index")) {
    return std::vector{TRY(find_container(session, service, arguments.number("index"), Search::any))};
  }
  auto rows = TRY(find_containers(session, TRY(session.project_name()), {service}));
  if (!arguments.on("all")) std::erase_if(rows, [](const ContainerRow& row) { return row.one_off(); });
  if (rows.empty()) return not_found("no container found for service " + gantry::quoted(service));
  return rows;
}

Result<int> copy(Session& session, const Arguments& arguments) {
  const CopyPlace from = parse_copy_place(arguments.positional()[0]);
  const CopyPlace to = parse_copy_place(arguments.positional()[1]);
  if (!from.service.empty() && !to.service.empty()) return unsupported("copying between services is not supported");
  if (from.service.empty() && to.service.empty()) return invalid("unknown copy direction");
  const CopyRules rules{.keep_owner = arguments.on("archive"), .follow_link = arguments.on("follow-link")};
  std::vector<ContainerRow> containers;
  if (to.service.empty()) {
    containers.push_back(TRY(find_container(session, from.service, arguments.number("index"), Search::any)));
  } else {
    containers = TRY(receivers(session, to.service, arguments));
  }
  client::ApiClient* api = TRY(session.api());
  // A tar stream on standard output is alone there, and standard error stays quiet as well.
  ProgressStyle style = TRY(session.progress_style("copy"));
  if (to.path == "-" && to.service.empty()) style.mode = ProgressMode::quiet;
  OperationView drawing(style, session);
  for (const ContainerRow& container : containers) {
    const std::string details = to.service.empty() ? container.name + ":" + from.path + " to " + to.path
                                                   : from.path + " to " + container.name + ":" + to.path;
    const auto row = [&](Progress::Status status, std::string text) {
      Progress progress = container_progress(container, status, std::move(text), details);
      progress.resource = Progress::Resource::service;
      drawing.view().show(progress);
    };
    row(Progress::Status::working, "Copying");
    if (!session.globals().dry_run) {
      TRY(to.service.empty() ? copy_out(session, *api, container, from.path, to.path, rules)
                             : copy_in(session, *api, container, from.path, to.path, rules));
    }
    row(Progress::Status::done, "Copied");
  }
  return 0;
}

}  // namespace

const Command kCopy{.syntax = {.name = "cp",
                               .arguments = "SERVICE:SRC_PATH DEST_PATH|- | SRC_PATH|- SERVICE:DEST_PATH",
                               .summary = "Copy files between this machine and a service's containers",
                               .flags = kFlags,
                               .least_arguments = 2,
                               .most_arguments = 2},
                    .run = copy};

}  // namespace gantry::cli
