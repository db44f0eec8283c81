// /volumes.
#include <nlohmann/json.hpp>

#include "daemon/docker/answers.h"
#include "daemon/docker/fields.h"
#include "daemon/docker/filters.h"
#include "daemon/docker/prune.h"
#include "daemon/docker/routes.h"
#include "daemon/docker/volume_json.h"
#include "daemon/waiting.h"
#include "engine/container/tree_copy.h"

namespace gantry::daemon::docker {
namespace {

using engine::VolumeDetails;
using nlohmann::json;

constexpr const char* kAnonymous = "com.docker.volume.anonymous";

std::string driver_of(const VolumeDetails& volume) { return volume.spec.driver.empty() ? "local" : volume.spec.driver; }

std::vector<VolumeDetails> all_volumes(World& world) {
  return world.loop.ask([&world] { return world.engine.list_volumes(); });
}

Result<> list_volumes(Exchange& exchange, const Call& call, World& world) {
  static constexpr std::string_view kKnown[] = {"dangling", "driver", "label", "label!", "name"};
  const Filters filters = TRY(Filters::parse(call.query.get("filters"), kKnown));
  const std::optional<bool> dangling = TRY(filters.flag("dangling"));
  json volumes = json::array();
  for (const VolumeDetails& volume : all_volumes(world)) {
    const std::vector<std::string> names = {volume.spec.name};
    if (dangling && *dangling != volume.users.empty()) continue;
    if (!filters.match("name", names) || !filters.exact("driver", driver_of(volume))) continue;
    if (filters.labels(volume.spec.labels)) volumes.push_back(volume_json(volume));
  }
  return send_json(exchange, 200, {{"Volumes", std::move(volumes)}, {"Warnings", nullptr}});
}

Result<VolumeDetails> find_volume(World& world, const std::string& name) {
  return world.loop.ask([&] { return world.engine.inspect_volume(name); });
}

Result<> show_volume(Exchange& exchange, const Call& call, World& world) {
  const VolumeDetails volume = TRY(find_volume(world, call["name"]));
  return send_json(exchange, 200, volume_json(volume));
}

Result<> create_volume(Exchange& exchange, const Call&, World& world) {
  const json body = TRY(read_json(exchange));
  Trouble trouble;
  const Fields fields(body, "", trouble);
  engine::VolumeSpec spec{.name = fields.text("Name"),
                          .driver = fields.text("Driver"),
                          .options = fields.text_map("DriverOpts"),
                          .labels = fields.text_map("Labels")};
  if (fields.has("ClusterVolumeSpec")) fields.refuse(unsupported("cluster volumes are not supported"));
  if (trouble) return *trouble;
  const std::string name =
      TRY(await<std::string>(exchange, world.loop, [&world, spec = std::move(spec)](auto reply) mutable {
        world.engine.create_volume(std::move(spec), std::move(reply));
      }));
  const VolumeDetails volume = TRY(find_volume(world, name));
  return send_json(exchange, 201, volume_json(volume));
}

Result<> remove_volume(Exchange& exchange, World& world, const std::string& name) {
  return await<void>(exchange, world.loop,
                     [&world, name](auto reply) mutable { world.engine.remove_volume(name, std::move(reply)); });
}

Result<> remove_volume(Exchange& exchange, const Call& call, World& world) {
  const Result<> removed = remove_volume(exchange, world, call["name"]);
  const bool missing = !removed.ok() && removed.error().code() == Code::not_found;
  if (!removed.ok() && !(missing && call.query.flag("force"))) return removed;
  return send_nothing(exchange);
}

// Anonymous ones only, unless `all` is asked for.
Result<> prune_volumes(Exchange& exchange, const Call& call, World& world) {
  static constexpr std::string_view kKnown[] = {"all", "label", "label!"};
  const Filters filters = TRY(Filters::parse(call.query.get("filters"), kKnown));
  // Before 1.42 every unused volume went (API history).
  const std::optional<bool> all =
      call.version < ApiVersion{1, 42} ? std::optional<bool>(true) : TRY(filters.flag("all"));
  const PruneTurn turn = TRY(PruneTurn::take(PruneTurn::Kind::volumes));
  uint64_t reclaimed = 0;
  json deleted = json::array();
  for (const VolumeDetails& volume : all_volumes(world)) {
    const bool wanted = all.value_or(false) || volume.spec.labels.contains(kAnonymous);
    if (!wanted || !volume.users.empty() || !filters.labels(volume.spec.labels)) continue;
    const uint64_t size = engine::tree_size(volume.mountpoint);
    const Result<> removed = remove_volume(exchange, world, volume.spec.name);
    if (removed.ok()) {
      deleted.push_back(volume.spec.name);
      reclaimed += size;
    }
    if (!removed.ok() && removed.error().code() == Code::cancelled) return removed;
  }
  emit_prune(world, engine::Event::Type::volume, reclaimed);
  return send_json(exchange, 200,
                   {{"VolumesDeleted", deleted.empty() ? json() : std::move(deleted)}, {"SpaceReclaimed", reclaimed}});
}

}  // namespace

json volume_json(const VolumeDetails& volume) {
  const WallTime created = std::chrono::floor<std::chrono::seconds>(volume.created_at);  // whole seconds here
  return {{"Name", volume.spec.name},
          {"Driver", driver_of(volume)},
          {"Labels", volume.spec.labels.empty() ? json() : json(volume.spec.labels)},
          {"Mountpoint", volume.mountpoint},
          {"CreatedAt", format_rfc3339(created)},
          {"Options", volume.spec.options.empty() ? json() : json(volume.spec.options)},
          {"Scope", "local"}};
}

void add_volume_routes(Router& router, World& world) {
  const auto add = [&](const char* method, const char* path, Result<> (*handler)(Exchange&, const Call&, World&)) {
    router.add(method, path,
               [handler, &world](Exchange& exchange, const Call& call) { return handler(exchange, call, world); });
  };
  add("GET", "/volumes", list_volumes);
  add("POST", "/volumes/create", create_volume);
  add("POST", "/volumes/prune", prune_volumes);
  add("GET", "/volumes/{name}", show_volume);
  add("DELETE", "/volumes/{name}", remove_volume);
  add("PUT", "/volumes/{name}", [](Exchange&, const Call&, World&) -> Result<> {
    return Error(Code::unavailable, "volume update only valid for cluster volumes, but swarm is unavailable");
  });
}

}  // namespace gantry::daemon::docker
