#include "compose/validate.h"

#include <arpa/inet.h>

#include <array>
#include <map>
#include <unordered_set>

#include "base/result.h"
#include "base/strings.h"
#include "compose/defaults.h"
#include "compose/extensions.h"
#include "compose/scalar.h"
#include "compose/values.h"

namespace gantry::compose {
namespace {

const Node* section(const Node& project, const char* name) {
  const Node* found = project.find(name);
  return found != nullptr && found->is_map() ? found : nullptr;
}

bool is_external(const Node& resource) {
  const Node* external = resource.find("external");
  return external != nullptr && external->is_true();
}

void check_external(const Entry& resource, const Path& path, Report& report) {
  if (!is_external(resource.value)) return;
  for (const Entry& entry : resource.value.entries) {
    if (entry.key == "name" || entry.key == "external" || entry.key.starts_with("x-")) continue;
    report.error(entry.place, path / entry.key,
                 "conflicting parameters \"external\" and " + gantry::quoted(entry.key) + " specified");
  }
}

void check_source(const Entry& source, const Path& path, std::initializer_list<const char*> kinds, Report& report) {
  if (!source.value.is_map() || is_external(source.value)) return;
  for (const Entry& entry : source.value.entries) {
    if (entry.value.is_broken()) return;  // it may be what is missed
  }
  std::string words;
  const Entry* first = nullptr;
  for (const char* kind : kinds) {
    words += (words.empty() ? "" : "|") + std::string(kind);
    const Node* given = source.value.find(kind);
    if (given == nullptr) continue;
    const Entry* entry = const_cast<Node&>(source.value).find_entry(kind);
    if (first != nullptr) {
      return report.error(entry->place, path, words + " attributes are mutually exclusive: " +
                                                  gantry::quoted(first->key) + " and " + gantry::quoted(entry->key));
    }
    first = entry;
  }
  if (first == nullptr) report.error(source.place, path, "one of " + words + " must be set");
}

bool is_cidr(const std::string& text) {
  size_t slash = text.find('/');
  if (slash == std::string::npos) return false;
  auto bits = parse_unsigned(std::string_view(text).substr(slash + 1));
  unsigned char buffer[16];
  std::string address = text.substr(0, slash);
  if (inet_pton(AF_INET, address.c_str(), buffer) == 1) return bits && *bits <= 32;
  return inet_pton(AF_INET6, address.c_str(), buffer) == 1 && bits && *bits <= 128;
}

void check_text(const Node& map, const char* key, bool (*good)(const std::string&), const char* what, const Path& path,
                Report& report) {
  const Node* node = map.find(key);
  if (node == nullptr || !node->is_string() || node->text.empty() || good(node->text)) return;
  report.error(node->place, path / key, std::string("not ") + what + ": " + gantry::quoted(node->text));
}

void check_pools(const Entry& network, const Path& path, Report& report) {
  const Node* ipam = network.value.find("ipam");
  const Node* pools = ipam == nullptr ? nullptr : ipam->find("config");
  if (pools == nullptr) return;
  Path ipam_path = path / "ipam";
  Path config_path = ipam_path / "config";
  for (size_t i = 0; i < pools->items.size(); ++i) {
    Path child = config_path[static_cast<int>(i)];
    check_text(pools->items[i], "subnet", is_cidr, "a subnet like 10.1.0.0/24", child, report);
    check_text(pools->items[i], "ip_range", is_cidr, "a range like 10.1.0.0/24", child, report);
    check_text(pools->items[i], "gateway", is_ip_address, "an IP address", child, report);
  }
}

void check_watch(const Node& service, const Path& path, Report& report) {
  const Node* develop = service.find("develop");
  const Node* watch = develop == nullptr ? nullptr : develop->find("watch");
  if (watch == nullptr) return;
  Path develop_path = path / "develop";
  Path watch_path = develop_path / "watch";
  for (size_t i = 0; i < watch->items.size(); ++i) {
    const Node& item = watch->items[i];
    Path child = watch_path[static_cast<int>(i)];
    if (trim(item.text_of("path")).empty()) report.error(item.place, child / "path", "value can't be blank");
    const std::string& action = item.text_of("action");
    if (action.starts_with("sync") && item.text_of("target").empty()) {
      report.error(item.place, child, "target is required for non-rebuild actions");
    }
    if (action == "sync+exec" && !item.has("exec")) report.error(item.place, child, "action sync+exec needs exec");
  }
}

void check_reserved_labels(const Node& service, const Path& path, Report& report) {
  const Node* labels = service.find("labels");
  if (labels == nullptr) return;
  Path labels_path = path / "labels";
  for (const Entry& entry : labels->entries) {
    if (entry.key.starts_with("com.docker.compose")) {
      report.warning(entry.place, labels_path / entry.key, "labels that begin with com.docker.compose are reserved");
    }
  }
}

template <class F>
void each_entry(const Node& project, const char* name, F f) {
  const Node* found = section(project, name);
  if (found == nullptr) return;
  Path path = Path::root() / name;
  for (const Entry& entry : found->entries) f(entry, path / entry.key);
}

// ---- consistency

class Consistency {
 public:
  Consistency(const Node& project, const std::set<std::string>& active, Report& report)
      : project_(project), active_(active), report_(report) {
    if (const Node* services = section(project, "services")) {
      for (const Entry& entry : services->entries) services_[entry.key] = &entry.value;
    }
    for (const char* kind : {"networks", "volumes", "secrets", "configs", "models"}) {
      auto& names = names_[kind];
      if (const Node* resources = section(project, kind)) {
        for (const Entry& entry : resources->entries) names.insert(entry.key);
      }
    }
  }

  void run() {
    size_t errors = report_.errors();
    each_entry(project_, "services", [&](const Entry& entry, const Path& path) {
      if (active_.contains(entry.key)) service(entry, path);
    });
    container_names();
    if (report_.errors() == errors) cycles();
  }

 private:
  void service(const Entry& entry, const Path& path) {
    const Node& service = entry.value;
    if (service.is_broken()) return;
    if (!misspells_source(service) && !service.has("image") && !service.has("build") && !service.has("provider")) {
      report_.error(entry.place, path,
                    "service " + gantry::quoted(entry.key) + " has neither an image nor a build context specified");
    }
    build(service, path);
    networks(entry, path);
    health(service, path);
    check_extensions(service, path, report_);
    dependencies(entry, path);
    volumes(service, path);
    sources(service, "configs", path);
    sources(service, "secrets", path);
    keys(service, "models", "model", path);
    pairs(service, path);
    scale(service, path);
    mount_targets(service, path);
  }

  // An unknown attribute that was meant to be the image: told already.
  static bool misspells_source(const Node& service) {
    const std::array<std::string, 2> sources{"image", "build"};
    return std::any_of(service.entries.begin(), service.entries.end(), [&](const Entry& entry) {
      return entry.value.is_broken() && nearest(entry.key, sources).has_value();
    });
  }

  void build(const Node& service, const Path& path) {
    const Node* build = service.find("build");
    if (build == nullptr) return;
    Path build_path = path / "build";
    if (build->has("dockerfile_inline") && build->has("dockerfile")) {
      report_.error(build->find("dockerfile_inline")->place, build_path,
                    "declares mutually exclusive dockerfile and dockerfile_inline");
    }
    const Node* platforms = build->find("platforms");
    const Node* platform = service.find("platform");
    if (platforms != nullptr && platform != nullptr && !platforms->items.empty()) {
      bool there = std::any_of(platforms->items.begin(), platforms->items.end(),
                               [&](const Node& item) { return item.text == platform->text; });
      if (!there) {
        report_.error(platforms->place, build_path / "platforms",
                      "service.build.platforms MUST include service.platform " + gantry::quoted(platform->text));
      }
    }
    sources(*build, "secrets", build_path);
    const Node* contexts = build->find("additional_contexts");
    if (contexts == nullptr) return;
    Path contexts_path = build_path / "additional_contexts";
    for (const Entry& context : contexts->entries) {
      std::string name = service_reference(context.value.text);
      if (name.empty()) continue;
      auto found = services_.find(name);
      if (found == services_.end()) {
        report_.error(context.value.place, contexts_path / context.key, "declares unknown service " + gantry::quoted(name),
                      did_you_mean(name, "services"));
      } else if (!found->second->has("build")) {
        report_.error(context.value.place, contexts_path / context.key,
                      "declares non-buildable service " + gantry::quoted(name));
      }
    }
  }

  bool is_defined(std::string_view kind, std::string_view name) const { return names_.at(kind).contains(name); }

  std::string did_you_mean(const std::string& name, const char* kind) const {
    const Node* found = section(project_, kind);
    if (found == nullptr) return {};
    std::vector<std::string> known;
    for (const Entry& entry : found->entries) known.push_back(entry.key);
    auto near = nearest(name, known);
    return near ? "did you mean " + gantry::quoted(*near) + "?" : "";
  }

  void undefined(const Node& at, const Path& path, const std::string& what, const std::string& name, const char* kind) {
    if (const Node* all = project_.find(kind); name.empty() || (all != nullptr && all->is_broken())) return;
    std::string hint = did_you_mean(name, kind);
    if (hint.empty()) hint = "declare it under the top-level `" + std::string(kind) + ":`";
    report_.error(at.place, path, "refers to undefined " + what + " " + name, hint);
  }

  void networks(const Entry& entry, const Path& path) {
    const Node* networks = entry.value.find("networks");
    const Node* mode = entry.value.find("network_mode");
    if (networks == nullptr) return;
    if (mode != nullptr && !networks->entries.empty()) {
      report_.error(mode->place, path / "network_mode",
                    "service " + gantry::quoted(entry.key) +
                        " declares mutually exclusive `network_mode` and `networks`");
    }
    Path networks_path = path / "networks";
    for (const Entry& network : networks->entries) {
      if (!is_defined("networks", network.key)) {
        Node at = Node::null(network.place);
        undefined(at, networks_path, "network", network.key, "networks");
      }
      if (!network.value.is_map()) continue;
      Path child = networks_path / network.key;
      check_text(network.value, "ipv4_address", is_ip_address, "an IP address", child, report_);
      check_text(network.value, "ipv6_address", is_ip_address, "an IP address", child, report_);
    }
  }

  void health(const Node& service, const Path& path) {
    const Node* health = service.find("healthcheck");
    const Node* test = health == nullptr ? nullptr : health->find("test");
    if (test == nullptr || test->items.empty()) return;
    const Node& first = test->items[0];
    if (first.text == "CMD" || first.text == "CMD-SHELL" || first.text == "NONE") return;
    Path health_path = path / "healthcheck";
    Path test_path = health_path / "test";
    report_.error(first.place, test_path[0],
                  "healthcheck.test must start either by \"CMD\", \"CMD-SHELL\" or \"NONE\"",
                  "write [\"CMD\", " + gantry::quoted(first.text) + ", …]");
  }

  void dependencies(const Entry& entry, const Path& path) {
    const Node* dependencies = entry.value.find("depends_on");
    if (dependencies == nullptr) return;
    Path depends_path = path / "depends_on";
    if (const Node* all = project_.find("services"); all != nullptr && all->is_broken()) return;
    for (const Entry& on : dependencies->entries) {
      const Node* required = on.value.find("required");
      bool defined = services_.contains(on.key);
      if (defined && (active_.contains(on.key) || (required != nullptr && !required->is_true()))) continue;
      std::string hint = defined ? how_to_enable(*services_.at(on.key)) : did_you_mean(on.key, "services");
      report_.error_at(on.place, implied_by(entry.value, on, path).value_or(depends_path.str()),
                    "service " + gantry::quoted(entry.key) + " depends on undefined service " + gantry::quoted(on.key),
                    hint);
    }
  }

  // The attribute that a dependency follows from; nullopt: it is written as one.
  static std::optional<std::string> implied_by(const Node& service, const Entry& on, const Path& path) {
    const Node* condition = on.value.find("condition");
    if (condition == nullptr || condition->tag != Node::Tag::implied) return std::nullopt;
    for (const char* key : {"network_mode", "ipc", "pid", "uts", "cgroup", "links", "volumes_from"}) {
      const Node* node = service.find(key);
      if (node == nullptr) continue;
      if (node->is_scalar() && node->place == on.place) return (path / key).str();
      for (size_t i = 0; i < node->items.size(); ++i) {
        Path list = path / key;
        if (node->items[i].place == on.place) return list[static_cast<int>(i)].str();
      }
    }
    return std::nullopt;
  }

  static std::string how_to_enable(const Node& service) {
    std::string names;
    if (const Node* profiles = service.find("profiles")) {
      for (const Node& profile : profiles->items) names += (names.empty() ? "" : " or ") + profile.text;
    }
    return "it belongs to a profile that is not active: enable it with --profile " + names;
  }

  void volumes(const Node& service, const Path& path) {
    const Node* volumes = service.find("volumes");
    if (volumes == nullptr) return;
    Path volumes_path = path / "volumes";
    for (size_t i = 0; i < volumes->items.size(); ++i) {
      const Node& mount = volumes->items[i];
      const Node* source = mount.find("source");
      if (mount.text_of("type") != "volume" || source == nullptr || source->text.empty()) continue;
      if (is_defined("volumes", source->text)) continue;
      undefined(*source, volumes_path[static_cast<int>(i)], "volume", source->text, "volumes");
    }
  }

  void sources(const Node& user, const char* kind, const Path& path) {
    const Node* list = user.find(kind);
    if (list == nullptr) return;
    Path list_path = path / kind;
    std::string singular(kind, std::string_view(kind).size() - 1);
    for (size_t i = 0; i < list->items.size(); ++i) {
      const Node* source = list->items[i].find("source");
      if (source == nullptr || is_defined(kind, source->text)) continue;
      undefined(*source, list_path[static_cast<int>(i)], singular, source->text, kind);
    }
  }

  void keys(const Node& user, const char* kind, const char* singular, const Path& path) {
    const Node* map = user.find(kind);
    if (map == nullptr) return;
    for (const Entry& entry : map->entries) {
      if (is_defined(kind, entry.key)) continue;
      undefined(Node::null(entry.place), path / kind, singular, entry.key, kind);
    }
  }

  // A service attribute and its twin under deploy.
  void pairs(const Node& service, const Path& path) {
    const Node* deploy = service.find("deploy");
    if (deploy == nullptr || !deploy->is_map()) return;
    auto compare = [&](const char* key, const Node* twin, const std::string& twin_name) {
      const Node* own = service.find(key);
      if (own == nullptr || twin == nullptr || parse_number(own->text) == parse_number(twin->text)) return;
      report_.error(own->place, path / key,
                    "can't set distinct values on '" + std::string(key) + "' and '" + twin_name + "'");
    };
    compare("scale", deploy->find("replicas"), "deploy.replicas");
    const Node* resources = deploy->find("resources");
    const Node* limits = resources == nullptr ? nullptr : resources->find("limits");
    const Node* reservations = resources == nullptr ? nullptr : resources->find("reservations");
    if (limits != nullptr) {
      compare("cpus", limits->find("cpus"), "deploy.resources.limits.cpus");
      compare("mem_limit", limits->find("memory"), "deploy.resources.limits.memory");
      compare("pids_limit", limits->find("pids"), "deploy.resources.limits.pids");
    }
    if (reservations != nullptr) {
      compare("mem_reservation", reservations->find("memory"), "deploy.resources.reservations.memory");
    }
  }

  void scale(const Node& service, const Path& path) {
    const Node* name = service.find("container_name");
    const Node* scale = service.find("scale");
    if (scale == nullptr) {
      const Node* deploy = service.find("deploy");
      scale = deploy == nullptr ? nullptr : deploy->find("replicas");
    }
    if (name == nullptr || scale == nullptr || parse_integer(scale->text).value_or(1) <= 1) return;
    report_.error(scale->place, path / "container_name",
                  "container_name must be unique: it cannot be used with a scale of " + scale->text,
                  "remove container_name " + gantry::quoted(name->text) + ", or the scale");
  }

  void mount_targets(const Node& service, const Path& path) {
    std::map<std::string, std::string> targets;
    if (const Node* tmpfs = service.find("tmpfs")) {
      for (size_t i = 0; i < tmpfs->items.size(); ++i) {
        const std::string& text = tmpfs->items[i].text;
        targets.try_emplace(text.substr(0, text.find(':')), "tmpfs[" + std::to_string(i) + "]");
      }
    }
    const Node* volumes = service.find("volumes");
    if (volumes == nullptr) return;
    Path volumes_path = path / "volumes";
    for (size_t i = 0; i < volumes->items.size(); ++i) {
      const Node& mount = volumes->items[i];
      auto [first, fresh] = targets.try_emplace(mount.text_of("target"), "volumes[" + std::to_string(i) + "]");
      if (fresh) continue;
      report_.error(mount.place, volumes_path[static_cast<int>(i)],
                    "target " + first->first + " already mounted as " + path.str() + "." + first->second);
    }
  }

  void container_names() {
    std::map<std::string, std::string> owners;
    each_entry(project_, "services", [&](const Entry& entry, const Path& path) {
      const Node* name = entry.value.find("container_name");
      if (name == nullptr || !active_.contains(entry.key)) return;
      auto [owner, fresh] = owners.try_emplace(name->text, entry.key);
      if (!fresh) {
        report_.error(name->place, path / "container_name",
                      "container name " + gantry::quoted(name->text) + " is already in use by service " +
                          gantry::quoted(owner->second));
      }
    });
  }

  // Depth first over depends_on, with an own stack: a chain may be as long as there are services.
  void cycles() {
    enum class State { untouched, open, done };
    std::map<std::string, State> states;
    for (const auto& [start, node] : services_) {
      if (!active_.contains(start) || states[start] == State::done) continue;
      struct Step {
        std::string name;
        size_t next = 0;
      };
      std::vector<Step> way{{start}};
      states[start] = State::open;
      while (!way.empty()) {
        Step& step = way.back();
        const Node* dependencies = services_.at(step.name)->find("depends_on");
        if (dependencies == nullptr || step.next >= dependencies->entries.size()) {
          states[step.name] = State::done;
          way.pop_back();
          continue;
        }
        const Entry& on = dependencies->entries[step.next++];
        if (!active_.contains(on.key) || states[on.key] == State::done) continue;
        if (states[on.key] == State::open) {
          std::string text;
          bool inside = false;
          for (const Step& passed : way) {
            inside = inside || passed.name == on.key;
            if (inside) text += passed.name + " -> ";
          }
          Path services_path = Path::root() / "services";
          Path service_path = services_path / step.name;
          return report_.error(on.place, service_path / "depends_on", "dependency cycle detected: " + text + on.key);
        }
        states[on.key] = State::open;
        way.push_back({on.key});
      }
    }
  }

  const Node& project_;
  const std::set<std::string>& active_;
  Report& report_;
  std::map<std::string, const Node*> services_;
  std::map<std::string_view, std::unordered_set<std::string_view>> names_;  // section → what it defines
};

}  // namespace

void check_semantics(const Node& project, Report& report) {
  each_entry(project, "services", [&](const Entry& entry, const Path& path) {
    check_watch(entry.value, path, report);
    check_reserved_labels(entry.value, path, report);
  });
  for (const char* kind : {"networks", "volumes", "secrets", "configs"}) {
    each_entry(project, kind, [&](const Entry& entry, const Path& path) { check_external(entry, path, report); });
  }
  each_entry(project, "networks", [&](const Entry& entry, const Path& path) { check_pools(entry, path, report); });
  each_entry(project, "secrets", [&](const Entry& entry, const Path& path) {
    check_source(entry, path, {"file", "environment"}, report);
  });
  each_entry(project, "configs", [&](const Entry& entry, const Path& path) {
    check_source(entry, path, {"file", "environment", "content"}, report);
  });
}

void check_consistency(const Node& project, const std::set<std::string>& active, Report& report) {
  Consistency(project, active, report).run();
}

}  // namespace gantry::compose
