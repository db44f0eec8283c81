// commit and export: a container's files as an image or a tar.
#include "cli/api_types.h"
#include "cli/commands/commands.h"
#include "cli/commands/engine_helpers.h"
#include "cli/operation.h"
#include "cli/targets.h"

namespace gantry::cli {

namespace {

constexpr Flag kCommitFlags[] = {
    {.name = "author", .letter = 'a', .kind = FlagKind::text, .value_name = "NAME", .help = "Author of the image"},
    {.name = "change",
     .letter = 'c',
     .kind = FlagKind::list,
     .value_name = "INSTRUCTION",
     .help = "Apply a Dockerfile instruction to the image"},
    {.name = "index", .kind = FlagKind::number, .value_name = "N", .help = "The N-th container of the service"},
    {.name = "message", .letter = 'm', .kind = FlagKind::text, .value_name = "TEXT", .help = "Message of the commit"},
    {.name = "pause", .letter = 'p', .help = "Pause the container meanwhile (on if not given)"},
};
constexpr Flag kExportFlags[] = {
    {.name = "index", .kind = FlagKind::number, .value_name = "N", .help = "The N-th container of the service"},
    {.name = "output", .letter = 'o', .kind = FlagKind::text, .value_name = "FILE", .help = "Write to a file"},
};

using compose::Progress;

std::string commit_query(const ContainerRow& container, const Arguments& arguments) {
  std::string query = "/commit?container=" + container.id;
  const auto add = [&query](std::string_view name, std::string_view value) {
    if (!value.empty()) query += "&" + std::string(name) + "=" + client::url_encode(value);
  };
  if (arguments.positional().size() > 1) {
    const auto reference = split_reference(arguments.positional()[1]);
    add("repo", reference.repository);
    if (reference.tag != "<none>") add("tag", reference.tag);
  }
  add("author", arguments.text("author"));
  add("comment", arguments.text("message"));
  for (const std::string& change : arguments.list("change")) add("changes", change);
  const bool pause = !arguments.given("pause") || arguments.on("pause");
  return query + "&pause=" + (pause ? "1" : "0");
}

Result<int> commit(Session& session, const Arguments& arguments) {
  const ContainerRow container =
      TRY(find_container(session, arguments.positional()[0], arguments.number("index"), Search::any));
  client::ApiClient* api = TRY(session.api());
  OperationView drawing(TRY(session.progress_style("commit")), session);
  const auto row = [&](Progress::Status status, std::string text) {
    Progress progress = container_progress(container, status, std::move(text));
    progress.resource = Progress::Resource::service;  // its bare name
    drawing.view().show(progress);
  };
  row(Progress::Status::working, "Committing");
  if (session.globals().dry_run) {
    row(Progress::Status::done, "Committed");
    return 0;
  }
  const std::string id =
      TRY(parse_id(TRY(TRY(api->request("POST", commit_query(container, arguments), "{}")).ok_body())));
  row(Progress::Status::done, "Committed as " + id);
  return 0;
}

Result<int> export_(Session& session, const Arguments& arguments) {
  const std::string output = arguments.text("output");
  if (output.empty() && session.out.is_terminal()) {
    return invalid("output option is required when exporting to terminal");
  }
  const ContainerRow container =
      TRY(find_container(session, arguments.positional()[0], arguments.number("index"), Search::any));
  OperationView drawing(TRY(session.progress_style("export")), session);
  const auto row = [&](Progress::Status status, std::string text) {
    Progress progress = container_progress(container, status, std::move(text));
    progress.resource = Progress::Resource::service;
    drawing.view().show(progress);
  };
  row(Progress::Status::working, "Exporting");
  if (!session.globals().dry_run) {
    TRY(save_stream(session, container_path(container.id, "export"), output));
  }
  row(Progress::Status::done, "Exported");
  return 0;
}

}  // namespace

const Command kCommit{.syntax = {.name = "commit",
                                 .arguments = "SERVICE [REPOSITORY[:TAG]]",
                                 .summary = "Make an image of a container's changes",
                                 .flags = kCommitFlags,
                                 .least_arguments = 1,
                                 .most_arguments = 2},
                      .run = commit};
const Command kExport{.syntax = {.name = "export",
                                 .arguments = "SERVICE",
                                 .summary = "Write a container's files as a tar archive",
                                 .flags = kExportFlags,
                                 .least_arguments = 1,
                                 .most_arguments = 1},
                      .run = export_};

}  // namespace gantry::cli
