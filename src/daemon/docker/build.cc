// POST /build: Docker's classic build. The body is the context as a tar, the answer a stream of JSON lines.
#include <stdlib.h>
#include <sys/stat.h>

#include <atomic>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/fd.h"
#include "base/scope_exit.h"
#include "base/strings.h"
#include "daemon/body_pipe.h"
#include "daemon/docker/answers.h"
#include "daemon/docker/filters.h"
#include "daemon/docker/image_events.h"
#include "daemon/docker/progress_stream.h"
#include "daemon/docker/prune.h"
#include "daemon/docker/routes.h"
#include "daemon/hang_up.h"
#include "engine/build/context_archive.h"
#include "engine/build/dockerfile.h"
#include "engine/build/lint.h"
#include "engine/build/remote_context.h"
#include "engine/image/reference.h"

namespace gantry::daemon::docker {
namespace {

using engine::BuildProgress;
using nlohmann::json;

// A JSON parameter of the query; null if it is missing or empty.
Result<json> json_param(const Query& query, const char* name) {
  if (!query.has(name)) return json();
  json value = json::parse(query.get(name), nullptr, /*allow_exceptions=*/false);
  if (value.is_discarded()) return invalid(std::string("invalid ") + name + ": not valid JSON");
  return value;
}

// {"KEY": "value" | null}
Result<std::map<std::string, std::optional<std::string>>> text_map_param(const Query& query, const char* name) {
  std::map<std::string, std::optional<std::string>> map;
  const json value = TRY(json_param(query, name));
  if (value.is_null()) return map;
  if (!value.is_object()) return invalid(std::string("invalid ") + name + ": expected an object of strings");
  for (const auto& [key, item] : value.items()) {
    if (item.is_string()) {
      map[key] = item.get<std::string>();
    } else if (item.is_null()) {
      map[key] = std::nullopt;
    } else {
      return invalid(std::string("invalid ") + name + ": expected an object of strings");
    }
  }
  return map;
}

// Limits for the steps' containers and other things that are not built: refused when they are really set.
Result<> refuse_unsupported(const Query& query) {
  for (const char* name : {"memory", "memswap", "cpushares", "cpuperiod", "cpuquota"}) {
    const std::optional<int64_t> value = TRY(query.number(name));
    if (value.value_or(0) != 0) return unsupported(std::string("the build option ") + name + " is not supported");
  }
  for (const char* name : {"cpusetcpus", "cpusetmems", "cgroupparent", "outputs", "session"}) {
    if (query.has(name)) return unsupported(std::string("the build option ") + name + " is not supported");
  }
  if (query.flag("squash")) return invalid("squash is only supported with experimental mode");
  const std::string version = query.get("version");
  if (!version.empty() && version != "1" && version != "2")
    return invalid("invalid version " + gantry::quoted(version));
  if (query.has("securityopt")) {
    const json options = TRY(json_param(query, "securityopt"));
    if (!options.empty())
      return invalid("The daemon on this platform does not support setting security options on build");
  }
  return {};
}

// [{"Name": "nofile", "Soft": 1024, "Hard": 2048}]
Result<std::vector<engine::Ulimit>> parse_ulimits(const Query& query) {
  std::vector<engine::Ulimit> limits;
  const json list = TRY(json_param(query, "ulimits"));
  if (list.is_null()) return limits;
  const Error wrong = invalid("invalid ulimits: expected [{\"Name\": …, \"Soft\": …, \"Hard\": …}]");
  if (!list.is_array()) return wrong;
  for (const json& item : list) {
    const bool fits = item.is_object() && item.contains("Name") && item["Name"].is_string() && item.contains("Soft") &&
                      item["Soft"].is_number_integer() && item.contains("Hard") && item["Hard"].is_number_integer();
    if (!fits) return wrong;
    limits.push_back({.name = item["Name"].get<std::string>(),
                      .soft = item["Soft"].get<int64_t>(),
                      .hard = item["Hard"].get<int64_t>()});
  }
  return limits;
}

Result<engine::BuildRequest> parse_request(const Query& query) {
  TRY(refuse_unsupported(query));
  engine::BuildRequest request;
  if (query.has("dockerfile")) request.dockerfile = query.get("dockerfile");
  request.target = query.get("target");
  request.build_args = TRY(text_map_param(query, "buildargs"));
  const auto labels = TRY(text_map_param(query, "labels"));
  for (const auto& [name, value] : labels) request.labels[name] = value.value_or("");
  request.tags = query.all("t");
  for (const std::string& tag : request.tags) TRY(engine::Reference::parse(tag));
  request.platform = query.get("platform");
  if (request.platform.find(',') != std::string::npos) {
    return unsupported("platform " + request.platform + ": an image is built for one platform at a time");
  }
  request.no_cache = query.flag("nocache");
  request.pull = query.flag("pull");
  request.network_mode = query.get("networkmode");
  const json caches = TRY(json_param(query, "cachefrom"));
  if (caches.is_array()) {
    for (const json& item : caches) {
      if (item.is_string()) request.cache_from.push_back(item.get<std::string>());
    }
  }
  const json targets = TRY(json_param(query, "gantry-cache-to"));
  if (targets.is_array()) {
    for (const json& item : targets) {
      if (item.is_string()) request.cache_to.push_back(item.get<std::string>());
    }
  }
  // Gantry's own parameters: what BuildKit's clients send by other ways.
  for (const auto& [name, value] : TRY(text_map_param(query, "gantry-contexts"))) {
    request.contexts[to_lower(name)] = value.value_or("");
  }
  for (const auto& [id, socket] : TRY(text_map_param(query, "gantry-ssh"))) request.ssh[id] = socket.value_or("");
  for (const std::string& stage : query.all("gantry-no-cache-filter")) {
    request.no_cache_filter.insert(to_lower(stage));
  }
  request.allows_insecure = query.get("gantry-allow") == "security.insecure";
  if (const std::optional<int64_t> epoch = TRY(query.number("gantry-source-date-epoch"))) {
    request.source_date_epoch = *epoch;
  }
  for (const std::string& item : query.all("extrahosts")) {
    for (const std::string& host : split(item, ',')) request.extra_hosts.push_back(host);
  }
  const std::optional<int64_t> shm_size = TRY(query.number("shmsize"));
  if (shm_size.value_or(0) > 0) request.shm_size = static_cast<uint64_t>(*shm_size);
  request.ulimits = TRY(parse_ulimits(query));
  return request;
}

// X-Registry-Config: base64 of {"host": {credentials}}; what is none is ignored, as in Docker.
std::map<std::string, std::string> parse_auths(const std::string& header) {
  std::map<std::string, std::string> auths;
  const json root = json::parse(base64_decode(header).value_or(""), nullptr, /*allow_exceptions=*/false);
  if (!root.is_object()) return auths;
  for (const auto& [server, credentials] : root.items()) {
    std::string domain = server;
    if (const size_t at = domain.find("://"); at != std::string::npos) domain.erase(0, at + 3);
    domain = domain.substr(0, domain.find('/'));
    if (domain == "index.docker.io" || domain == "registry-1.docker.io") domain = "docker.io";
    auths[domain] = base64_encode(credentials.dump());
  }
  return auths;
}

// X-Gantry-Secrets: base64 of {"id": base64 of the value}. A header, because queries and bodies leave traces.
Result<std::map<std::string, std::string>> parse_secrets(const std::string& header) {
  std::map<std::string, std::string> secrets;
  if (header.empty()) return secrets;
  const json root = json::parse(base64_decode(header).value_or(""), nullptr, /*allow_exceptions=*/false);
  if (!root.is_object()) return invalid("X-Gantry-Secrets is no base64 JSON object");
  for (const auto& [id, value] : root.items()) {
    const std::optional<std::string> content =
        value.is_string() ? base64_decode(value.get<std::string>()) : std::nullopt;
    if (!content) return invalid("X-Gantry-Secrets: the value of " + gantry::quoted(id) + " is no base64");
    secrets[id] = *content;
  }
  return secrets;
}

// gantry-context=PATH&gantry-context-id=DEVICE:INODE: a directory that the client sees, too, and that is read in
// place. Another one by that path (the client lives in a container) is a 409: the client then sends it.
Result<std::optional<std::filesystem::path>> local_context(const Query& query) {
  if (!query.has("gantry-context")) return std::optional<std::filesystem::path>();
  const std::filesystem::path path = query.get("gantry-context");
  struct stat status {};
  const bool is_there = path.is_absolute() && ::stat(path.c_str(), &status) == 0 && S_ISDIR(status.st_mode);
  const std::string id = std::to_string(status.st_dev) + ":" + std::to_string(status.st_ino);
  if (!is_there || id != query.get("gantry-context-id")) {
    return conflict("the build context " + path.string() + " is not the same directory for the daemon");
  }
  return std::optional(path);
}

Result<std::filesystem::path> make_context_directory(const World& world) {
  std::string path = (world.roots.data / "tmp" / "build-XXXXXX").native();
  if (::mkdtemp(path.data()) == nullptr) return Error::from_errno(errno, "mkdtemp", path);
  return std::filesystem::path(path);
}

// What the steps say, in the words of the classic builder.
class BuildStream {
 public:
  BuildStream(ProgressStream& stream, bool quiet) : stream_(stream), quiet_(quiet) {}

  void operator()(const BuildProgress& progress) {
    if (quiet_) return;
    if (!progress.instruction.empty()) {
      text("Step " + std::to_string(progress.step) + "/" + std::to_string(progress.steps) + " : " +
           progress.instruction);
      text("\n");
    }
    if (progress.cached) text(" ---> Using cache\n");
    if (!progress.output.empty()) {
      text(progress.is_stderr ? "\x1b[91m" + progress.output + "\x1b[0m" : progress.output);
    }
  }
  void finished(const std::string& id, const std::vector<std::string>& tags) {
    if (quiet_) return text(id + "\n");
    stream_.send({{"aux", {{"ID", id}}}});
    text("Successfully built " + id.substr(id.find(':') + 1, 12) + "\n");
    for (const std::string& tag : tags) text("Successfully tagged " + tag + "\n");
  }

 private:
  void text(const std::string& text) { stream_.send({{"stream", text}}); }

  ProgressStream& stream_;
  bool quiet_;
};

// "The command '…' returned a non-zero code: 3" → 3: the CLI exits with it.
int exit_code_of(const Error& error) {
  constexpr std::string_view kWords = "returned a non-zero code: ";
  const size_t at = error.message().find(kWords);
  if (at == std::string::npos) return 0;
  std::string_view number = std::string_view(error.message()).substr(at + kWords.size());
  number = number.substr(0, number.find_first_not_of("0123456789"));
  return static_cast<int>(parse_unsigned(number).value_or(0));
}

Result<std::vector<std::string>> familiar_names(const std::vector<std::string>& tags) {
  std::vector<std::string> names;
  for (const std::string& tag : tags) {
    const engine::Reference reference = TRY(engine::Reference::parse(tag));
    names.push_back(reference.familiar());
  }
  return names;
}

// `build --check`: what is wrong with the Dockerfile; nothing is built.
Result<> check(Exchange& exchange, const engine::BuildRequest& request) {
  const std::string text = request.dockerfile_text
                               ? *request.dockerfile_text
                               : TRY(read_file(request.context / request.dockerfile, kMaxJsonBody));
  const engine::Dockerfile file = TRY(engine::parse_dockerfile(text, request.dockerfile));
  engine::StageOptions options{.build_args = request.build_args, .platform_args = {}, .target = request.target};
  for (const char* name : {"TARGETPLATFORM", "TARGETOS", "TARGETARCH", "TARGETVARIANT", "BUILDPLATFORM", "BUILDOS",
                           "BUILDARCH", "BUILDVARIANT", "TARGETSTAGE"}) {
    options.platform_args[name] = "any";
  }
  const engine::LintRules rules = TRY(engine::LintRules::parse(file.check));
  std::vector<engine::LintWarning> warnings = engine::lint(file, options);
  std::erase_if(warnings, [&](const engine::LintWarning& warning) { return rules.skips(warning.rule); });
  ProgressStream stream(exchange);
  stream.send({{"stream", warnings.empty() ? "Check complete, no warnings found.\n"
                                           : "Check complete" + engine::render_warnings(warnings)}});
  return stream.finish({});
}

Result<> build(Exchange& exchange, const Call& call, World& world) {
  engine::BuildRequest request = TRY(parse_request(call.query));
  request.auths = parse_auths(exchange.request().headers.get("x-registry-config"));
  request.secrets = TRY(parse_secrets(exchange.request().headers.get("x-gantry-secrets")));
  const std::optional<std::filesystem::path> local = TRY(local_context(call.query));
  request.context_stays = local.has_value();
  const std::filesystem::path place = local ? *local : TRY(make_context_directory(world));
  request.context = place;
  const ScopeExit clean([&place, &local] {
    std::error_code ignored;  // what stays is removed by the next start
    if (!local) std::filesystem::remove_all(place, ignored);
  });
  std::atomic<bool> gone{false};
  const HangUpWatcher::Watch watch(world.hang_ups, exchange.socket(), [&gone] { gone = true; });
  // Nothing is sent before the whole body has been read: a client that is still sending would not read it. A local
  // context's body is the Dockerfile, if it does not lie in the context.
  if (call.query.has("remote")) {
    std::string text = TRY(exchange.read_body(kMaxJsonBody));
    if (!text.empty()) request.dockerfile_text = std::move(text);
    request.context = TRY(engine::fetch_context(call.query.get("remote"), place, [&gone] { return gone.load(); }));
  } else if (local) {
    std::string text = TRY(exchange.read_body(kMaxJsonBody));
    if (!text.empty()) request.dockerfile_text = std::move(text);
  } else {
    TRY(with_body(exchange, [&](int archive) { return engine::extract_context(archive, request.context); }));
  }

  if (call.query.flag("gantry-check")) return check(exchange, request);

  ProgressStream stream(exchange);
  BuildStream lines(stream, call.query.flag("q"));
  const Result<ImageId> built = world.build(
      request, [&lines](const BuildProgress& progress) { lines(progress); },
      [&] { return gone.load() || stream.broken(); });
  if (!built.ok()) return stream.finish(built.error(), exit_code_of(built.error()));
  const std::vector<std::string> names = TRY(familiar_names(request.tags));
  for (const std::string& name : names) emit_image_event(world, "tag", built->str(), name);
  lines.finished(built->str(), names);
  return stream.finish({});
}

// Cached steps and, without limits, the directories of cache mounts. Single entries have no names here, so that other
// filters are refused.
Result<> prune_build_cache(Exchange& exchange, const Call& call, World& world) {
  static constexpr std::string_view kKnown[] = {"until"};
  const Filters filters = TRY(Filters::parse(call.query.get("filters"), kKnown));
  engine::ImageStore::CachePrune limits;
  limits.unused_since = TRY(until_of(filters, world.loop.clock().wall()));
  for (const char* name : {"keep-storage", "reserved-space"}) {  // the later name of it
    const std::optional<int64_t> keep = TRY(call.query.number(name));
    if (keep.value_or(0) > 0) limits.keep_bytes = static_cast<uint64_t>(*keep);
  }
  const PruneTurn turn = TRY(PruneTurn::take(PruneTurn::Kind::builder));
  const uint64_t freed = TRY(world.engine.builder().prune_cache(limits));
  return send_json(exchange, 200, {{"CachesDeleted", json::array()}, {"SpaceReclaimed", freed}});
}

}  // namespace

void add_build_routes(Router& router, World& world) {
  for (const char* path : {"/session", "/grpc"}) {
    router.add("POST", path, [](Exchange&, const Call&) -> Result<> {
      return unsupported("BuildKit's protocol is not served here: set DOCKER_BUILDKIT=0, or use `gantry build`");
    });
  }
  router.add("POST", "/build/prune",
             [&world](Exchange& exchange, const Call& call) { return prune_build_cache(exchange, call, world); });
  router.add("POST", "/build", [&world](Exchange& exchange, const Call& call) { return build(exchange, call, world); });
}

}  // namespace gantry::daemon::docker
