#include "compose/traps.h"

#include <unordered_map>

#include "base/result.h"
#include "base/strings.h"
#include "compose/selection.h"

namespace gantry::compose {
namespace {

struct Publisher {
  std::string service;
  std::string target;
  Place place;
};

// Host ports, as a key: two with the same one cannot both be opened.
std::string host_port(const Node& port) {
  const std::string& published = port.text_of("published");
  if (published.empty() || published == "0") return {};
  std::string ip = port.text_of("host_ip");
  if (ip == "0.0.0.0") ip.clear();
  return ip + ":" + published + "/" + port.text_of("protocol");
}

void warn_of_ports(const Node& services, const std::set<std::string>& active, Report& report) {
  std::unordered_map<std::string, Publisher> publishers;
  Path services_path = Path::root() / "services";
  for (const Entry& entry : services.entries) {
    const Node* ports = entry.value.find("ports");
    if (ports == nullptr || !active.contains(entry.key)) continue;
    Path service_path = services_path / entry.key;
    Path path = service_path / "ports";
    for (size_t i = 0; i < ports->items.size(); ++i) {
      const Node& port = ports->items[i];
      std::string key = host_port(port);
      if (key.empty()) continue;
      auto [first, fresh] = publishers.try_emplace(key, Publisher{entry.key, port.text_of("target"), port.place});
      if (fresh) continue;
      const Publisher& other = first->second;
      std::string where = other.service == entry.key ? "for port " + other.target + " of the same service"
                                                     : "by service " + gantry::quoted(other.service);
      report.warning(port.place, path[static_cast<int>(i)],
                     "host port " + port.text_of("published") + " is published already " + where + " (" +
                         report.mark(other.place).to_string() + ")",
                     other.service == entry.key ? "ports of several files are appended; !override replaces them" : "");
    }
  }
}

void warn_of_hidden_dependencies(const Node& services, const std::set<std::string>& active, Report& report) {
  Path services_path = Path::root() / "services";
  for (const Entry& entry : services.entries) {
    const Node* dependencies = entry.value.find("depends_on");
    if (dependencies == nullptr || !active.contains(entry.key)) continue;
    Path service_path = services_path / entry.key;
    for (const Entry& on : dependencies->entries) {
      const Node* hidden = services.find(on.key);
      const Node* profiles = hidden == nullptr ? nullptr : hidden->find("profiles");
      if (profiles == nullptr || active.contains(on.key) || profiles->items.empty()) continue;
      report.warning(on.place, service_path / "depends_on",
                     "service " + gantry::quoted(on.key) + " is not started: it belongs to the profile " +
                         profiles->items[0].text,
                     "enable it with --profile " + profiles->items[0].text);
    }
  }
}

void warn_of_unused(const Node& project, const UsedResources& used, Report& report) {
  for (const auto& [section, names] : used) {
    const Node* resources = project.find(section);
    if (resources == nullptr) continue;
    Path path = Path::root() / section;
    for (const Entry& entry : resources->entries) {
      if (names.contains(entry.key) || entry.place.line == 0 || entry.key == "default") continue;
      std::string what = section.substr(0, section.size() - 1);
      report.warning(entry.place, path / entry.key, "no service uses the " + what + " " + gantry::quoted(entry.key));
    }
  }
}

}  // namespace

void warn_of_traps(const Node& project, const std::set<std::string>& active, Report& report) {
  const Node* services = project.find("services");
  if (services == nullptr) return;
  warn_of_ports(*services, active, report);
  warn_of_hidden_dependencies(*services, active, report);
  warn_of_unused(project, used_resources(project), report);
}

}  // namespace gantry::compose
