#include "daemon/docker/image_json.h"

#include <nlohmann/json.hpp>

#include "base/clock.h"

namespace gantry::daemon::docker {
namespace {

using nlohmann::json;

// What the image itself says, a member of its config document.
json document_part(const engine::Image& image, const char* name) {
  const json document = json::parse(image.config_json, nullptr, /*allow_exceptions=*/false);
  if (!document.is_object()) return nullptr;
  const auto at = document.find(name);
  return at == document.end() ? json() : *at;
}

}  // namespace

json image_summary(const engine::Image& image) {
  return {{"Id", image.id.str()},
          {"ParentId", image.parent},
          {"RepoTags", image.tags},
          {"RepoDigests", image.digests},
          {"Created", seconds_of(image.created_at)},
          {"Size", image.size},
          {"SharedSize", -1},
          {"Labels", image.config.labels},
          {"Containers", -1}};
}

json image_inspect(const engine::Image& image) {
  json config = document_part(image, "config");
  if (!config.is_object()) config = json::object();
  json value = {{"Id", image.id.str()},
                {"RepoTags", image.tags},
                {"RepoDigests", image.digests},
                {"Parent", image.parent},
                {"Comment", image.comment},
                {"Created", format_rfc3339(image.created_at)},
                {"DockerVersion", ""},
                {"Author", image.author},
                {"Config", std::move(config)},
                {"Architecture", image.architecture},
                {"Os", image.os},
                {"Size", image.size},
                {"GraphDriver", {{"Name", "overlay2"}, {"Data", nullptr}}},
                {"RootFS", {{"Type", "layers"}, {"Layers", image.diff_ids}}},
                {"Metadata", {{"LastTagTime", format_rfc3339(image.last_tagged_at)}}}};
  if (!image.variant.empty()) value["Variant"] = image.variant;
  return value;
}

json image_history(const engine::Image& image) {
  json lines = json::array();
  const json history = document_part(image, "history");
  if (!history.is_array()) return lines;
  size_t layer = image.layer_sizes.size();  // the next one down
  for (auto at = history.rbegin(); at != history.rend(); ++at) {
    if (!at->is_object()) continue;
    const auto empty = at->find("empty_layer");
    const bool has_layer = layer > 0 && !(empty != at->end() && empty->is_boolean() && empty->get<bool>());
    const auto text = [&at](const char* name) {
      const auto member = at->find(name);
      return member != at->end() && member->is_string() ? member->get<std::string>() : std::string();
    };
    WallTime created{};
    parse_rfc3339(text("created"), created);
    const bool is_top = lines.empty();
    lines.push_back({{"Id", is_top ? image.id.str() : "<missing>"},
                     {"Created", seconds_of(created)},
                     {"CreatedBy", text("created_by")},
                     {"Tags", is_top && !image.tags.empty() ? json(image.tags) : json()},
                     {"Size", has_layer ? image.layer_sizes[--layer] : 0},
                     {"Comment", text("comment")}});
  }
  // Layers that the history does not speak of (it is optional) belong to its oldest line.
  while (layer > 0 && !lines.empty()) {
    --layer;
    lines.back()["Size"] = lines.back()["Size"].get<uint64_t>() + image.layer_sizes[layer];
  }
  return lines;
}

}  // namespace gantry::daemon::docker
