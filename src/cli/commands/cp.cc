// cp: files between this machine and a service's containers.
#include "base/strings.h"
#include "cli/commands/commands.h"
#include "cli/commands/container_copy.h"
#include "cli/copy_paths.h"
#include "cli/operation.h"
#include "cli/targets.h"

namespace gantry::cli {

namespace {

using compose::Progress;

constexpr Flag kCopyFlags[] = {
    {.name = "all", .help = "Into containers of run, too"},
    {.name = "archive", .letter = 'a', .help = "Keep owner and group"},
    {.name = "follow-link", .letter = 'L', .help = "Follow symbolic links in the source"},
    {.name = "index", .kind = FlagKind::number, .value_name = "N", .help = "Only the N-th container of the service"},
};

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
      const CopyContainer place{.id = container.id, .name = container.name};
      TRY(to.service.empty() ? copy_out(session, *api, place, from.path, to.path, rules)
                             : copy_in(session, *api, place, from.path, to.path, rules));
    }
    row(Progress::Status::done, "Copied");
  }
  return 0;
}

}  // namespace

const Command kCopy{.syntax = {.name = "cp",
                               .arguments = "SERVICE:SRC_PATH DEST_PATH|- | SRC_PATH|- SERVICE:DEST_PATH",
                               .summary = "Copy files between this machine and a service's containers",
                               .flags = kCopyFlags,
                               .least_arguments = 2,
                               .most_arguments = 2},
                    .run = copy};

}  // namespace gantry::cli
