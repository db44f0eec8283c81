#include <nlohmann/json.hpp>

#include "cli/image_build.h"

namespace gantry::cli {

std::string bake_json(const compose::Project& project, const std::vector<ImageBuild>& builds) {
  using OrderedJson = nlohmann::ordered_json;
  OrderedJson file = {{"group", {{"default", {{"targets", OrderedJson::array()}}}}}, {"target", OrderedJson::object()}};
  for (const ImageBuild& image : builds) {
    const compose::Service& service = project.services.at(image.services.front());
    const compose::BuildConfig& build = *service.build;
    OrderedJson target = {{"context", build.context}};
    if (build.dockerfile_inline) {
      target["dockerfile-inline"] = *build.dockerfile_inline;
    } else {
      target["dockerfile"] = build.dockerfile.empty() ? "Dockerfile" : build.dockerfile;
    }
    if (!build.args.empty()) target["args"] = build.args;
    if (!build.labels.empty()) target["labels"] = build.labels;
    target["tags"] = image.tags;
    if (!build.cache_from.empty()) target["cache-from"] = build.cache_from;
    if (!build.target.empty()) target["target"] = build.target;
    if (!build.platforms.empty()) target["platforms"] = build.platforms;
    if (!build.network.empty()) target["network"] = build.network;
    target["output"] = {"type=docker"};
    file["group"]["default"]["targets"].push_back(service.name);
    file["target"][service.name] = std::move(target);
  }
  return file.dump(2, ' ', false, OrderedJson::error_handler_t::replace) + "\n";
}

}  // namespace gantry::cli
