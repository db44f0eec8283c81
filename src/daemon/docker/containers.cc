// /containers: everything but streams.
#include <sys/stat.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/strings.h"
#include "daemon/docker/answers.h"
#include "daemon/docker/container_json.h"
#include "daemon/docker/container_list.h"
#include "daemon/docker/container_spec.h"
#include "daemon/docker/disk_usage.h"
#include "daemon/docker/host_config.h"
#include "daemon/docker/lookups.h"
#include "daemon/docker/prune.h"
#include "daemon/docker/routes.h"
#include "daemon/waiting.h"

namespace gantry::daemon::docker {
namespace {

using engine::ContainerDetails;
using engine::ListedContainer;
using nlohmann::json;

// The reference it was made from, unless that names another image by now.
std::string shown_image(World& world, const ListedContainer& container, std::map<std::string, std::string>& known) {
  const std::string& asked = container.observed.image;
  auto at = known.find(asked);
  if (at == known.end()) {
    const Result<engine::Image> image = world.images.find(asked);
    at = known.emplace(asked, image.ok() ? image->id.str() : "").first;
  }
  const bool same = at->second.empty() || at->second == container.observed.image_id.str();
  return same ? asked : container.observed.image_id.str();
}

std::string sized_summary(World& world, const ListedContainer& container, const std::string& image, WallTime now,
                          const SummaryParts& parts) {
  json summary = container_summary(container, image, now, parts);
  add_sizes(world, container, summary);
  return summary.dump();
}

constexpr size_t kBytesOfSummary = 600;  // about what most take

Result<> list_containers(Exchange& exchange, const Call& call, World& world) {
  const ContainerQuery query = TRY(ContainerQuery::parse(call.query));
  const std::vector<ListedContainer> all = world.loop.ask([&, project = query.project()] {
    return project ? world.engine.list_containers_of(*project) : world.engine.list_containers();
  });
  SummaryParts parts{.network_names_only = call.query.get("networks") == "names", .labels = {}};
  if (call.query.has("labels")) parts.labels = split(call.query.get("labels"), ',');
  const std::vector<const ListedContainer*> chosen = TRY(query.choose(all, world.images));
  std::map<std::string, std::string> known;
  std::string answer;
  answer.reserve(kBytesOfSummary * chosen.size() + 3);
  const WallTime now = world.loop.clock().wall();
  for (const ListedContainer* container : chosen) {
    answer += answer.empty() ? '[' : ',';
    const std::string image = shown_image(world, *container, known);
    if (call.query.flag("size")) answer += sized_summary(world, *container, image, now, parts);
    else append_summary(answer, *container, image, now, parts);
  }
  answer += answer.empty() ? "[]\n" : "]\n";
  return exchange.send(200, answer, kJson);
}

Result<> show_container(Exchange& exchange, const Call& call, World& world) {
  const ContainerDetails container = TRY(inspect_container(world, call["id"]));
  json answer = container_inspect(container);
  if (call.query.flag("size")) add_sizes(world, container, answer);
  return send_json(exchange, 200, answer);
}

// Mounts say so beforehand: at start it would be the kernel's words (API: bind-mount source must exist).
Result<> check_bind_sources(const engine::ContainerSpec& spec) {
  for (const engine::Mount& mount : spec.mounts) {
    struct stat found {};
    if (mount.kind != engine::Mount::Kind::bind || mount.create_source) continue;
    if (::stat(mount.source.c_str(), &found) != 0) {
      return invalid("invalid mount config for type \"bind\": bind source path does not exist: " + mount.source);
    }
  }
  return {};
}

Result<> create_container(Exchange& exchange, const Call& call, World& world) {
  const json body = TRY(read_json(exchange));
  engine::ContainerSpec spec = TRY(parse_container_spec(body, call.query.get("name"), call.query.get("platform")));
  TRY(check_bind_sources(spec));
  const engine::CreatedContainer created =
      TRY(await<engine::CreatedContainer>(exchange, world.loop, [&world, spec = std::move(spec)](auto reply) mutable {
        world.engine.create_container(std::move(spec), std::move(reply));
      }));
  return send_json(exchange, 201, {{"Id", created.id.str()}, {"Warnings", created.warnings}});
}

Result<engine::StopOptions> stop_options(const Call& call) {
  engine::StopOptions options;
  if (const std::optional<int64_t> timeout = TRY(call.query.number("t")))
    options.timeout = std::chrono::seconds(*timeout);
  if (call.query.has("signal")) options.signal = call.query.get("signal");
  return options;
}

// Runs one of the engine's operations on the container named in the path.
template <class Operation>
Result<> operate(Exchange& exchange, const Call& call, World& world, Operation operation) {
  const ContainerId id = TRY(find_container(world, call["id"]));
  TRY(await<void>(exchange, world.loop,
                  [operation = std::move(operation), id](auto reply) mutable { operation(id, std::move(reply)); }));
  return send_nothing(exchange);
}

// Programs that could not be started: scripts look for the words of dockerd's runtime around the reason.
Error in_runtimes_words(const Error& error) {
  std::string reason = error.message();
  if (!reason.starts_with("exec: ")) return error;
  reason += ": unknown";
  if (reason.find("is a directory") != std::string::npos) reason += ": permission denied";
  return {error.code(),
          "failed to create task for container: failed to create shim task: OCI runtime create failed: runc create failed: "
          "unable to start container process: " + reason};
}

Result<> start_container(Exchange& exchange, const Call& call, World& world) {
  if (call.query.has("checkpoint")) return unsupported("checkpoints are not supported");
  const std::string body = TRY(exchange.read_body(kMaxJsonBody));
  // What harmless clients send: nothing, blanks, "{}", "null".
  const std::string_view meaning = trim(body);
  if (!meaning.empty() && meaning != "{}" && meaning != "null") {
    return invalid(
        "starting container with non-empty request body was deprecated since API v1.22 and removed in v1.24");
  }
  const Result<> started = operate(exchange, call, world, [&world](ContainerId id, auto reply) {
    world.engine.start_container(id, std::move(reply));
  });
  return started.ok() ? started : in_runtimes_words(started.error());
}

Result<> stop(Exchange& exchange, const Call& call, World& world) {
  const engine::StopOptions options = TRY(stop_options(call));
  return operate(exchange, call, world, [&world, options](ContainerId id, auto reply) {
    world.engine.stop_container(id, options, std::move(reply));
  });
}

Result<> restart(Exchange& exchange, const Call& call, World& world) {
  const engine::StopOptions options = TRY(stop_options(call));
  return operate(exchange, call, world, [&world, options](ContainerId id, auto reply) {
    world.engine.restart_container(id, options, std::move(reply));
  });
}

Result<> kill(Exchange& exchange, const Call& call, World& world) {
  const std::string signal = call.query.has("signal") ? call.query.get("signal") : "KILL";
  return operate(exchange, call, world, [&world, signal](ContainerId id, auto reply) {
    world.engine.kill_container(id, signal, std::move(reply));
  });
}

Result<> pause(Exchange& exchange, const Call& call, World& world) {
  return operate(exchange, call, world,
                 [&world](ContainerId id, auto reply) { world.engine.pause_container(id, std::move(reply)); });
}

Result<> unpause(Exchange& exchange, const Call& call, World& world) {
  return operate(exchange, call, world,
                 [&world](ContainerId id, auto reply) { world.engine.unpause_container(id, std::move(reply)); });
}

Result<> rename(Exchange& exchange, const Call& call, World& world) {
  std::string name = call.query.get("name");
  if (name.starts_with('/')) name.erase(0, 1);
  if (name.empty()) return invalid("Neither old nor new names may be empty");
  return operate(exchange, call, world, [&world, name](ContainerId id, auto reply) {
    world.engine.rename_container(id, name, std::move(reply));
  });
}

Result<> remove_container(Exchange& exchange, const Call& call, World& world) {
  if (call.query.flag("link")) return unsupported("removing a link alias is not supported");
  const engine::RemoveOptions options{.force = call.query.flag("force"), .anonymous_volumes = call.query.flag("v")};
  return operate(exchange, call, world, [&world, options](ContainerId id, auto reply) {
    // The engine would wait for it; Docker's clients are told.
    const auto found = world.engine.inspect_container(id);
    if (found.ok() && found->observed.state == engine::ContainerState::removing) {
      return reply(conflict("removal of container " + found->spec.name + " is already in progress"));
    }
    world.engine.remove_container(id, options, std::move(reply));
  });
}

Result<uint16_t> dimension(const Call& call, const char* name) {
  const std::string text = call.query.get(name);
  const std::optional<uint64_t> value = parse_unsigned(text);
  if (!value || *value > 65535) {
    const char* word = *name == 'h' ? "height" : "width";
    return invalid(std::string("invalid resize ") + word + " " + gantry::quoted(text) + ": expected a number of cells");
  }
  return static_cast<uint16_t>(*value);
}

Result<> resize_terminal(Exchange& exchange, const Call& call, World& world) {
  const uint16_t rows = TRY(dimension(call, "h"));
  const uint16_t columns = TRY(dimension(call, "w"));
  TRY(world.loop.ask([&]() -> Result<> {
    const ContainerId id = TRY(world.engine.find_container(call["id"]));
    return world.engine.resize(id, rows, columns);
  }));
  return exchange.send(200, "", "");
}

// Resources and RestartPolicy; zero leaves a limit as it was.
Result<> update(Exchange& exchange, const Call& call, World& world) {
  const json body = TRY(read_json(exchange));
  Trouble trouble;
  const Fields fields(body, "", trouble);
  engine::ContainerSpec wanted;
  read_host_config(fields, wanted);
  if (trouble) return *trouble;
  engine::LocalEngine::Update update{.resources = std::move(wanted.resources), .restart = {}};
  if (!fields.object("RestartPolicy").text("Name").empty()) update.restart = wanted.restart;
  const ContainerId id = TRY(find_container(world, call["id"]));
  const std::vector<std::string> warnings = TRY(await<std::vector<std::string>>(
      exchange, world.loop, [&world, id, update = std::move(update)](auto reply) mutable {
        world.engine.update_container(id, std::move(update), std::move(reply));
      }));
  return send_json(exchange, 200, {{"Warnings", warnings}});
}

// One after the other: a prune is no hurry, and each may take a while to give back its space.
Result<> prune_containers(Exchange& exchange, const Call& call, World& world) {
  static constexpr std::string_view kKnown[] = {"until", "label", "label!"};
  const Filters filters = TRY(Filters::parse(call.query.get("filters"), kKnown));
  const std::optional<WallTime> until = TRY(until_of(filters, world.loop.clock().wall()));
  const PruneTurn turn = TRY(PruneTurn::take(PruneTurn::Kind::containers));
  uint64_t reclaimed = 0;
  const std::vector<ListedContainer> all = world.loop.ask([&] { return world.engine.list_containers(); });
  json deleted = json::array();
  for (const ListedContainer& container : all) {
    using engine::ContainerState;
    const ContainerState state = container.observed.state;
    const bool at_rest =
        state == ContainerState::created || state == ContainerState::exited || state == ContainerState::dead;
    if (!at_rest || !filters.labels(container.observed.labels)) continue;
    if (until && container.observed.created_at >= *until) continue;
    const uint64_t size = written_size(container);
    const Result<> removed =
        await<void>(exchange, world.loop, [&world, id = container.observed.id](auto reply) mutable {
          world.engine.remove_container(id, {}, std::move(reply));
        });
    if (removed.ok()) {
      deleted.push_back(container.observed.id.str());
      reclaimed += size;
    }
    if (!removed.ok() && removed.error().code() == Code::cancelled) return removed;
  }
  emit_prune(world, engine::Event::Type::container, reclaimed);
  return send_json(exchange, 200,
                   {{"ContainersDeleted", deleted.empty() ? json() : std::move(deleted)}, {"SpaceReclaimed", reclaimed}});
}

}  // namespace

void add_container_routes(Router& router, World& world) {
  const auto add = [&](const char* method, const char* path, Result<> (*handler)(Exchange&, const Call&, World&)) {
    router.add(method, path,
               [handler, &world](Exchange& exchange, const Call& call) { return handler(exchange, call, world); });
  };
  add("GET", "/containers/json", list_containers);
  add("POST", "/containers/create", create_container);
  add("POST", "/containers/prune", prune_containers);
  add("GET", "/containers/{id}/json", show_container);
  add("POST", "/containers/{id}/start", start_container);
  add("POST", "/containers/{id}/stop", stop);
  add("POST", "/containers/{id}/restart", restart);
  add("POST", "/containers/{id}/kill", kill);
  add("POST", "/containers/{id}/pause", pause);
  add("POST", "/containers/{id}/unpause", unpause);
  add("POST", "/containers/{id}/rename", rename);
  add("POST", "/containers/{id}/resize", resize_terminal);
  add("POST", "/containers/{id}/update", update);
  add("DELETE", "/containers/{id}", remove_container);
}

}  // namespace gantry::daemon::docker
