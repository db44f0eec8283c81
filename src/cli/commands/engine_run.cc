// gantry run: a container from an image, with the commonest options of `docker run`.
#include "base/strings.h"
#include "cli/attached_process.h"
#include "cli/commands/commands.h"
#include "cli/exit.h"
#include "cli/image_pull.h"
#include "cli/operation.h"
#include "compose/values.h"

namespace gantry::cli {

namespace {

constexpr Flag kFlags[] = {
    {.name = "rm", .help = "Remove the container when it exits"},
    {.name = "detach", .letter = 'd', .help = "Run in the background and print the container's id"},
    {.name = "interactive", .letter = 'i', .help = "Send standard input"},
    {.name = "tty", .letter = 't', .help = "With a terminal"},
    {.name = "env",
     .letter = 'e',
     .kind = FlagKind::list,
     .value_name = "KEY=VALUE",
     .help = "Set an environment variable"},
    {.name = "volume",
     .letter = 'v',
     .kind = FlagKind::list,
     .value_name = "SOURCE:TARGET",
     .help = "Mount a directory or volume"},
    {.name = "publish",
     .letter = 'p',
     .kind = FlagKind::list,
     .value_name = "[IP:][HOST:]PORT[/PROTO]",
     .help = "Publish a port"},
    {.name = "name", .kind = FlagKind::text, .value_name = "NAME", .help = "Name of the container"},
    {.name = "network", .kind = FlagKind::text, .value_name = "NETWORK", .help = "Network to join"},
    {.name = "restart",
     .kind = FlagKind::text,
     .value_name = "POLICY",
     .help = "no, always, unless-stopped or on-failure[:N]"},
    {.name = "entrypoint",
     .kind = FlagKind::text,
     .value_name = "COMMAND",
     .help = "Instead of the image's entrypoint"},
    {.name = "user", .letter = 'u', .kind = FlagKind::text, .value_name = "USER", .help = "Run as this user"},
    {.name = "workdir", .letter = 'w', .kind = FlagKind::text, .value_name = "DIR", .help = "Run in this directory"},
    {.name = "hostname",
     .letter = 'h',
     .kind = FlagKind::text,
     .value_name = "NAME",
     .help = "Host name of the container"},
    {.name = "label", .letter = 'l', .kind = FlagKind::list, .value_name = "KEY=VALUE", .help = "Set a label"},
};

// "127.0.0.1:8080:80/tcp", "8080:80", "80", "[::1]:8080:80"
Result<PortBinding> parse_port(const std::string& text) {
  const Error bad = invalid("invalid port " + gantry::quoted(text) + ": give [IP:][HOST:]CONTAINER[/PROTOCOL]");
  PortBinding port;
  std::string_view rest = text;
  if (const size_t slash = rest.rfind('/'); slash != std::string_view::npos) {
    port.protocol = to_lower(rest.substr(slash + 1));
    rest = rest.substr(0, slash);
  }
  const auto take_number = [&rest](uint16_t& number) {
    const size_t colon = rest.rfind(':');
    const auto value = parse_unsigned(colon == std::string_view::npos ? rest : rest.substr(colon + 1));
    rest = colon == std::string_view::npos ? std::string_view() : rest.substr(0, colon);
    if (!value || *value > 65535) return false;
    number = static_cast<uint16_t>(*value);
    return true;
  };
  if (!take_number(port.target) || port.target == 0) return bad;
  if (rest.empty()) return port;
  if (!rest.ends_with(':') && !take_number(port.published)) return bad;
  if (rest.ends_with(':')) rest.remove_suffix(1);  // "IP::80": any host port
  if (rest.starts_with('[') && rest.ends_with(']')) rest = rest.substr(1, rest.size() - 2);
  port.ip = rest;
  return port;
}

std::vector<std::string> resolved_variables(const Session& session, const std::vector<std::string>& given) {
  std::vector<std::string> variables;
  for (const std::string& variable : given) {
    if (variable.find('=') != std::string::npos) {
      variables.push_back(variable);
    } else if (session.environment().contains(variable)) {
      variables.push_back(variable + "=" + session.variable(variable));
    }
  }
  return variables;
}

Result<RunRequest> run_request(const Session& session, const Arguments& arguments, const TerminalChoice& terminal) {
  const auto& words = arguments.positional();
  RunRequest request{.image = words[0],
                     .command = {words.begin() + 1, words.end()},
                     .environment = resolved_variables(session, arguments.list("env")),
                     .network = arguments.text("network"),
                     .restart = arguments.text("restart"),
                     .user = arguments.text("user"),
                     .working_dir = arguments.text("workdir"),
                     .hostname = arguments.text("hostname"),
                     .tty = terminal.tty,
                     .interactive = terminal.interactive,
                     .attach_output = !arguments.on("detach"),
                     .auto_remove = arguments.on("rm")};
  if (arguments.given("entrypoint")) request.entrypoint = TRY(compose::split_command(arguments.text("entrypoint")));
  for (const std::string& volume : arguments.list("volume")) {
    if (volume.find(':') == std::string::npos) {
      request.volumes.push_back(volume);
    } else if (volume.starts_with('.')) {  // relative to where the user is, not the daemon
      request.binds.push_back((std::filesystem::current_path() / volume).lexically_normal().string());
    } else {
      request.binds.push_back(volume);
    }
  }
  for (const std::string& port : arguments.list("publish")) request.ports.push_back(TRY(parse_port(port)));
  for (const std::string& label : arguments.list("label")) {
    const size_t equals = label.find('=');
    request.labels[label.substr(0, equals)] = equals == std::string::npos ? "" : label.substr(equals + 1);
  }
  return request;
}

// A missing image is pulled, as `docker run` does.
Result<std::string> create(Session& session, const std::string& name, const RunRequest& request) {
  client::ApiClient* api = TRY(session.api());
  const std::string body = TRY(create_body(request));
  const std::string path = "/containers/create" + (name.empty() ? "" : "?name=" + client::url_encode(name));
  auto answer = TRY(api->request("POST", path, body));
  const bool image_missing = answer.status == 404 && answer.body.find("No such image") != std::string::npos;
  if (image_missing) {
    session.err.write("Unable to find image " + gantry::quoted(request.image) + " locally\n");
    OperationView drawing(TRY(session.progress_style("pull")), session);
    TRY(pull_image(session, request.image, "", drawing.view()));
    drawing.view().finish();
    answer = TRY(api->request("POST", path, body));
  }
  return parse_id(TRY(std::move(answer).ok_body()));
}

// As Docker: what keeps a program from starting has a status of its own.
int start_failure_status(const std::string& message) {
  const auto has = [&](std::string_view text) { return message.find(text) != std::string::npos; };
  if (has("executable file not found") || has("no such file or directory")) return kExitNotFound;
  return has("permission denied") || has("is a directory") ? kExitNotExecutable : kExitLostContainer;
}

Result<int> run(Session& session, const Arguments& arguments) {
  const bool detach = arguments.on("detach");
  const auto terminal = TRY(choose_terminal(
      session, {.tty = arguments.on("tty") && !detach, .interactive = arguments.on("interactive") && !detach}));
  const auto request = TRY(run_request(session, arguments, terminal));
  auto id = create(session, arguments.text("name"), request);
  if (!id.ok()) {
    session.fail(id.error().message());
    return kExitLostContainer;
  }
  Result<int> status = 0;
  if (detach) {
    if (auto started = post(*TRY(session.api()), container_path(*id, "start")); !started.ok()) {
      status = std::move(started).error();
    }
  } else {
    status = start_attached(session, *id, terminal, arguments.on("rm") ? AtEnd::removed : AtEnd::stays);
  }
  if (!status.ok()) {
    session.fail(status.error().message());
    return start_failure_status(status.error().message());
  }
  if (detach) session.out.write(*id + "\n");
  return *status;
}

}  // namespace

const Command kEngineRun{.syntax = {.name = "run",
                                    .arguments = "IMAGE [COMMAND] [ARGS...]",
                                    .summary = "Run a command in a new container",
                                    .flags = kFlags,
                                    .least_arguments = 1,
                                    .interspersed = false},
                         .run = run};

}  // namespace gantry::cli
