// gantry context …, certs init and system dial-stdio: which daemons there are and how they are reached.
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <nlohmann/json.hpp>

#include "base/fd.h"
#include "base/roots.h"
#include "base/strings.h"
#include "cli/commands/commands.h"
#include "cli/commands/engine_helpers.h"
#include "client/tls_program.h"
#include "client/contexts.h"

namespace gantry::cli {

namespace {

using K = FlagKind;

constexpr Flag kContextCreateFlags[] = {
    {.name = "description", .kind = K::text, .value_name = "TEXT", .help = "What it is"},
    {.name = "docker", .kind = K::text, .value_name = "KEY=VALUE,…", .help = "host=ADDRESS,ca=FILE,cert=FILE,key=FILE,skip-tls-verify=BOOL"},
    {.name = "host", .kind = K::text, .value_name = "ADDRESS", .help = "Address (unix://, tcp://, ssh://)"},
    {.name = "certs", .kind = K::text, .value_name = "DIR", .help = "Directory with ca.pem, cert.pem and key.pem"},
};
constexpr Flag kContextListFlags[] = {
    {.name = "format", .kind = K::text, .value_name = "FORMAT", .help = "table, json, or a template"},
    {.name = "quiet", .letter = 'q', .help = "Print names only"},
};
constexpr Flag kContextInspectFlags[] = {
    {.name = "format", .letter = 'f', .kind = K::text, .value_name = "TEMPLATE", .help = "Print this of each"},
};
constexpr Flag kContextRemoveFlags[] = {{.name = "force", .letter = 'f', .help = "Even if it is in use"}};
constexpr Flag kCertsFlags[] = {
    {.name = "client", .kind = K::text, .value_name = "NAME", .help = "Whom the client's certificate names (client)"},
    {.name = "days", .kind = K::number, .value_name = "N", .help = "How long the certificates are valid (825)"},
    {.name = "dir", .kind = K::text, .value_name = "DIR", .help = "Where they go (DATA_ROOT/certs)"},
    {.name = "host", .kind = K::list, .value_name = "NAME|IP", .help = "Name or address of the daemon's machine; repeatable"},
};

constexpr Column kContextColumns[] = {{"Current", ""}, {"Description", "DESCRIPTION"}, {"DockerEndpoint", "DOCKER ENDPOINT"},
                                      {"Error", "ERROR"}, {"Name", "NAME"}};

// The directory of a context's files, from a path given for the user's working directory.
std::string absolute(const std::string& path) { return path.empty() ? path : std::filesystem::absolute(path).string(); }

Result<client::Context> context_of(const Arguments& arguments) {
  client::Context context{.name = arguments.positional()[0], .description = arguments.text("description"), .host = arguments.text("host")};
  if (arguments.given("certs")) {
    const std::filesystem::path directory = absolute(arguments.text("certs"));
    context.tls = {.ca = directory / "ca.pem", .cert = directory / "cert.pem", .key = directory / "key.pem"};
  }
  if (arguments.given("docker")) {
    for (const std::string& field : split(arguments.text("docker"), ',')) {
      const size_t equals = field.find('=');
      const std::string key = field.substr(0, equals), value = equals == std::string::npos ? "" : field.substr(equals + 1);
      if (key == "host") context.host = value;
      else if (key == "ca") context.tls.ca = absolute(value);
      else if (key == "cert") context.tls.cert = absolute(value);
      else if (key == "key") context.tls.key = absolute(value);
      else if (key == "skip-tls-verify") context.skip_verify = value == "true" || value == "1";
      else return invalid("unrecognized config key: " + key);
    }
  }
  if (context.host.empty()) return invalid("docker endpoint configuration is required: give --host ADDRESS or --docker host=ADDRESS");
  return context;
}

Result<int> create_context(Session& session, const Arguments& arguments) {
  client::Contexts contexts(session.environment());
  const client::Context context = TRY(context_of(arguments));
  TRY(contexts.create(context));
  session.out.write(context.name + "\n");
  session.err.write("Successfully created context \"" + context.name + "\"\n");
  return 0;
}

Result<std::string> local_address(const Session& session) {
  client::Contexts::Environment environment = session.environment();
  for (const char* name : {"GANTRY_HOST", "DOCKER_HOST", "GANTRY_CONTEXT", "DOCKER_CONTEXT"}) environment.erase(name);
  const Globals& globals = session.globals();
  return TRY(client::Endpoint::from_environment(environment, "", globals.data_root, globals.run_root, {.context = "default"})).host;
}

Result<int> list_contexts(Session& session, const Arguments& arguments) {
  const client::Contexts contexts(session.environment());
  const std::string current = session.globals().connection.context.empty() ? TRY(contexts.current()) : session.globals().connection.context;
  std::vector<client::Context> all = TRY(contexts.list());
  const std::string local = TRY(local_address(session));
  all.insert(all.begin(), {.name = "default", .description = "The daemon of this machine", .host = local});
  std::vector<Value> rows;
  for (const client::Context& context : all) {
    if (arguments.on("quiet")) {
      session.out.write(context.name + "\n");
      continue;
    }
    const bool is_current = context.name == current;
    const bool table = arguments.text("format").empty() || arguments.text("format").starts_with("table");
    Value row = make_row({{"Current", ""}, {"Description", context.description}, {"DockerEndpoint", context.host}, {"Error", ""},
                          {"Name", context.name + (is_current && table ? " *" : "")}});
    if (!table) row["Current"] = is_current;
    rows.push_back(std::move(row));
  }
  if (arguments.on("quiet")) return 0;
  session.out.write(TRY(format_list({kContextColumns, "{{.Name}}\t{{.Description}}\t{{.DockerEndpoint}}\t{{.Error}}"}, arguments.text("format"), rows)));
  return 0;
}

Result<int> use(Session& session, const Arguments& arguments) {
  const std::string& name = arguments.positional()[0];
  TRY(client::Contexts(session.environment()).use(name));
  session.out.write(name + "\n");
  session.err.write("Current context is now \"" + name + "\"\n");
  for (const char* variable : {"GANTRY_HOST", "DOCKER_HOST", "GANTRY_CONTEXT", "DOCKER_CONTEXT"}) {
    if (session.variable(variable).empty()) continue;
    session.warn(std::string(variable) + " environment variable overrides the active context. To use \"" + name +
                 "\", either set the global --context flag, or unset it.");
  }
  return 0;
}

Result<int> show(Session& session, const Arguments&) {
  const std::string& flag = session.globals().connection.context;
  session.out.write((flag.empty() ? TRY(client::Contexts(session.environment()).current()) : flag) + "\n");
  return 0;
}

Result<int> remove_contexts(Session& session, const Arguments& arguments) {
  client::Contexts contexts(session.environment());
  int status = 0;
  for (const std::string& name : arguments.positional()) {
    if (arguments.on("force") && TRY(contexts.current()) == name) TRY(contexts.use("default"));
    if (const auto removed = contexts.remove(name); removed.ok()) {
      session.out.write(name + "\n");
    } else {
      session.fail(removed.error().message());
      status = 1;
    }
  }
  return status;
}

Result<int> inspect_contexts(Session& session, const Arguments& arguments) {
  const client::Contexts contexts(session.environment());
  std::vector<std::string> names = arguments.positional();
  if (names.empty()) names.push_back(TRY(contexts.current()));
  std::optional<Template> line;
  if (arguments.given("format")) line = TRY(Template::parse(arguments.text("format")));
  Value objects = Value::array();
  const std::string local = TRY(local_address(session));
  for (const std::string& name : names) {
    client::Context context{.name = "default", .description = "", .host = local};
    if (name != "default") context = TRY(contexts.find(name));
    Value tls = Value::array();
    for (const std::string& file : {context.tls.ca, context.tls.cert, context.tls.key}) {
      if (!file.empty()) tls.push_back(std::filesystem::path(file).filename().string());
    }
    Value object = {{"Name", context.name},
                    {"Metadata", {{"Description", context.description}}},
                    {"Endpoints", {{"docker", {{"Host", context.host}, {"SkipTLSVerify", context.skip_verify}}}}},
                    {"TLSMaterial", tls.empty() ? Value::object() : Value{{"docker", tls}}},
                    {"Storage", {{"MetadataPath", context.metadata.empty() ? "<IN MEMORY>" : context.metadata.parent_path().string()}}}};
    if (line) session.out.write(TRY(line->run(object)) + "\n");
    objects.push_back(std::move(object));
  }
  if (!line) session.out.write(objects.dump(4, ' ', false, Value::error_handler_t::replace) + "\n");
  return 0;
}

Result<int> certs(Session& session, const Arguments& arguments) {
  const Roots roots = resolve_roots(session.globals().data_root.empty() ? session.variable("GANTRY_DATA_ROOT") : session.globals().data_root,
                                    session.globals().run_root);
  client::CertificateRequest request{.directory = arguments.given("dir") ? std::filesystem::path(absolute(arguments.text("dir"))) : roots.data / "certs",
                                     .hosts = arguments.list("host"),
                                     .client = arguments.text("client", "client")};
  request.days = static_cast<int>(arguments.number("days").value_or(request.days));
  if (request.days < 1 || request.days > 3650) return invalid("--days must be 1 to 3650");
  TRY(client::make_certificates_elsewhere(request));
  const std::string directory = request.directory.string();
  session.out.write("Certificates are in " + directory + "\n\nDaemon:  gantry daemon --host unix://" + (roots.run / "gantry.sock").string() +
                    " --host tcp://ADDRESS:2376 --tlsverify \\\n           --tlscacert " + directory + "/ca.pem --tlscert " + directory +
                    "/server-cert.pem --tlskey " + directory + "/server-key.pem\nClient:  copy ca.pem, cert.pem and key.pem to it, then\n"
                    "         gantry context create NAME --host tcp://ADDRESS:2376 --certs DIRECTORY\n");
  return 0;
}

// Standard input and output ⇄ the daemon's socket: what `ssh HOST gantry system dial-stdio` does at the other end.
Result<int> dial_stdio(Session& session, const Arguments&) {
  TRY(session.api());  // starts the daemon if need be
  const Globals& globals = session.globals();
  const auto endpoint = TRY(client::Endpoint::from_environment(session.environment(), globals.host, globals.data_root, globals.run_root, globals.connection));
  const Fd socket = TRY(client::dial(TRY(client::Address::parse(endpoint.host)), endpoint.tls));
  char buffer[32 << 10];
  bool reading = true;
  for (;;) {
    pollfd ready[] = {{reading ? session.in : -1, POLLIN, 0}, {socket.get(), POLLIN, 0}};
    if (::poll(ready, 2, -1) < 0 && errno != EINTR) return Error::from_errno(errno, "poll");
    if (ready[0].revents != 0) {
      const ssize_t got = ::read(session.in, buffer, sizeof buffer);
      if (got > 0) TRY(write_all(socket.get(), {buffer, static_cast<size_t>(got)}));
      if (got == 0) {
        ::shutdown(socket.get(), SHUT_WR);
        reading = false;
      }
    }
    if (ready[1].revents != 0) {
      const ssize_t got = ::read(socket.get(), buffer, sizeof buffer);
      if (got <= 0) return 0;
      TRY(write_all(session.out.fd(), {buffer, static_cast<size_t>(got)}));
    }
  }
}

}  // namespace

const Command kContextCreate{.syntax = {.name = "context create", .arguments = "NAME", .summary = "Name a daemon", .flags = kContextCreateFlags, .least_arguments = 1, .most_arguments = 1}, .run = create_context};
const Command kContextList{.syntax = {.name = "context ls", .arguments = "", .summary = "List contexts", .flags = kContextListFlags, .most_arguments = 0}, .run = list_contexts};
const Command kContextUse{.syntax = {.name = "context use", .arguments = "NAME", .summary = "Choose the daemon that commands talk to", .flags = {}, .least_arguments = 1, .most_arguments = 1}, .run = use};
const Command kContextShow{.syntax = {.name = "context show", .arguments = "", .summary = "Print the name of the context in use", .flags = {}, .most_arguments = 0}, .run = show};
const Command kContextRemove{.syntax = {.name = "context rm", .arguments = "NAME [NAME...]", .summary = "Remove contexts", .flags = kContextRemoveFlags, .least_arguments = 1}, .run = remove_contexts};
const Command kContextInspect{.syntax = {.name = "context inspect", .arguments = "[NAME...]", .summary = "Print all about contexts", .flags = kContextInspectFlags}, .run = inspect_contexts};
const Command kCertsInit{.syntax = {.name = "certs init", .arguments = "", .summary = "Make certificates for the API on TCP: an authority, the daemon's, a client's", .flags = kCertsFlags, .most_arguments = 0}, .run = certs};
const Command kDialStdio{.syntax = {.name = "system dial-stdio", .arguments = "", .summary = "Pass standard input and output on to the daemon's socket (for ssh://)", .flags = {}, .most_arguments = 0}, .run = dial_stdio};

}  // namespace gantry::cli
