// POST /build: Docker's classic build. The body is the context as a tar, the answer a stream of JSON lines.
#include <stdlib.h>

#include <atomic>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/scope_exit.h"
#include "base/strings.h"
#include "daemon/body_pipe.h"
#include "daemon/docker/answers.h"
#include "daemon/docker/image_events.h"
#include "daemon/docker/progress_stream.h"
#include "daemon/docker/routes.h"
#include "daemon/hang_up.h"
#include "engine/build/context_archive.h"
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
  for (const char* name : {"cpusetcpus", "cpusetmems", "cgroupparent", "remote", "outputs", "session"}) {
    if (query.has(name)) return unsupported(std::string("the build option ") + name + " is not supported");
  }
  const json limits = TRY(json_param(query, "ulimits"));
  if (!limits.is_null() && !limits.empty()) return unsupported("the build option ulimits is not supported");
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
  request.no_cache = query.flag("nocache");
  request.pull = query.flag("pull");
  request.network_mode = query.get("networkmode");
  for (const std::string& item : query.all("extrahosts")) {
    for (const std::string& host : split(item, ',')) request.extra_hosts.push_back(host);
  }
  const std::optional<int64_t> shm_size = TRY(query.number("shmsize"));
  if (shm_size.value_or(0) > 0) request.shm_size = static_cast<uint64_t>(*shm_size);
  return request;
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
  const size_t at = error.message().rfind(kWords);
  if (at == std::string::npos) return 0;
  return static_cast<int>(parse_unsigned(std::string_view(error.message()).substr(at + kWords.size())).value_or(0));
}

Result<std::vector<std::string>> familiar_names(const std::vector<std::string>& tags) {
  std::vector<std::string> names;
  for (const std::string& tag : tags) {
    const engine::Reference reference = TRY(engine::Reference::parse(tag));
    names.push_back(reference.familiar());
  }
  return names;
}

Result<> build(Exchange& exchange, const Call& call, World& world) {
  engine::BuildRequest request = TRY(parse_request(call.query));
  request.context = TRY(make_context_directory(world));
  const ScopeExit clean([&request] {
    std::error_code ignored;  // what stays is removed by the next start
    std::filesystem::remove_all(request.context, ignored);
  });
  // Nothing is sent before the whole body has been read: a client that is still sending would not read it.
  TRY(with_body(exchange, [&](int archive) { return engine::extract_context(archive, request.context); }));

  std::atomic<bool> gone{false};
  const HangUpWatcher::Watch watch(world.hang_ups, exchange.socket(), [&gone] { gone = true; });
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

}  // namespace

void add_build_routes(Router& router, World& world) {
  router.add("POST", "/build", [&world](Exchange& exchange, const Call& call) { return build(exchange, call, world); });
}

}  // namespace gantry::daemon::docker
