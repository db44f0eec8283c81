// GET /system/df, and the sizes that other answers show.
#include "daemon/docker/disk_usage.h"

#include <nlohmann/json.hpp>

#include "daemon/docker/answers.h"
#include "daemon/docker/container_json.h"
#include "daemon/docker/image_json.h"
#include "daemon/docker/routes.h"
#include "daemon/docker/volume_json.h"
#include "engine/container/tree_copy.h"

namespace gantry::daemon::docker {
namespace {

using engine::ListedContainer;
using engine::Image;
using nlohmann::json;

struct WantedKinds {
  bool containers = true;
  bool images = true;
  bool volumes = true;
  bool cache = true;
};

Result<WantedKinds> parse_types(const Query& query) {
  const std::vector<std::string> types = query.all("type");
  if (types.empty()) return WantedKinds{};
  WantedKinds wanted{.containers = false, .images = false, .volumes = false, .cache = false};
  for (const std::string& type : types) {
    if (type == "container") {
      wanted.containers = true;
    } else if (type == "image") {
      wanted.images = true;
    } else if (type == "volume") {
      wanted.volumes = true;
    } else if (type == "build-cache") {
      wanted.cache = true;
    } else {
      return invalid("unknown object type: " + type);
    }
  }
  return wanted;
}

// Bytes of the layers that other images have, too. Layers' own sizes are not known one by one, so an image whose
// whole stack is another one's lower part shares what that one's base has.
uint64_t shared_size(const Image& image, const std::vector<Image>& all) {
  uint64_t shared = 0;
  for (const Image& other : all) {
    if (other.id == image.id) continue;
    const bool is_base = other.diff_ids.size() <= image.diff_ids.size() &&
                         std::equal(other.diff_ids.begin(), other.diff_ids.end(), image.diff_ids.begin());
    const bool is_derived = image.diff_ids.size() <= other.diff_ids.size() &&
                            std::equal(image.diff_ids.begin(), image.diff_ids.end(), other.diff_ids.begin());
    if (is_base) shared = std::max(shared, other.size);
    if (is_derived) shared = image.size;
  }
  return std::min(shared, image.size);
}

json images_json(const std::vector<Image>& images, const std::vector<ListedContainer>& containers, uint64_t& total) {
  json list = json::array();
  for (const Image& image : images) {
    const auto users = std::count_if(containers.begin(), containers.end(), [&](const ListedContainer& container) {
      return container.observed.image_id == image.id;
    });
    const uint64_t shared = shared_size(image, images);
    json summary = image_summary(image);
    summary["SharedSize"] = shared;
    summary["Containers"] = users;
    total += image.size - shared;
    list.push_back(std::move(summary));
  }
  // What is shared counts once, with the largest base.
  uint64_t base = 0;
  for (const Image& image : images) base = std::max(base, shared_size(image, images));
  total += base;
  return list;
}

// One record for the steps and one for the cache mounts: single ones have no names.
Result<json> cache_json(World& world) {
  json records = json::array();
  const auto add = [&records](const char* id, const char* type, const char* description, uint64_t size) {
    if (size == 0) return;
    records.push_back({{"ID", id},
                       {"Type", type},
                       {"Description", description},
                       {"InUse", false},
                       {"Shared", false},
                       {"Size", size},
                       {"CreatedAt", "0001-01-01T00:00:00Z"},
                       {"LastUsedAt", nullptr},
                       {"UsageCount", 0}});
  };
  add("steps", "regular", "layers of build steps that no image has", TRY(world.images.cache_bytes()));
  add("cache-mounts", "exec.cachemount", "directories of RUN --mount=type=cache",
      world.engine.builder().cache_mount_bytes());
  return records;
}

Result<> disk_usage(Exchange& exchange, const Call& call, World& world) {
  const WantedKinds wanted = TRY(parse_types(call.query));
  const std::vector<ListedContainer> containers = world.loop.ask([&] { return world.engine.list_containers(); });
  json answer = {{"LayersSize", 0},
                 {"Images", json::array()},
                 {"Containers", json::array()},
                 {"Volumes", json::array()},
                 {"BuildCache", json::array()}};
  uint64_t layers = 0;
  if (wanted.images) answer["Images"] = images_json(world.images.list(), containers, layers);
  answer["LayersSize"] = layers;
  const WallTime now = world.loop.clock().wall();
  for (const ListedContainer& container : containers) {
    if (!wanted.containers) break;
    json summary = container_summary(container, container.observed.image, now);
    add_sizes(world, container, summary);
    answer["Containers"].push_back(std::move(summary));
  }
  if (wanted.cache) answer["BuildCache"] = TRY(cache_json(world));
  if (wanted.volumes) {
    for (const engine::VolumeDetails& volume : world.loop.ask([&] { return world.engine.list_volumes(); })) {
      json value = volume_json(volume);
      value["UsageData"] = {{"Size", engine::tree_size(volume.mountpoint)}, {"RefCount", volume.users.size()}};
      answer["Volumes"].push_back(std::move(value));
    }
  }
  return send_json(exchange, 200, answer);
}

}  // namespace

uint64_t written_size(const ListedContainer& container) { return engine::tree_size(container.upper_dir); }

void add_sizes(World& world, const ListedContainer& container, json& into) {
  const uint64_t written = written_size(container);
  const Result<Image> image = world.images.find(container.observed.image_id.str());
  into["SizeRw"] = written;
  into["SizeRootFs"] = written + (image.ok() ? image->size : 0);
}

void add_disk_usage_routes(Router& router, World& world) {
  router.add("GET", "/system/df",
             [&world](Exchange& exchange, const Call& call) { return disk_usage(exchange, call, world); });
}

}  // namespace gantry::daemon::docker
