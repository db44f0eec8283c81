// /images: lists, inspect, tag, delete. Transfers are in image_transfers.cc.
#include <fnmatch.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/strings.h"
#include "daemon/docker/answers.h"
#include "daemon/docker/filters.h"
#include "daemon/docker/image_events.h"
#include "daemon/docker/image_json.h"
#include "daemon/docker/prune.h"
#include "daemon/docker/routes.h"
#include "engine/image/reference.h"

namespace gantry::daemon::docker {
namespace {

using engine::Image;
using nlohmann::json;

constexpr std::string_view kListFilters[] = {"before", "dangling", "label", "label!", "reference", "since"};

// Globs on the familiar name, with and without the tag; "*" stops at slashes, as path.Match does.
bool reference_matches(const Filters& filters, const Image& image) {
  if (!filters.has("reference")) return true;
  for (const std::string& pattern : filters.values("reference")) {
    for (const std::string& tag : image.tags) {
      const std::string name = tag.substr(0, tag.rfind(':'));
      if (::fnmatch(pattern.c_str(), tag.c_str(), FNM_PATHNAME) == 0) return true;
      if (::fnmatch(pattern.c_str(), name.c_str(), FNM_PATHNAME) == 0) return true;
    }
  }
  return false;
}

Result<WallTime> time_of(World& world, const Filters& filters, const char* key) {
  if (!filters.has(key)) return WallTime{};
  const Image image = TRY(world.images.find(*filters.values(key).begin()));
  return image.created_at;
}

Result<> list_images(Exchange& exchange, const Call& call, World& world) {
  const Filters filters = TRY(Filters::parse(call.query.get("filters"), kListFilters));
  const std::optional<bool> dangling = TRY(filters.flag("dangling"));
  const WallTime before = TRY(time_of(world, filters, "before"));
  const WallTime since = TRY(time_of(world, filters, "since"));
  json answer = json::array();
  for (const Image& image : world.images.list()) {
    if (dangling && *dangling != image.tags.empty()) continue;
    if (before != WallTime{} && image.created_at >= before) continue;
    if (since != WallTime{} && image.created_at <= since) continue;
    if (!filters.labels(image.config.labels) || !reference_matches(filters, image)) continue;
    answer.push_back(image_summary(image));
  }
  return send_json(exchange, 200, answer);
}

Result<> show_image(Exchange& exchange, const Call& call, World& world) {
  const Image image = TRY(world.images.find(call["name"]));
  return send_json(exchange, 200, image_inspect(image));
}

Result<> history(Exchange& exchange, const Call& call, World& world) {
  const Image image = TRY(world.images.find(call["name"]));
  return send_json(exchange, 200, image_history(image));
}

Result<> tag(Exchange& exchange, const Call& call, World& world) {
  const Image image = TRY(world.images.find(call["name"]));
  const std::string tag = call.query.get("tag");
  const std::string reference = call.query.get("repo") + (tag.empty() ? "" : ":" + tag);
  const engine::Reference parsed = TRY(engine::Reference::parse(reference));
  TRY(world.images.tag(image.id, reference));
  emit_image_event(world, "tag", image.id.str(), parsed.familiar());
  return exchange.send(201, "", "");
}

// Asked for before the removal: the store must not wait for the loop while it holds its own lock.
std::map<std::string, std::vector<std::string>> image_users(World& world) {
  return world.loop.ask([&world] {
    std::map<std::string, std::vector<std::string>> users;
    for (const engine::ListedContainer& container : world.engine.list_containers()) {
      users[container.observed.image_id.str()].push_back(container.observed.name);
    }
    return users;
  });
}

Result<json> remove_image(World& world, const std::string& reference, bool force) {
  const std::map<std::string, std::vector<std::string>> users = image_users(world);
  const engine::RemovedImages removed =
      TRY(world.images.remove(reference, force, [&users](const ImageId& id) -> std::vector<std::string> {
        const auto at = users.find(id.str());
        return at == users.end() ? std::vector<std::string>() : at->second;
      }));
  json answer = json::array();
  for (const std::string& name : removed.untagged) {
    answer.push_back({{"Untagged", name}});
    emit_image_event(world, "untag", removed.deleted.empty() ? name : removed.deleted.front(), name);
  }
  for (const std::string& id : removed.deleted) {
    answer.push_back({{"Deleted", id}});
    emit_image_event(world, "delete", id, id);
  }
  return answer;
}

Result<> remove_image(Exchange& exchange, const Call& call, World& world) {
  const json answer = TRY(remove_image(world, call["name"], call.query.flag("force")));
  return send_json(exchange, 200, answer);
}

Result<> prune_images(Exchange& exchange, const Call& call, World& world) {
  static constexpr std::string_view kKnown[] = {"dangling", "label", "label!", "until"};
  const Filters filters = TRY(Filters::parse(call.query.get("filters"), kKnown));
  const std::optional<bool> dangling = TRY(filters.flag("dangling"));
  const bool dangling_only = dangling.value_or(true);
  const std::optional<WallTime> until = TRY(until_of(filters, world.loop.clock().wall()));
  const PruneTurn turn = TRY(PruneTurn::take(PruneTurn::Kind::images));
  json deleted = json::array();
  uint64_t reclaimed = 0;
  const std::map<std::string, std::vector<std::string>> users = image_users(world);
  for (const Image& image : world.images.list()) {
    const bool wanted = (image.tags.empty() || !dangling_only) && filters.labels(image.config.labels);
    if (!wanted || users.contains(image.id.str()) || (until && image.created_at >= *until)) continue;
    const std::vector<std::string> names = image.tags.empty() ? std::vector<std::string>{image.id.str()} : image.tags;
    bool gone = false;
    for (const std::string& name : names) {
      const Result<json> removed = remove_image(world, name, false);
      if (!removed.ok()) continue;  // used as a base of another one, or gone meanwhile: a prune takes what it can
      for (const json& line : *removed) {
        gone = gone || line.contains("Deleted");
        deleted.push_back(line);
      }
    }
    if (gone) reclaimed += image.size;
  }
  return send_json(exchange, 200,
                   {{"ImagesDeleted", deleted.empty() ? json() : std::move(deleted)}, {"SpaceReclaimed", reclaimed}});
}

}  // namespace

void emit_image_event(World& world, std::string action, std::string id, std::string name) {
  world.loop.post([&world, action = std::move(action), id = std::move(id), name = std::move(name)] {
    world.engine.emit({.time = world.loop.clock().wall(),
                       .type = engine::Event::Type::image,
                       .action = action,
                       .actor_id = id,
                       .attributes = {{"name", name}}});
  });
}

void add_image_routes(Router& router, World& world) {
  const auto add = [&](const char* method, const char* path, Result<> (*handler)(Exchange&, const Call&, World&)) {
    router.add(method, path,
               [handler, &world](Exchange& exchange, const Call& call) { return handler(exchange, call, world); });
  };
  add("GET", "/images/json", list_images);
  add("POST", "/images/prune", prune_images);
  add("GET", "/images/{name...}/json", show_image);
  add("GET", "/images/{name...}/history", history);
  add("POST", "/images/{name...}/tag", tag);
  add("DELETE", "/images/{name...}", remove_image);
}

}  // namespace gantry::daemon::docker
