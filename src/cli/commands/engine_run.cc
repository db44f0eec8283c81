// gantry run, create, attach, commit and export.
#include <unistd.h>

#include <fcntl.h>

#include <cerrno>
#include <nlohmann/json.hpp>

#include "base/fd.h"
#include "base/strings.h"
#include "cli/attached_process.h"
#include "cli/commands/commands.h"
#include "cli/commands/engine_helpers.h"
#include "cli/container_options.h"
#include "cli/exit.h"
#include "cli/image_pull.h"
#include "cli/operation.h"

namespace gantry::cli {

namespace {

using K = FlagKind;

constexpr Flag kEngineAttachFlags[] = {
    {.name = "detach-keys", .kind = K::text, .value_name = "KEYS", .help = "Keys that detach (ctrl-p,ctrl-q)"},
    {.name = "no-stdin", .help = "Don't attach standard input"},
    {.name = "sig-proxy", .help = "Pass signals on to the container (default true)"},
};
constexpr Flag kEngineCommitFlags[] = {
    {.name = "author", .letter = 'a', .kind = K::text, .value_name = "NAME", .help = "Author"},
    {.name = "change", .letter = 'c', .kind = K::list, .value_name = "INSTRUCTION", .help = "Dockerfile instruction to apply"},
    {.name = "message", .letter = 'm', .kind = K::text, .value_name = "TEXT", .help = "Comment of the image"},
    {.name = "pause", .letter = 'p', .help = "Freeze the container meanwhile (default true)"},
};
constexpr Flag kEngineExportFlags[] = {
    {.name = "output", .letter = 'o', .kind = K::text, .value_name = "FILE", .help = "Write to a file, not to standard output"},
};

// The file appears with the id in it, or not at all.
class CidFile {
 public:
  static Result<CidFile> open(const std::string& path) {
    CidFile file;
    if (path.empty()) return file;
    file.path_ = path;
    file.fd_ = Fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644));
    if (!file.fd_ && errno == EEXIST) {
      return conflict("container ID file found, make sure the other container isn't running or delete " + path);
    }
    if (!file.fd_) return Error::from_errno(errno, "failed to create the container ID file", path);
    return file;
  }
  CidFile() = default;
  CidFile(CidFile&&) = default;
  CidFile& operator=(CidFile&&) = default;
  ~CidFile() {
    if (fd_ && !written_) ::unlink(path_.c_str());
  }
  Result<> write(const std::string& id) {
    if (!fd_) return {};
    written_ = true;
    return write_all(fd_.get(), id);
  }

 private:
  std::string path_;
  Fd fd_;
  bool written_ = false;
};

Result<> pull_missing(Session& session, const std::string& image, const std::string& platform, bool quiet) {
  ProgressStyle style = TRY(session.progress_style("pull"));
  if (quiet) style.mode = ProgressMode::quiet;
  OperationView drawing(style, session);
  TRY(pull_image(session, image, platform, drawing.view()));
  drawing.view().finish();
  return {};
}

// A missing image is pulled, unless --pull says otherwise. → the id
Result<std::string> make(Session& session, const Arguments& arguments, const ContainerRequest& request) {
  CidFile cid = TRY(CidFile::open(arguments.text("cidfile")));
  const std::string when = arguments.text("pull", "missing");
  if (when != "always" && when != "missing" && when != "never") {
    return invalid("invalid pull option: '" + when + "': must be one of \"always\", \"missing\" or \"never\"");
  }
  const bool quiet = arguments.on("quiet");
  if (when == "always") TRY(pull_missing(session, request.image, request.platform, quiet));
  client::ApiClient* api = TRY(session.api());
  const std::string path = "/containers/create" + query_of({{"name", client::url_encode(request.name)},
                                                            {"platform", client::url_encode(request.platform)}});
  auto answer = TRY(api->request("POST", path, request.body));
  const bool image_missing = answer.status == 404 && answer.body.find("No such image") != std::string::npos;
  if (image_missing && when == "missing") {
    if (!quiet) session.err.write("Unable to find image '" + request.image + "' locally\n");
    TRY(pull_missing(session, request.image, request.platform, quiet));
    answer = TRY(api->request("POST", path, request.body));
  }
  const std::string body = TRY(std::move(answer).ok_body());
  const Value created = Value::parse(body, nullptr, false);
  for (const Value& warning : member_of(created, "Warnings")) {
    if (warning.is_string()) session.warn(warning.get<std::string>());
  }
  const std::string id = TRY(parse_id(body));
  TRY(cid.write(id));
  return id;
}

// As Docker: what keeps a program from starting has a status of its own.
int start_failure_status(const std::string& message) {
  const auto has = [&](std::string_view text) { return message.find(text) != std::string::npos; };
  if (has("executable file not found") || has("no such file or directory")) return kExitNotFound;
  return has("permission denied") || has("is a directory") ? kExitNotExecutable : kExitLostContainer;
}

struct Wish {
  Attachment attach;
  bool any = true;
};

// -a picks streams; without it all but, unless -i, the input.
Result<Wish> attachment(const Arguments& arguments) {
  const std::vector<std::string> chosen = arguments.list("attach");
  Wish wish;
  if (arguments.on("detach")) {
    if (!chosen.empty()) return invalid("conflicting options: cannot specify both --attach and --detach");
    return Wish{.attach = {}, .any = false};
  }
  wish.attach = {.in = arguments.on("interactive"), .out = true, .err = true};
  if (chosen.empty()) return wish;
  wish.attach = {};
  for (const std::string& name : chosen) {
    const std::string stream = to_lower(name);
    if (stream == "stdin") wish.attach.in = true;
    else if (stream == "stdout") wish.attach.out = true;
    else if (stream == "stderr") wish.attach.err = true;
    else return invalid("valid streams are STDIN, STDOUT and STDERR: not " + name);
  }
  return wish;
}

Result<int> start_and_follow(Session& session, const Arguments& arguments, const std::string& id, const Wish& wish,
                             const ContainerRequest& request) {
  if (!wish.any) {
    TRY(post(*TRY(session.api()), container_path(id, "start")));
    session.out.write(id + "\n");
    return 0;
  }
  const bool signals = (!arguments.given("sig-proxy") || arguments.on("sig-proxy")) && !request.tty;
  return start_attached(session, id, {.tty = request.tty, .interactive = wish.attach.in},
                        {.detach_keys = arguments.text("detach-keys"),
                         .signals = signals,
                         .output = wish.attach.out || wish.attach.err,
                         .at_end = request.auto_remove ? AtEnd::removed : AtEnd::stays});
}

Result<int> run_container(Session& session, const Arguments& arguments) {
  const Wish wish = TRY(attachment(arguments));
  if (wish.any) {
    TRY(choose_terminal(session, {.tty = arguments.on("tty"), .interactive = wish.attach.in}));
  }
  auto request = container_request(arguments, session.environment(), wish.attach);
  Result<std::string> id = request.ok() ? make(session, arguments, *request) : Result<std::string>(request.error());
  if (!id.ok()) {
    session.fail(id.error().message());
    return kExitLostContainer;
  }
  const Result<int> status = start_and_follow(session, arguments, *id, wish, *request);
  if (status.ok()) return status;
  session.fail(status.error().message());
  return start_failure_status(status.error().message());
}

Result<int> create_container(Session& session, const Arguments& arguments) {
  const Wish wish = TRY(attachment(arguments));
  const ContainerRequest request = TRY(container_request(arguments, session.environment(), wish.attach));
  session.out.write(TRY(make(session, arguments, request)) + "\n");
  return 0;
}

Result<int> attach_to_container(Session& session, const Arguments& arguments) {
  const Value details = TRY(api_json(session, "GET", container_path(arguments.positional()[0], "json")));
  const Value& state = member_of(details, "State");
  if (member_of(state, "Running") != true) return conflict("cannot attach to a stopped container, start it first");
  if (member_of(state, "Paused") == true) return conflict("cannot attach to a paused container, unpause it first");
  if (member_of(state, "Restarting") == true) return conflict("cannot attach to a restarting container, wait until it is running");
  const Value& config = member_of(details, "Config");
  const bool tty = member_of(config, "Tty") == true;
  const bool input = !arguments.on("no-stdin") && member_of(config, "OpenStdin") == true;
  const auto terminal = TRY(choose_terminal(session, {.tty = tty, .interactive = input}));
  const bool signals = (!arguments.given("sig-proxy") || arguments.on("sig-proxy")) && !tty;
  return attach_to(session, text_of(details, "Id"), {.tty = tty, .interactive = terminal.interactive},
                   {.detach_keys = arguments.text("detach-keys"), .signals = signals});
}

Result<int> commit_container(Session& session, const Arguments& arguments) {
  const auto& words = arguments.positional();
  std::string repository = words.size() > 1 ? words[1] : "";
  std::string tag;
  if (const size_t colon = repository.rfind(':'); colon != std::string::npos && repository.find('/', colon) == std::string::npos) {
    tag = repository.substr(colon + 1);
    repository.resize(colon);
  }
  std::string query = query_of({{"container", client::url_encode(words[0])},
                                {"repo", client::url_encode(repository)},
                                {"tag", client::url_encode(tag)},
                                {"comment", client::url_encode(arguments.text("message"))},
                                {"author", client::url_encode(arguments.text("author"))},
                                {"pause", arguments.given("pause") && !arguments.on("pause") ? "0" : "1"}});
  for (const std::string& change : arguments.list("change")) query += "&changes=" + client::url_encode(change);
  const Value answer = TRY(api_json(session, "POST", "/commit" + query));
  session.out.write(text_of(answer, "Id") + "\n");
  return 0;
}

Result<int> export_container(Session& session, const Arguments& arguments) {
  const std::string output = arguments.text("output");
  if (output.empty() && session.out.is_terminal()) {
    return invalid("cowardly refusing to save to a terminal. Use the -o flag or redirect");
  }
  TRY(save_stream(session, container_path(arguments.positional()[0], "export"), output));
  return 0;
}

}  // namespace

constinit const Command kEngineRun{.syntax = {.name = "run", .arguments = "IMAGE [COMMAND] [ARGS...]", .summary = "Run a command in a new container", .flags = kRunFlags, .least_arguments = 1, .interspersed = false}, .run = run_container};
constinit const Command kEngineCreate{.syntax = {.name = "create", .arguments = "IMAGE [COMMAND] [ARGS...]", .summary = "Make a container without starting it", .flags = kContainerFlags, .least_arguments = 1, .interspersed = false}, .run = create_container};
const Command kEngineAttach{.syntax = {.name = "attach", .arguments = "CONTAINER", .summary = "Attach to a running container", .flags = kEngineAttachFlags, .least_arguments = 1, .most_arguments = 1}, .run = attach_to_container};
const Command kEngineCommit{.syntax = {.name = "commit", .arguments = "CONTAINER [REPOSITORY[:TAG]]", .summary = "Make an image of a container's changes", .flags = kEngineCommitFlags, .least_arguments = 1, .most_arguments = 2}, .run = commit_container};
const Command kEngineExport{.syntax = {.name = "export", .arguments = "CONTAINER", .summary = "Write a container's file system as a tar archive", .flags = kEngineExportFlags, .least_arguments = 1, .most_arguments = 1}, .run = export_container};

}  // namespace gantry::cli
