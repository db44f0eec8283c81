// commit and export: a container's files as an image or a tar.
#include <fcntl.h>
#include <unistd.h>

#include "base/fd.h"
#include "cli/api_types.h"
#include "cli/commands/commands.h"
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

// Writes the whole of a stream to a descriptor; false when that fails.
Result<> write_whole(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(fd, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return Error::from_errno(errno, "write");
    bytes.remove_prefix(static_cast<size_t>(written));
  }
  return {};
}

// Under another name until it is whole: what is there stays when the export fails.
Result<> export_to_file(client::ApiClient& api, const std::string& request, const std::string& path) {
  const std::string temporary = path + ".part";
  Fd file(::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666));
  if (file.get() < 0) return Error::from_errno(errno, "open", temporary);
  Result<> written;
  auto read = api.stream_bytes("GET", request, "", [&](std::string_view bytes) {
    written = write_whole(file.get(), bytes);
    return written.ok();
  });
  if (read.ok() && written.ok() && ::rename(temporary.c_str(), path.c_str()) == 0) return {};
  const int problem = errno;
  ::unlink(temporary.c_str());
  TRY(std::move(read));
  TRY(std::move(written).within("writing " + path));
  return Error::from_errno(problem, "rename", path);
}

Result<int> export_(Session& session, const Arguments& arguments) {
  const std::string output = arguments.text("output");
  if (output.empty() && session.out.is_terminal()) {
    return invalid("output option is required when exporting to terminal");
  }
  const ContainerRow container =
      TRY(find_container(session, arguments.positional()[0], arguments.number("index"), Search::any));
  client::ApiClient* api = TRY(session.api());
  OperationView drawing(TRY(session.progress_style("export")), session);
  const auto row = [&](Progress::Status status, std::string text) {
    Progress progress = container_progress(container, status, std::move(text));
    progress.resource = Progress::Resource::service;
    drawing.view().show(progress);
  };
  row(Progress::Status::working, "Exporting");
  if (!session.globals().dry_run) {
    const std::string request = container_path(container.id, "export");
    if (!output.empty()) {
      TRY(export_to_file(*api, request, output));
    } else {
      TRY(api->stream_bytes("GET", request, "", [&](std::string_view bytes) {
        session.out.write(bytes);
        return true;
      }));
    }
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
