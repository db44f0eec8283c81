// gantry load, import, pull, build, images and rmi: what the engine keeps.
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/scope_exit.h"
#include "base/strings.h"
#include "cli/build_request.h"
#include "cli/commands/commands.h"
#include "cli/credentials.h"
#include "cli/image_build.h"
#include "cli/image_pull.h"
#include "cli/operation.h"
#include "cli/table.h"
#include "compose/values.h"

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
constexpr Flag kPullFlags[] = {
    {.name = "platform", .kind = FlagKind::text, .value_name = "OS/ARCH", .help = "Platform of the image"},
    {.name = "quiet", .letter = 'q', .help = "Don't show progress"},
};
constexpr Flag kBuildFlags[] = {
    {.name = "tag", .letter = 't', .kind = FlagKind::list, .value_name = "NAME[:TAG]", .help = "Name of the image"},
    {.name = "file",
     .letter = 'f',
     .kind = FlagKind::text,
     .value_name = "FILE",
     .help = "The Dockerfile (PATH/Dockerfile if not given)"},
    {.name = "build-arg", .kind = FlagKind::list, .value_name = "KEY=VALUE", .help = "Set a build argument"},
    {.name = "target", .kind = FlagKind::text, .value_name = "STAGE", .help = "Stage to build"},
    {.name = "label", .kind = FlagKind::list, .value_name = "KEY=VALUE", .help = "Label of the image"},
    {.name = "platform", .kind = FlagKind::text, .value_name = "OS/ARCH", .help = "Platform of the base images"},
    {.name = "network", .kind = FlagKind::text, .value_name = "MODE", .help = "Network of RUN: default, none, host"},
    {.name = "add-host", .kind = FlagKind::list, .value_name = "HOST:IP", .help = "Line of /etc/hosts in RUN"},
    {.name = "shm-size", .kind = FlagKind::text, .value_name = "BYTES", .help = "Size of /dev/shm in RUN"},
    {.name = "secret",
     .kind = FlagKind::list,
     .value_name = "id=ID[,src=FILE|,env=NAME]",
     .help = "Secret for RUN --mount=type=secret"},
    {.name = "ssh",
     .kind = FlagKind::list,
     .value_name = "default|ID[=SOCKET]",
     .help = "SSH agent for RUN --mount=type=ssh"},
    {.name = "build-context",
     .kind = FlagKind::list,
     .value_name = "NAME=DIR|NAME=docker-image://REF",
     .help = "What FROM or --from=NAME means"},
    {.name = "allow",
     .kind = FlagKind::list,
     .value_name = "ENTITLEMENT",
     .help = "security.insecure: RUN --security=insecure gets all privileges"},
    {.name = "iidfile", .kind = FlagKind::text, .value_name = "FILE", .help = "Write the image's id to a file"},
    {.name = "no-cache-filter", .kind = FlagKind::list, .value_name = "STAGE", .help = "Build this stage anew"},
    {.name = "no-cache", .help = "Build every step anew"},
    {.name = "cache-from",
     .kind = FlagKind::list,
     .help = "",
     .refused = "every layer that is here is used as cache; pull the image instead"},
    {.name = "cache-to", .kind = FlagKind::list, .help = "", .refused = "the cache stays with the daemon"},
    {.name = "output",
     .letter = 'o',
     .kind = FlagKind::list,
     .help = "",
     .refused = "the image goes to the daemon's store; save or export it from there"},
    {.name = "pull", .help = "Look for newer base images"},
    {.name = "quiet", .letter = 'q', .help = "Print the image's id only"},
};
constexpr Flag kSaveFlags[] = {
    {.name = "output",
     .letter = 'o',
     .kind = FlagKind::text,
     .value_name = "FILE",
     .help = "Archive to write (standard output if not given)"},
};
constexpr Flag kHistoryFlags[] = {
    {.name = "no-trunc", .help = "Don't shorten what made a layer"},
    {.name = "quiet", .letter = 'q', .help = "Print ids only"},
};
constexpr Flag kListFlags[] = {
    {.name = "all", .letter = 'a', .help = "Show intermediate images, too"},
    {.name = "quiet", .letter = 'q', .help = "Print ids only"},
};
constexpr Flag kRemoveFlags[] = {
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

Result<int> pull(Session& session, const Arguments& arguments) {
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

// Where the context comes from, and the Dockerfile's name in it.
Result<std::string> place_context(Session& session, const Arguments& arguments, ContextOptions& context) {
  const std::string outside = ".gantry.Dockerfile";
  const std::string& place = arguments.positional()[0];
  if (place == "-") return outside;
  if (place.find("://") != std::string::npos || place.starts_with("git@")) {
    return unsupported("context " + gantry::quoted(place) + ": clone or download it, and give the directory");
  }
  context.directory = std::filesystem::absolute(place);
  if (arguments.text("file") == "-") {
    context.extra[outside] = TRY(read_all(session.in, size_t{16} << 20));
    return outside;
  }
  const std::filesystem::path file = arguments.text("file", (context.directory / "Dockerfile").string());
  const std::string inside = std::filesystem::absolute(file).lexically_normal()
                                 .lexically_relative(context.directory.lexically_normal()).string();
  context.dockerfile = file;
  if (!inside.empty() && !inside.starts_with("..")) return inside;
  context.extra[outside] = TRY(read_file(file, size_t{16} << 20));
  return outside;
}

Result<StringMap> key_values(const Session& session, const Arguments& arguments, std::string_view flag,
                             bool from_environment) {
  StringMap values;
  for (const std::string& text : arguments.list(flag)) {
    const size_t equals = text.find('=');
    if (equals == 0) return invalid("invalid --" + std::string(flag) + " " + gantry::quoted(text) + ": give KEY=VALUE");
    if (equals != std::string::npos) {
      values[text.substr(0, equals)] = text.substr(equals + 1);
    } else if (!from_environment) {
      values[text] = "";
    } else if (session.environment().contains(text)) {
      values[text] = session.variable(text);
    }
  }
  return values;
}

Result<> add_sources(Session& session, const Arguments& arguments, BuildCall& call) {
  StringMap contexts;
  for (const std::string& text : arguments.list("build-context")) contexts.insert(TRY(parse_named_context(text)));
  StringMap agents;
  for (const std::string& text : arguments.list("ssh")) agents.insert(TRY(parse_ssh(session, text)));
  if ((!contexts.empty() || !agents.empty()) && !daemon_is_local(session)) {
    return unsupported("--build-context and --ssh need a daemon on this machine");
  }
  if (!contexts.empty()) add_parameter(call.query, "gantry-contexts", json_map(contexts));
  if (!agents.empty()) add_parameter(call.query, "gantry-ssh", json_map(agents));
  for (const std::string& text : arguments.list("secret")) TRY(add_secret(session, text, call.secrets));
  return {};
}

Result<BuildCall> build_call(Session& session, const Arguments& arguments) {
  BuildCall call{.query = "version=1&rm=1", .tags = arguments.list("tag")};
  call.dockerfile = TRY(place_context(session, arguments, call.context));
  const auto add = [&call](std::string_view key, std::string_view value) { add_parameter(call.query, key, value); };
  if (arguments.positional()[0] != "-") add("dockerfile", call.dockerfile);
  for (const char* flag : {"target", "platform"}) {
    if (arguments.given(flag)) add(flag, arguments.text(flag));
  }
  if (arguments.given("network")) add("networkmode", arguments.text("network"));
  if (arguments.on("no-cache")) add("nocache", "1");
  if (arguments.on("pull")) add("pull", "1");
  for (const std::string& host : arguments.list("add-host")) add("extrahosts", host);
  if (arguments.given("shm-size")) {
    add("shmsize", std::to_string(TRY(compose::parse_bytes(arguments.text("shm-size")).within("--shm-size"))));
  }
  for (const std::string& stage : arguments.list("no-cache-filter")) add("gantry-no-cache-filter", stage);
  for (const std::string& entitlement : arguments.list("allow")) {
    if (entitlement != "security.insecure" && entitlement != "network.host") {
      return invalid("unknown entitlement " + gantry::quoted(entitlement));
    }
    if (entitlement == "security.insecure") add("gantry-allow", entitlement);
  }
  if (session.environment().contains("SOURCE_DATE_EPOCH")) {
    add("gantry-source-date-epoch", session.variable("SOURCE_DATE_EPOCH"));
  }
  const StringMap values = TRY(key_values(session, arguments, "build-arg", true));
  if (!values.empty()) add("buildargs", json_map(values));
  const StringMap labels = TRY(key_values(session, arguments, "label", false));
  if (!labels.empty()) add("labels", json_map(labels));
  TRY(add_sources(session, arguments, call));
  return call;
}

// "-": a tar, or a Dockerfile without files.
Result<> send_standard_input(Session& session, client::ApiClient& api, BuildCall& call, const std::string& file,
                             const std::string& auths, const std::function<bool(std::string_view)>& on_line) {
  std::string head = TRY(read_all(session.in, size_t{2} << 30));
  const bool is_archive = head.starts_with("\x1f\x8b") || head.starts_with("BZh") || head.starts_with("\xfd" "7zXZ") ||
                          head.starts_with("\x28\xb5\x2f\xfd") || (head.size() > 262 && head.substr(257, 5) == "ustar");
  if (!is_archive) {
    call.context.extra[call.dockerfile] = std::move(head);
    add_parameter(call.query, "dockerfile", call.dockerfile);
    return send_build(api, call, false, auths, on_line);
  }
  std::string path = "/build?" + call.query;
  add_parameter(path, "dockerfile", file);
  for (const std::string& tag : call.tags) add_parameter(path, "t", tag);
  bool sent = false;
  return api.upload(
      "POST", path, "application/x-tar",
      [&]() -> Result<std::string> { return std::exchange(sent, true) ? std::string() : std::move(head); }, on_line);
}

Result<int> build(Session& session, const Arguments& arguments) {
  BuildCall call = TRY(build_call(session, arguments));
  client::ApiClient* api = TRY(session.api());
  const std::string auths = TRY(CredentialStore(session.environment()).header_of_all());
  BuildStream stream;
  bool failed = false;
  const std::function<bool(std::string_view)> on_line = [&](std::string_view line) {
    failed = !stream.line(line) || failed;
    for (const std::string& text : stream.take_lines()) {
      if (!arguments.on("quiet")) session.out.write(text + "\n");
    }
    return true;
  };
  if (arguments.positional()[0] == "-") {
    TRY(send_standard_input(session, *api, call, arguments.text("file", "Dockerfile"), auths, on_line));
  } else {
    TRY(send_build(*api, call, daemon_is_local(session), auths, on_line));
  }
  if (failed) {
    session.fail(stream.failure());
    return stream.error_code() != 0 ? stream.error_code() : 1;
  }
  if (arguments.given("iidfile")) TRY(replace_file(arguments.text("iidfile"), stream.image_id(), 0644));
  if (arguments.on("quiet")) session.out.write(stream.image_id() + "\n");
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

Result<int> images(Session& session, const Arguments& arguments) {
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

Result<int> remove(Session& session, const Arguments& arguments) {
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
                                     .flags = kPullFlags,
                                     .least_arguments = 1,
                                     .most_arguments = 1},
                          .run = pull};
const Command kEngineBuild{.syntax = {.name = "build",
                                      .arguments = "PATH|-",
                                      .summary = "Build an image from a Dockerfile",
                                      .flags = kBuildFlags,
                                      .least_arguments = 1,
                                      .most_arguments = 1},
                           .run = build};
const Command kEngineImages{.syntax = {.name = "images",
                                       .arguments = "[NAME[:TAG]]",
                                       .summary = "List images",
                                       .flags = kListFlags,
                                       .most_arguments = 1},
                            .run = images};
const Command kEngineRemoveImage{.syntax = {.name = "rmi",
                                            .arguments = "IMAGE [IMAGE...]",
                                            .summary = "Remove images",
                                            .flags = kRemoveFlags,
                                            .least_arguments = 1},
                                 .run = remove};

}  // namespace gantry::cli
