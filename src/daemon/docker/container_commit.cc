// POST /commit: a container's changes become an image.
#include "engine/container/commit.h"

#include <nlohmann/json.hpp>

#include "base/strings.h"
#include "daemon/docker/answers.h"
#include "daemon/docker/container_json.h"
#include "daemon/docker/container_spec.h"
#include "daemon/docker/image_events.h"
#include "daemon/docker/lookups.h"
#include "daemon/docker/routes.h"
#include "daemon/waiting.h"
#include "engine/image/reference.h"

namespace gantry::daemon::docker {
namespace {

using engine::ContainerDetails;
using engine::ContainerSpec;
using engine::ContainerState;
using engine::ImageConfig;
using nlohmann::json;

// What the container runs with, as an image would say it.
ImageConfig config_of(const ContainerDetails& container) {
  const ContainerSpec& spec = container.spec;
  ImageConfig config = container.image_config;
  config.environment = container.environment;
  if (spec.entrypoint) {
    config.entrypoint = *spec.entrypoint;
    config.command.clear();
  }
  if (spec.command) config.command = *spec.command;
  if (!spec.user.empty()) config.user = spec.user;
  if (!spec.working_dir.empty()) config.working_dir = spec.working_dir;
  if (spec.stop_signal) config.stop_signal = *spec.stop_signal;
  if (!spec.shell.empty()) config.shell = spec.shell;
  config.exposed = container.exposed;
  config.volumes.insert(spec.anonymous_volumes.begin(), spec.anonymous_volumes.end());
  config.labels = container.observed.labels;
  if (container.health_check) config.health_check = container.health_check;
  return config;
}

// The request's body: what it names replaces what the container has.
void apply(const ContainerSpec& wanted, ImageConfig& config) {
  if (wanted.entrypoint) config.entrypoint = *wanted.entrypoint;
  if (wanted.command) config.command = *wanted.command;
  if (!wanted.user.empty()) config.user = wanted.user;
  if (!wanted.working_dir.empty()) config.working_dir = wanted.working_dir;
  if (wanted.stop_signal) config.stop_signal = *wanted.stop_signal;
  if (!wanted.shell.empty()) config.shell = wanted.shell;
  if (wanted.health_check) config.health_check = wanted.health_check;
  config.exposed.insert(wanted.exposed.begin(), wanted.exposed.end());
  config.volumes.insert(wanted.anonymous_volumes.begin(), wanted.anonymous_volumes.end());
  for (const auto& [name, value] : wanted.labels) config.labels[name] = value;
  for (const std::string& variable : wanted.environment) {
    const std::string name = variable.substr(0, variable.find('='));
    std::erase_if(config.environment, [&](const std::string& old) { return old.starts_with(name + "="); });
    if (name.size() < variable.size()) config.environment.push_back(variable);
  }
}

// One parameter an instruction, or several in one, a line each.
std::vector<std::string> changes_of(const Query& query) {
  std::vector<std::string> changes;
  for (const std::string& value : query.all("changes")) {
    for (const std::string& line : split(value, '\n')) {
      if (!trim(line).empty()) changes.emplace_back(trim(line));
    }
  }
  return changes;
}

// Stands still while it lives, if it was running. The thaw is not waited for.
class Standstill {
 public:
  Standstill(Exchange& exchange, World& world, const ContainerDetails& container, bool wanted)
      : world_(world), id_(container.observed.id) {
    if (!wanted || container.observed.state != ContainerState::running) return;
    frozen_ = await<void>(exchange, world.loop, [&world, id = id_](auto reply) mutable {
                world.engine.pause_container(id, std::move(reply));
              }).ok();
  }
  ~Standstill() {
    if (!frozen_) return;
    world_.loop.post([&world = world_, id = id_] { world.engine.unpause_container(id, [](Result<>) {}); });
  }
  Standstill(const Standstill&) = delete;

 private:
  World& world_;
  ContainerId id_;
  bool frozen_ = false;
};

Result<> check_state(const ContainerDetails& container) {
  const std::string& id = container.observed.id.str();
  if (container.observed.state == ContainerState::dead) {
    return conflict("You cannot commit container " + id + " which is Dead");
  }
  if (container.observed.state == ContainerState::removing) {
    return conflict("You cannot commit container " + id + " which is being removed");
  }
  return {};
}

Result<> commit(Exchange& exchange, const Call& call, World& world) {
  const Query& query = call.query;
  const json body = TRY(read_json(exchange));
  std::string reference;
  if (query.has("repo")) {
    reference = query.get("repo") + (query.has("tag") ? ":" + query.get("tag") : "");
    reference = TRY(engine::Reference::parse(reference)).familiar();
  }
  const ContainerDetails container = TRY(inspect_container(world, query.get("container")));
  TRY(check_state(container));
  engine::CommitRequest request{.parent = container.observed.image_id,
                                .config = config_of(container),
                                .changes = changes_of(query),
                                .author = query.get("author"),
                                .comment = query.get("comment"),
                                .created_by = command_text(container.arguments)};
  if (!body.is_null()) apply(TRY(parse_config(body)), request.config);
  const engine::RootSource source =
      TRY(world.loop.ask([&] { return world.engine.root_source(container.observed.id); }));
  const Standstill standstill(exchange, world, container, query.flag("pause", true));
  const std::filesystem::path scratch = world.roots.data / "build" / ("commit-" + container.observed.id.short_form() +
                                                                      "-" + std::to_string(exchange.socket()));
  const ImageId image = TRY(engine::commit_container(world.images, source, request, scratch));
  emit_image_event(world, "create", image.str(), image.str());
  if (!reference.empty()) {
    TRY(world.images.tag(image, reference));
    emit_image_event(world, "tag", image.str(), reference);
  }
  world.loop.post([&world, id = container.observed.id, image, reference, comment = request.comment] {
    world.engine.emit_about(id, "commit", {{"comment", comment}, {"imageID", image.str()}, {"imageRef", reference}});
  });
  return send_json(exchange, 201, {{"Id", image.str()}});
}

}  // namespace

void add_container_commit_routes(Router& router, World& world) {
  router.add("POST", "/commit",
             [&world](Exchange& exchange, const Call& call) { return commit(exchange, call, world); });
}

}  // namespace gantry::daemon::docker
