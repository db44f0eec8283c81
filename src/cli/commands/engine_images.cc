// gantry load, import, pull, images and rmi: what the engine keeps.
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/scope_exit.h"
#include "base/strings.h"
#include "cli/commands/commands.h"
#include "cli/image_pull.h"
#include "cli/operation.h"
#include "cli/table.h"

namespace gantry::cli {

namespace {

constexpr size_t kUploadPiece = size_t{256} << 10;

constexpr Flag kLoadFlags[] = {
    {.name = "input",
     .letter = 'i',
     .kind = FlagKind::text,
     .value_name = "FILE",
     .help = "Archive to read (standard input if not given)"},
};
constexpr Flag kImportFlags[] = {
    {.name = "message", .letter = 'm', .kind = FlagKind::text, .value_name = "TEXT", .help = "Comment of the image"},
    {.name = "change",
     .letter = 'c',
     .kind = FlagKind::list,
     .value_name = "INSTRUCTION",
     .help = "Dockerfile instruction to apply (CMD, ENV, …)"},
};
constexpr Flag kEnginePullFlags[] = {
    {.name = "platform", .kind = FlagKind::text, .value_name = "OS/ARCH", .help = "Platform of the image"},
    {.name = "quiet", .letter = 'q', .help = "Don't show progress"},
};
constexpr Flag kEngineImagesFlags[] = {
    {.name = "all", .letter = 'a', .help = "Show intermediate images, too"},
    {.name = "quiet", .letter = 'q', .help = "Print ids only"},
};
constexpr Flag kEngineImageRemoveFlags[] = {
    {.name = "force", .letter = 'f', .help = "Remove names even if containers use them"},
};

// Pieces of a file for an upload; standard input is "-".
Result<std::function<Result<std::string>()>> reader(const Session& session, const std::string& file) {
  auto input = std::make_shared<Fd>();
  if (file != "-") *input = TRY(open_file(file, O_RDONLY));
  const int fd = file == "-" ? session.in : input->get();
  return std::function<Result<std::string>()>([input, fd, file]() -> Result<std::string> {
    std::string piece(kUploadPiece, '\0');
    const ssize_t got = ::read(fd, piece.data(), piece.size());
    if (got < 0) return Error::from_errno(errno, "read", file);
    piece.resize(static_cast<size_t>(got));
    return piece;
  });
}

// Sends an archive and prints what the daemon says about it.
Result<int> upload_archive(Session& session, const std::string& file, const std::string& path) {
  client::ApiClient* api = TRY(session.api());
  const auto next = TRY(reader(session, file));
  std::string error;
  TRY(api->upload("POST", path, "application/x-tar", next, [&](std::string_view line) {
    const auto message = parse_stream_message(line);
    if (!message.ok()) return true;
    if (!message->error.empty()) error = message->error;
    session.out.write(message->stream);
    if (!message->status.empty() && message->total == 0) session.out.write(message->status + "\n");
    return true;
  }));
  if (!error.empty()) return internal_error(error);
  return 0;
}

Result<int> load(Session& session, const Arguments& arguments) {
  const std::string file = arguments.text("input", "-");
  if (file == "-" && ::isatty(session.in) == 1) {
    return invalid("requested load from stdin, but stdin is empty: give an archive by --input");
  }
  return upload_archive(session, file, "/images/load?quiet=1");
}

Result<int> import(Session& session, const Arguments& arguments) {
  const auto& words = arguments.positional();
  std::string path = "/images/create?fromSrc=-";
  if (words.size() > 1) {
    const auto name = split_reference(words[1]);
    path += "&repo=" + client::url_encode(name.repository);
    if (name.tag != "<none>") path += "&tag=" + client::url_encode(name.tag);
  }
  if (arguments.given("message")) path += "&message=" + client::url_encode(arguments.text("message"));
  for (const std::string& change : arguments.list("change")) path += "&changes=" + client::url_encode(change);
  return upload_archive(session, words[0], path);
}

Result<int> pull_image(Session& session, const Arguments& arguments) {
  const std::string& image = arguments.positional()[0];
  TRY(session.api());
  ProgressStyle style = TRY(session.progress_style("pull"));
  if (arguments.on("quiet")) style.mode = ProgressMode::quiet;
  OperationView drawing(style, session);
  TRY(pull_image(session, image, arguments.text("platform"), drawing.view()));
  drawing.view().finish();
  session.out.write(image + "\n");
  return 0;
}

std::string short_id(const std::string& id) {
  const size_t colon = id.find(':');
  return (colon == std::string::npos ? id : id.substr(colon + 1)).substr(0, 12);
}

// "debian" means all its tags, "debian:12" one of them; no argument means every image.
bool matches(const std::string& tag, const std::vector<std::string>& wanted) {
  return wanted.empty() || tag == wanted[0] || split_reference(tag).repository == wanted[0];
}

bool matches(const ImageRow& row, const std::vector<std::string>& wanted) {
  return wanted.empty() ||
         std::any_of(row.tags.begin(), row.tags.end(), [&](const std::string& tag) { return matches(tag, wanted); });
}

Result<int> list_images(Session& session, const Arguments& arguments) {
  const std::string path = std::string("/images/json?all=") + (arguments.on("all") ? "1" : "0");
  const auto rows = TRY(parse_images(TRY(TRY((*TRY(session.api())).request("GET", path)).ok_body())));
  const auto now = std::chrono::duration_cast<std::chrono::seconds>(session.clock().wall().time_since_epoch()).count();
  Table table({"REPOSITORY", "TAG", "IMAGE ID", "CREATED", "SIZE"});
  for (const ImageRow& row : rows) {
    if (!matches(row, arguments.positional())) continue;
    if (arguments.on("quiet")) {
      session.out.write(short_id(row.id) + "\n");
      continue;
    }
    const std::string age = human_duration(std::chrono::seconds(std::max<int64_t>(now - row.created, 0))) + " ago";
    const auto tags = row.tags.empty() ? std::vector<std::string>{""} : row.tags;
    for (const std::string& tag : tags) {
      if (!matches(tag, arguments.positional())) continue;
      const auto name = split_reference(tag);
      table.add({name.repository, name.tag, short_id(row.id), age, human_size(row.size)});
    }
  }
  if (!arguments.on("quiet")) session.out.write(table.text());
  return 0;
}

Result<int> remove_images(Session& session, const Arguments& arguments) {
  client::ApiClient* api = TRY(session.api());
  int status = 0;
  for (const std::string& name : arguments.positional()) {
    const std::string path = image_path(name) + (arguments.on("force") ? "?force=1" : "");
    const auto body = TRY(api->request("DELETE", path)).ok_body();
    if (!body.ok()) {
      session.fail(body.error().message());
      status = 1;
      continue;
    }
    for (const std::string& line : TRY(parse_image_removal(*body))) session.out.write(line + "\n");
  }
  return status;
}

}  // namespace

const Command kEngineLoad{
    .syntax = {.name = "load", .summary = "Load images from an archive", .flags = kLoadFlags, .most_arguments = 0},
    .run = load};
const Command kEngineImport{.syntax = {.name = "import",
                                       .arguments = "FILE|- [NAME[:TAG]]",
                                       .summary = "Make an image from an archive of a file system",
                                       .flags = kImportFlags,
                                       .least_arguments = 1,
                                       .most_arguments = 2},
                            .run = import};
const Command kEnginePull{.syntax = {.name = "pull",
                                     .arguments = "NAME[:TAG|@DIGEST]",
                                     .summary = "Pull an image from a registry",
                                     .flags = kEnginePullFlags,
                                     .least_arguments = 1,
                                     .most_arguments = 1},
                          .run = pull_image};
const Command kEngineImages{.syntax = {.name = "images",
                                       .arguments = "[NAME[:TAG]]",
                                       .summary = "List images",
                                       .flags = kEngineImagesFlags,
                                       .most_arguments = 1},
                            .run = list_images};
const Command kEngineRemoveImage{.syntax = {.name = "rmi",
                                            .arguments = "IMAGE [IMAGE...]",
                                            .summary = "Remove images",
                                            .flags = kEngineImageRemoveFlags,
                                            .least_arguments = 1},
                                 .run = remove_images};

}  // namespace gantry::cli
