#include "compose/selection.h"

#include <fnmatch.h>

#include "base/strings.h"

namespace gantry::compose {
namespace {

class Selector {
 public:
  Selector(const Node& services, const std::vector<std::string>& profiles, bool with_dependencies, Report& report)
      : services_(services), profiles_(profiles), with_dependencies_(with_dependencies), report_(report) {}

  void add(const std::string& name, bool required, Place place) {
    if (chosen.contains(name)) return;
    const Node* service = services_.find(name);
    if (service == nullptr || !is_active(*service, profiles_)) {
      if (required) report_.error(place, Path::root(), "no such service: " + name);
      return;
    }
    chosen.insert(name);
    const Node* dependencies = with_dependencies_ ? service->find("depends_on") : nullptr;
    if (dependencies == nullptr) return;
    for (const Entry& entry : dependencies->entries) {
      const Node* needed = entry.value.find("required");
      add(entry.key, needed == nullptr || needed->is_true(), entry.place);
    }
  }

  std::set<std::string> chosen;

 private:
  const Node& services_;
  const std::vector<std::string>& profiles_;
  bool with_dependencies_;
  Report& report_;
};

std::vector<std::string> matching(const Node& services, const std::string& pattern) {
  std::vector<std::string> names;
  for (const Entry& entry : services.entries) {
    if (entry.key == pattern || fnmatch(pattern.c_str(), entry.key.c_str(), 0) == 0) names.push_back(entry.key);
  }
  return names;
}

void keep(Node& project, const char* section, const std::unordered_set<std::string_view>& used) {
  Node* resources = project.find(section);
  if (resources == nullptr) return;
  std::erase_if(resources->entries, [&](const Entry& entry) { return !used.contains(entry.key); });
  if (resources->entries.empty()) project.erase(section);
}

void use_sources(const Node& list, std::unordered_set<std::string_view>& used) {
  for (const Node& item : list.items) used.insert(item.text_of("source"));
}

void use_keys(const Node& map, std::unordered_set<std::string_view>& used) {
  for (const Entry& entry : map.entries) used.insert(entry.key);
}

}  // namespace

bool is_active(const Node& service, const std::vector<std::string>& profiles) {
  const Node* own = service.find("profiles");
  if (own == nullptr || own->items.empty()) return true;
  for (const std::string& profile : profiles) {
    if (profile == "*") return true;
    for (const Node& item : own->items) {
      if (item.text == profile) return true;
    }
  }
  return false;
}

std::set<std::string> select_services(const Node& services, const std::vector<std::string>& named,
                                      std::vector<std::string> profiles, bool with_dependencies, Report& report) {
  std::vector<std::string> wanted;
  for (const std::string& pattern : named) {
    auto names = matching(services, pattern);
    if (names.empty()) report.error({}, Path::root(), "no such service: " + pattern);
    wanted.insert(wanted.end(), names.begin(), names.end());
  }
  // Who names a service means it: its profiles become active.
  for (const std::string& name : wanted) {
    const Node& service = *services.find(name);
    if (is_active(service, profiles)) continue;
    for (const Node& profile : service.find("profiles")->items) profiles.push_back(profile.text);
  }
  if (named.empty()) {
    std::set<std::string> all;
    for (const Entry& entry : services.entries) {
      if (is_active(entry.value, profiles)) all.insert(entry.key);
    }
    return all;
  }
  Selector selector(services, profiles, with_dependencies, report);
  for (const std::string& name : wanted) selector.add(name, true, services.find(name)->place);
  return std::move(selector.chosen);
}

UsedResources used_resources(const Node& project) {
  UsedResources used{{"networks", {}}, {"volumes", {}}, {"secrets", {}}, {"configs", {}}, {"models", {}}};
  const Node* services = project.find("services");
  if (services == nullptr) return used;
  for (auto& [section, names] : used) {
    const bool by_key = section == "networks" || section == "models";
    for (const Entry& entry : services->entries) {
      if (const Node* value = entry.value.find(section)) by_key ? use_keys(*value, names) : use_sources(*value, names);
    }
  }
  std::unordered_set<std::string_view>& secrets = used["secrets"];
  for (const Entry& entry : services->entries) {
    const Node* build = entry.value.find("build");
    if (const Node* list = build == nullptr ? nullptr : build->find("secrets")) use_sources(*list, secrets);
  }
  return used;
}

void drop_unused_resources(Node& project) {
  for (const auto& [section, names] : used_resources(project)) keep(project, section.c_str(), names);
}

void drop_absent_dependencies(Node& project) {
  Node* services = project.find("services");
  if (services == nullptr) return;
  std::set<std::string, std::less<>> present;
  for (const Entry& entry : services->entries) present.insert(entry.key);
  for (Entry& entry : services->entries) {
    Node* dependencies = entry.value.find("depends_on");
    if (dependencies == nullptr) continue;
    std::erase_if(dependencies->entries, [&](const Entry& on) { return !present.contains(on.key); });
    if (dependencies->entries.empty()) entry.value.erase("depends_on");
  }
}

}  // namespace gantry::compose
