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

// `project` and these services of the one before, with what they use.
std::shared_ptr<const Project> with_services_of(Project project, const Project& before,
                                                const std::set<std::string>& services) {
  for (const std::string& name : services) project.services.emplace(name, before.services.at(name));
  add_missing(project.networks, before.networks);
  add_missing(project.volumes, before.volumes);
  add_missing(project.secrets, before.secrets);
  add_missing(project.configs, before.configs);
  add_missing(project.marks, before.marks);
  std::erase_if(project.disabled_services, [&](const std::string& name) { return services.contains(name); });
  return std::make_shared<const Project>(std::move(project));
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
  kept.project = std::make_shared<const Project>(TRY(project_from_document(json["project"])));
  return kept;
}

KeptProject merge(const KeptProject* before, std::shared_ptr<const Project> project, const UpOptions& options,
                  const std::set<std::string>& services) {
  KeptProject after{.project = project, .scale = options.scale, .services = services, .options = options};
  if (before == nullptr) return after;
  const std::set<std::string> unselected(project->disabled_services.begin(), project->disabled_services.end());
  std::set<std::string> staying;
  for (const auto& [name, service] : before->project->services) {
    const bool active = project->services.contains(name);
    if (!active && !unselected.contains(name)) continue;  // gone from the file
    if (!active) staying.insert(name);
    if (services.contains(name)) continue;
    if (before->services.contains(name)) after.services.insert(name);
    if (auto scaled = before->scale.find(name); scaled != before->scale.end()) after.scale.insert(*scaled);
  }
  if (!staying.empty()) after.project = with_services_of(*project, *before->project, staying);
  return after;
}

bool identical(const KeptProject& a, const KeptProject& b) {
  return a.scale == b.scale && a.services == b.services && a.underway == b.underway &&
         (!a.underway || a.options == b.options) && (a.project == b.project || identical(*a.project, *b.project));
}

}  // namespace gantry::compose
