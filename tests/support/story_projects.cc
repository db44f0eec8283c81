#include "support/story_projects.h"

#include <array>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/random.h"
#include "support/sim_project.h"

namespace gantry::test {
namespace {

using namespace compose;

// Two to five services of one or two replicas, each needing some of those before it, all conditions, hooks, networks,
// volumes; "job…" services end by themselves.
std::string project_text(int number) {
  SeededRandom random(static_cast<uint64_t>(number) + 1);
  const auto chance = [&random](uint64_t percent) { return random.below(100) < percent; };
  const int count = 2 + static_cast<int>(random.below(4));
  std::string text = "services:\n";
  std::vector<std::string> names;
  std::set<std::string> checked;
  for (int i = 0; i < count; ++i) {
    const bool job = i > 0 && i + 1 < count && chance(25);
    const std::string name = (job ? "job" : "s") + std::to_string(i);
    text += "  " + name + ":\n    image: " + std::string(chance(50) ? "web" : "db") + "\n";
    if (!job && chance(35)) text += "    scale: 2\n";
    if (!job && chance(50)) {
      text += "    healthcheck: {test: [CMD, x]}\n";
      checked.insert(name);
    }
    if (!job && chance(30)) text += "    restart: always\n";
    text += chance(50) ? "    networks: [front]\n" : chance(50) ? "    networks: [front, back]\n" : "";
    if (chance(40)) text += "    volumes: [\"data:/data\", \"/scratch\"]\n";
    if (!job && chance(30)) text += "    post_start: [{command: [x]}]\n";
    if (!job && chance(30)) text += "    pre_stop: [{command: [y]}]\n";
    std::string needs;
    for (const std::string& other : names) {
      if (!chance(55)) continue;
      needs += "      " + other + ": {condition: ";
      needs += other.starts_with("job")                ? "service_completed_successfully"
               : checked.contains(other) && chance(70) ? "service_healthy"
                                                       : "service_started";
      if (chance(30)) needs += ", restart: true";
      if (chance(10)) needs += ", required: false";
      needs += "}\n";
    }
    if (!needs.empty()) text += "    depends_on:\n" + needs;
    names.push_back(name);
  }
  return text + "networks: {front: {}, back: {}}\nvolumes: {data: {}}\n";
}

// Hashes are made from the canonical text, which the loader would have written.
void insert_into_json(std::string& json, const std::string& text) { json.insert(json.find('{') + 1, text); }

}  // namespace

const Project& project_number(int number) {
  static std::array<std::optional<Project>, kStoryProjects> made;
  auto& project = made[static_cast<size_t>(number) % kStoryProjects];
  if (!project) project = project_from(project_text(number % kStoryProjects));
  return *project;
}

Project with_changed_service(Project project, size_t which) {
  auto at = project.services.begin();
  std::advance(at, static_cast<ptrdiff_t>(which % project.services.size()));
  at->second.environment["CHANGED"] = "yes";
  insert_into_json(at->second.canonical_json, "\"environment\":{\"CHANGED\":\"yes\"},");
  return project;
}

Project with_changed_network(Project project) {
  for (auto& [key, network] : project.networks) {
    network.driver_opts["changed"] = "yes";
    insert_into_json(network.canonical_json, "\"driver_opts\":{\"changed\":\"yes\"},");
  }
  return project;
}

}  // namespace gantry::test
