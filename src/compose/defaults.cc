#include "compose/defaults.h"

#include "base/strings.h"
#include "compose/model.h"

namespace gantry::compose {
namespace {

Node implied(Node node) {
  node.tag = Node::Tag::implied;
  return node;
}

Node& ensure_map(Node& parent, const char* key) {
  Node* found = parent.find(key);
  if (found == nullptr) return parent.set(key, Node::mapping(parent.place));
  if (found->is_null()) *found = Node::mapping(found->place);
  return *found;
}

void depend(Node& service, const std::string& on, bool restart, Place place) {
  Node& depends_on = ensure_map(service, "depends_on");
  if (on.empty() || depends_on.has(on)) return;
  Node dependency = Node::mapping(place);
  dependency.set("condition", implied(Node::string("service_started", place)));
  if (restart) dependency.set("restart", implied(Node::boolean(true, place)));
  dependency.set("required", implied(Node::boolean(true, place)));
  depends_on.entries.push_back({on, place, std::move(dependency)});
}

void imply_dependencies(Node& service) {
  if (const Node* links = service.find("links")) {
    for (const Node& link : std::vector<Node>(links->items)) {
      auto parts = split(link.text, ':');
      depend(service, parts.size() == 2 ? parts[0] : link.text, true, link.place);
    }
  }
  for (const char* key : {"network_mode", "ipc", "pid", "uts", "cgroup"}) {
    const Node* mode = service.find(key);
    if (mode == nullptr) continue;
    std::string name = service_reference(mode->text);
    Place place = mode->place;
    if (!name.empty()) depend(service, name, true, place);
  }
  if (const Node* sources = service.find("volumes_from")) {
    for (const Node& source : std::vector<Node>(sources->items)) {
      if (source.text.starts_with("container:")) continue;
      depend(service, source.text.substr(0, source.text.find(':')), false, source.place);
    }
  }
}

void normalize_build(Node& build) {
  if (!build.has("dockerfile") && !build.has("dockerfile_inline")) {
    build.set("dockerfile", implied(Node::string("Dockerfile", build.place)));
  }
  // Arguments that nothing gave a value are not passed.
  if (Node* args = build.find("args")) {
    std::erase_if(args->entries, [](const Entry& entry) { return entry.value.is_null(); });
  }
}

void normalize_service(Entry& entry, bool& uses_default_network) {
  Node& service = entry.value;
  if (Node* build = service.find("build"); build != nullptr && build->is_map()) normalize_build(*build);
  if (Node* policy = service.find("pull_policy"); policy != nullptr && policy->text == "if_not_present") {
    policy->text = "missing";
  }
  service.erase("pull_refresh_after");
  imply_dependencies(service);
  if (Node* pid = service.find("pid"); pid != nullptr && pid->is_null()) service.erase("pid");
  Node* networks = service.find("networks");
  bool has_networks = networks != nullptr && !networks->entries.empty();
  if (!has_networks && !service.has("network_mode") && !service.has("provider")) {
    Node map = Node::mapping(entry.place);
    map.set("default", implied(Node::null(entry.place)));
    networks = &service.set("networks", implied(std::move(map)));
    has_networks = true;
  }
  if (has_networks && networks->has("default")) uses_default_network = true;
  if (Node* hooks = service.find("pre_start")) {
    for (Node& hook : hooks->items) {
      if (!hook.has("image") && service.has("image")) hook.set("image", *service.find("image"));
    }
  }
}

void name_resources(Node& project, const char* section, const std::string& project_name) {
  Node* resources = project.find(section);
  if (resources == nullptr) return;
  for (Entry& entry : resources->entries) {
    if (entry.value.is_broken()) continue;
    if (entry.value.is_null()) entry.value = Node::mapping(entry.place);
    Node* name = entry.value.find("name");
    if (name != nullptr && !name->text.empty()) continue;
    const Node* external = entry.value.find("external");
    bool is_external = external != nullptr && external->is_true();
    entry.value.set("name", implied(Node::string(is_external ? entry.key : project_name + "_" + entry.key, entry.place)));
  }
}

void default_service(Node& service) {
  if (Node* build = service.find("build"); build != nullptr && build->is_map() && !build->has("context") ) {
    build->set("context", implied(Node::string(".", build->place)));
  }
  if (Node* secrets = service.find("secrets")) {
    for (Node& secret : secrets->items) {
      if (secret.is_map() && secret.text_of("target").empty()) {
        secret.set("target", implied(Node::string("/run/secrets/" + secret.text_of("source"), secret.place)));
      }
    }
  }
  if (Node* dependencies = service.find("depends_on")) {
    for (Entry& entry : dependencies->entries) {
      if (entry.value.is_map() && !entry.value.has("required")) {
        entry.value.set("required", implied(Node::boolean(true, entry.place)));
      }
    }
  }
  if (Node* mounts = service.find("volumes")) {
    for (Node& mount : mounts->items) {
      Node* bind = mount.find("bind");
      const Node* create = bind == nullptr ? nullptr : bind->find("create_host_path");
      if (create != nullptr && create->is_true()) bind->erase("create_host_path");
    }
  }
  if (Node* dns = service.find("dns")) {
    std::erase_if(dns->items, [](const Node& item) { return item.text.empty() && !item.is_broken(); });
  }
}

}  // namespace

std::string service_reference(std::string_view text) {
  return text.starts_with("service:") ? std::string(text.substr(8)) : std::string();
}

void set_defaults(Node& project) {
  Node* services = project.find("services");
  if (services == nullptr) return;
  for (Entry& entry : services->entries) {
    if (entry.value.is_map()) default_service(entry.value);
  }
}

void normalize(Node& project, const std::string& project_name) {
  bool uses_default_network = false;
  if (Node* services = project.find("services")) {
    for (Entry& entry : services->entries) {
      if (entry.value.is_map()) normalize_service(entry, uses_default_network);
    }
  }
  if (uses_default_network) {
    Node& networks = ensure_map(project, "networks");
    if (!networks.has("default")) networks.set("default", Node::mapping());
  }
  for (const char* section : {"networks", "volumes", "secrets", "configs"}) {
    name_resources(project, section, project_name);
  }
}

}  // namespace gantry::compose
