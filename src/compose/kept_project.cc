#include "compose/kept_project.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "compose/options_json.h"
#include "compose/project_json.h"

namespace gantry::compose {
namespace {

using Json = nlohmann::json;

// Adds what only `from` has.
template <class Map>
void add_missing(Map& to, const Map& from) {
  to.insert(from.begin(), from.end());
}

}  // namespace

std::string to_json(const KeptProject& kept) {
  Json json = {{"services", kept.services}};
  if (!kept.scale.empty()) json["scale"] = kept.scale;
  if (kept.underway) json["underway"] = to_json(kept.options);
  std::string text = json.dump(-1, ' ', false, Json::error_handler_t::replace);
  text.pop_back();
  return text + ",\"project\":" + to_json(*kept.project) + "}";
}

Result<KeptProject> kept_project_from_json(const std::string& text) {
  Json json = Json::parse(text, nullptr, false);
  if (!json.is_object() || !json.contains("project") || !json.contains("services")) {
    return internal_error("kept project: the record is damaged");
  }
  KeptProject kept;
  try {
    kept.services = json["services"].get<std::set<std::string>>();
    if (json.contains("scale")) kept.scale = json["scale"].get<std::map<std::string, int>>();
    if (json.contains("underway")) {
      kept.underway = true;
      kept.options = TRY(up_options_from_json(json["underway"].get<std::string>()));
    }
  } catch (const Json::exception& e) {
    return internal_error(std::string("kept project: the record is damaged: ") + e.what());
  }
  kept.project = std::make_shared<const Project>(TRY(project_from_json(json["project"].dump())));
  return kept;
}

KeptProject merge(const KeptProject* before, Project project, const UpOptions& options,
                  const std::set<std::string>& services) {
  KeptProject after{.scale = options.scale, .services = services, .options = options};
  if (before != nullptr) {
    std::set<std::string> unselected(project.disabled_services.begin(), project.disabled_services.end());
    bool stays_any = false;
    for (const auto& [name, service] : before->project->services) {
      bool active = project.services.contains(name);
      if (!active && !unselected.contains(name)) continue;  // gone from the file
      if (!active) {
        project.services.emplace(name, service);
        stays_any = true;
      }
      if (services.contains(name)) continue;
      if (before->services.contains(name)) after.services.insert(name);
      if (auto scaled = before->scale.find(name); scaled != before->scale.end()) after.scale.insert(*scaled);
    }
    if (stays_any) {
      add_missing(project.networks, before->project->networks);
      add_missing(project.volumes, before->project->volumes);
      add_missing(project.secrets, before->project->secrets);
      add_missing(project.configs, before->project->configs);
      add_missing(project.marks, before->project->marks);
      std::erase_if(project.disabled_services, [&](const std::string& n) { return project.services.contains(n); });
    }
  }
  after.project = std::make_shared<const Project>(std::move(project));
  return after;
}

}  // namespace gantry::compose
