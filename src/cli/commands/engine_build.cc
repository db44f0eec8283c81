// gantry build: an image from a Dockerfile, with docker build's options.
#include <algorithm>

#include "base/strings.h"
#include "cli/build_output.h"
#include "cli/build_request.h"
#include "cli/commands/commands.h"
#include "cli/credentials.h"
#include "cli/image_build.h"
#include "cli/image_push.h"
#include "cli/limits.h"
#include "cli/operation.h"
#include "compose/values.h"

namespace gantry::cli {

namespace {

constexpr Flag kEngineBuildFlags[] = {
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
    {.name = "ulimit",
     .kind = FlagKind::list,
     .value_name = "NAME=SOFT[:HARD]",
     .help = "Limit of the processes of RUN"},
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
     .value_name = "REF|type=registry,ref=REF|type=local,src=DIR",
     .help = "Cache elsewhere to take steps from"},
    {.name = "cache-to",
     .kind = FlagKind::list,
     .value_name = "type=inline|registry,ref=REF|local,dest=DIR[,mode=max]",
     .help = "Where to leave the steps for others"},
    {.name = "output",
     .letter = 'o',
     .kind = FlagKind::list,
     .value_name = "DIR|-|type=TYPE[,dest=PATH]",
     .help = "Where the result goes: local, tar, oci, docker, image or registry"},
    {.name = "push", .help = "Push the image: as --output type=registry"},
    {.name = "load", .help = "Keep the image in the store, which is done anyway"},
    {.name = "pull", .help = "Look for newer base images"},
    {.name = "quiet", .letter = 'q', .help = "Print the image's id only"},
};

// Where the context comes from, and the Dockerfile's name in it.
Result<std::string> place_context(Session& session, const Arguments& arguments, ContextOptions& context) {
  const std::string outside = ".gantry.Dockerfile";
  const std::string& place = arguments.positional()[0];
  if (place == "-") return outside;
  if (is_context_url(place)) {
    context.url = place;
    if (arguments.text("file") != "-") return arguments.text("file", "Dockerfile");
    context.extra[outside] = TRY(read_all(session.in, size_t{16} << 20));
    return outside;
  }
  context.directory = std::filesystem::absolute(place);
  if (arguments.text("file") == "-") {
    context.extra[outside] = TRY(read_all(session.in, size_t{16} << 20));
    return outside;
  }
  const std::filesystem::path file = arguments.text("file", (context.directory / "Dockerfile").string());
  const std::string inside = std::filesystem::absolute(file)
                                 .lexically_normal()
                                 .lexically_relative(context.directory.lexically_normal())
                                 .string();
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

Result<> add_caches(const Session& session, const Arguments& arguments, std::string& query) {
  for (const auto& [flag, parameter] :
       {std::pair("cache-from", "cachefrom"), std::pair("cache-to", "gantry-cache-to")}) {
    std::vector<std::string> options;
    for (const std::string& text : arguments.list(flag)) {
      options.push_back(TRY(cache_option(text, std::filesystem::current_path(), daemon_is_local(session))));
    }
    if (!options.empty()) add_parameter(query, parameter, json_list(options));
  }
  return {};
}

Result<BuildCall> build_call(Session& session, const Arguments& arguments) {
  BuildCall call{.query = "version=1&rm=1", .tags = arguments.list("tag")};
  call.dockerfile = TRY(place_context(session, arguments, call.context));
  const auto add = [&call](std::string_view key, std::string_view value) { add_parameter(call.query, key, value); };
  if (arguments.positional()[0] != "-") add("dockerfile", call.dockerfile);
  if (arguments.given("target")) add("target", arguments.text("target"));
  if (const std::string platform = arguments.text("platform"); !platform.empty()) {
    if (platform.find(',') != std::string::npos) {
      return unsupported("--platform " + platform + ": an image is built for one platform at a time");
    }
    add("platform", platform);
  }
  if (arguments.given("network")) add("networkmode", arguments.text("network"));
  if (arguments.on("no-cache")) add("nocache", "1");
  if (arguments.on("pull")) add("pull", "1");
  for (const std::string& host : arguments.list("add-host")) add("extrahosts", host);
  if (arguments.given("shm-size")) {
    add("shmsize", std::to_string(TRY(compose::parse_bytes(arguments.text("shm-size")).within("--shm-size"))));
  }
  std::map<std::string, std::pair<int64_t, int64_t>> limits;
  for (const std::string& text : arguments.list("ulimit")) {
    const NamedLimit limit = TRY(parse_limit(text));
    limits[limit.name] = {limit.soft, limit.hard};
  }
  if (!limits.empty()) add("ulimits", limits_json(limits));
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
  TRY(add_caches(session, arguments, call.query));
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
  const bool is_archive = head.starts_with("\x1f\x8b") || head.starts_with("BZh") ||
                          head.starts_with(
                              "\xfd"
                              "7zXZ") ||
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

bool goes_to_standard_output(const BuildOutput& output) {
  const bool is_stream = output.kind == BuildOutput::Kind::tar || output.kind == BuildOutput::Kind::archive;
  return is_stream && output.destination.empty();
}

Result<std::vector<BuildOutput>> outputs_of(const Arguments& arguments) {
  std::vector<BuildOutput> outputs;
  for (const std::string& text : arguments.list("output")) outputs.push_back(TRY(parse_build_output(text)));
  if (arguments.on("push")) outputs.push_back({.kind = BuildOutput::Kind::store, .push = true});
  if (std::count_if(outputs.begin(), outputs.end(), goes_to_standard_output) > 1) {
    return invalid("only one --output can be written to standard output");
  }
  return outputs;
}

Result<> write_outputs(Session& session, const std::vector<BuildOutput>& outputs, const std::vector<std::string>& tags,
                       const std::string& image) {
  bool is_kept = !tags.empty() || outputs.empty();
  for (const BuildOutput& output : outputs) {
    TRY(write_build_output(session, output,
                           tags.empty() || output.kind != BuildOutput::Kind::archive ? image : tags[0]));
    is_kept = is_kept || output.kind == BuildOutput::Kind::store;
    if (!output.push) continue;
    if (tags.empty()) return invalid("a build that is pushed needs a name: give --tag");
    OperationView drawing(TRY(session.progress_style("push")), session);
    const auto failures = TRY(push_images(session, tags, drawing.view()));
    drawing.view().finish();
    if (!failures.empty()) return failures.begin()->second;
  }
  if (is_kept) return {};
  // Nobody has a name for it; its steps stay in the cache.
  TRY((*TRY(session.api())).request("DELETE", image_path(image)));
  return {};
}

Result<int> build_image(Session& session, const Arguments& arguments) {
  const std::vector<BuildOutput> outputs = TRY(outputs_of(arguments));
  BuildCall call = TRY(build_call(session, arguments));
  for (const BuildOutput& output : outputs) {
    call.tags.insert(call.tags.end(), output.names.begin(), output.names.end());
  }
  client::ApiClient* api = TRY(session.api());
  const std::string auths = TRY(CredentialStore(session.environment()).header_of_all());
  const bool is_taken = std::any_of(outputs.begin(), outputs.end(), goes_to_standard_output);
  BuildStream stream;
  bool failed = false;
  const std::function<bool(std::string_view)> on_line = [&](std::string_view line) {
    failed = !stream.line(line) || failed;
    for (const std::string& text : stream.take_lines()) {
      if (!arguments.on("quiet")) (is_taken ? session.err : session.out).write(text + "\n");
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
  TRY(write_outputs(session, outputs, call.tags, stream.image_id()));
  if (arguments.on("quiet") && !is_taken) session.out.write(stream.image_id() + "\n");
  return 0;
}

}  // namespace

const Command kEngineBuild{.syntax = {.name = "build",
                                      .arguments = "PATH|URL|-",
                                      .summary = "Build an image from a Dockerfile",
                                      .flags = kEngineBuildFlags,
                                      .least_arguments = 1,
                                      .most_arguments = 1},
                           .run = build_image};

}  // namespace gantry::cli
