#include "engine/container/cdi.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/fd.h"
#include "base/strings.h"
#include "engine/json_members.h"

namespace gantry::engine {
namespace {

using nlohmann::json;

constexpr size_t kMaxFile = 16 << 20;

struct Kind {
  std::string name;  // "vendor.com/class"
  json edits;        // for every device of it
  std::map<std::string, json> devices;
};

struct Catalogue {
  std::map<std::string, Kind> kinds;
  std::vector<std::string> unread;  // YAML files
};

Result<> read_spec(const std::filesystem::path& file, Catalogue& catalogue) {
  const json spec = json::parse(TRY(read_file(file, kMaxFile)), nullptr, false);
  if (!spec.is_object() || text_member(spec, "kind").empty()) return invalid("CDI specification " + file.string() + " is damaged");
  Kind& kind = catalogue.kinds[text_member(spec, "kind")];
  kind.name = text_member(spec, "kind");
  kind.edits = member(spec, "containerEdits");
  for (const json& device : member(spec, "devices")) {
    if (device.is_object()) kind.devices[text_member(device, "name")] = member(device, "containerEdits");
  }
  return {};
}

Result<Catalogue> read_catalogue(const std::vector<std::filesystem::path>& directories) {
  Catalogue catalogue;
  for (const auto& directory : directories) {
    std::error_code ignored;
    std::vector<std::filesystem::path> files;
    for (const auto& entry : std::filesystem::directory_iterator(directory, ignored)) files.push_back(entry.path());
    std::ranges::sort(files);
    for (const auto& file : files) {
      if (file.extension() == ".json") TRY(read_spec(file, catalogue));
      if (file.extension() == ".yaml" || file.extension() == ".yml") catalogue.unread.push_back(file.string());
    }
  }
  return catalogue;
}

std::string hint(const Catalogue& catalogue) {
  if (catalogue.unread.empty()) return "";
  return " (" + catalogue.unread[0] + " is not read: CDI specifications must be JSON here, as `nvidia-ctk cdi generate --format json` writes them)";
}

class Editor {
 public:
  explicit Editor(SandboxSpec& spec) : spec_(spec) {}

  Result<> apply(const std::string& device, const json& edits) {
    if (edits.is_null()) return {};
    if (!edits.is_object()) return invalid("CDI device " + device + ": containerEdits must be an object");
    if (const json& hooks = member(edits, "hooks"); hooks.is_array() && !hooks.empty()) {
      return unsupported("CDI device " + device + " wants hooks to be run (" + text_member(hooks[0], "path") + "), which is not supported");
    }
    for (const json& variable : member(edits, "env")) {
      if (variable.is_string()) set_variable(variable.get<std::string>());
    }
    for (const json& node : member(edits, "deviceNodes")) {
      const std::string path = text_member(node, "path");
      const std::string host = text_member(node, "hostPath").empty() ? path : text_member(node, "hostPath");
      if (path.empty()) return invalid("CDI device " + device + ": a device node without path");
      const std::string permissions = text_member(node, "permissions");
      spec_.resources.devices.push_back({.host_path = host, .container_path = path, .permissions = permissions.empty() ? "rwm" : permissions});
    }
    for (const json& mount : member(edits, "mounts")) TRY(add_mount(device, mount));
    return {};
  }

 private:
  void set_variable(const std::string& variable) {
    const std::string name = variable.substr(0, variable.find('=')) + "=";
    std::erase_if(spec_.process.environment, [&](const std::string& other) { return other.starts_with(name); });
    spec_.process.environment.push_back(variable);
  }

  Result<> add_mount(const std::string& device, const json& mount) {
    RuntimeMount added{.source = text_member(mount, "hostPath"), .target = text_member(mount, "containerPath"), .recursive = false,
                       .read_only_submounts = {}, .propagation = {}, .tmpfs_options = {}, .subpath = {}};
    if (!added.source.is_absolute() || added.target.empty() || added.target[0] != '/') {
      return invalid("CDI device " + device + ": a mount without absolute paths");
    }
    for (const json& option : member(mount, "options")) {
      if (option == "ro") added.read_only = true;
      if (option == "rbind") added.recursive = true;
    }
    spec_.mounts.push_back(std::move(added));
    return {};
  }

  SandboxSpec& spec_;
};

std::string capabilities_text(const DeviceRequest& request) {
  std::string all;
  for (const auto& set : request.capabilities) all += (all.empty() ? "[" : " [") + join(set, " ") + "]";
  return "[" + all + "]";
}

bool wants_gpu(const DeviceRequest& request) {
  return std::ranges::any_of(request.capabilities, [](const auto& set) { return std::ranges::find(set, "gpu") != set.end(); });
}

// "0" before "10"; names that are no numbers behind.
bool by_number(const std::string& a, const std::string& b) {
  const auto x = parse_unsigned(a), y = parse_unsigned(b);
  if (x && y) return *x < *y;
  return x.has_value() != y.has_value() ? x.has_value() : a < b;
}

// The qualified names that a request means.
Result<std::vector<std::string>> devices_of(const DeviceRequest& request, const Catalogue& catalogue) {
  if (request.driver == "cdi") return request.ids;
  const Error none(Code::invalid, "could not select device driver \"" + request.driver + "\" with capabilities: " +
                                      capabilities_text(request) + hint(catalogue));
  if (!wants_gpu(request) || (!request.driver.empty() && request.driver != "nvidia")) return none;
  const auto kind = std::ranges::find_if(catalogue.kinds, [](const auto& entry) { return entry.first.ends_with("/gpu"); });
  if (kind == catalogue.kinds.end()) return none;
  std::vector<std::string> names = request.ids;
  if (names.empty()) {
    for (const auto& [name, edits] : kind->second.devices) {
      if (name != "all") names.push_back(name);
    }
    std::ranges::sort(names, by_number);
    const auto wanted = static_cast<size_t>(std::max(request.count, 0));
    if (request.count >= 0 && wanted > names.size()) {
      return invalid("there are " + std::to_string(names.size()) + " devices of " + kind->first + ", not " + std::to_string(wanted));
    }
    if (request.count >= 0) names.resize(wanted);
  }
  for (std::string& name : names) name = kind->first + "=" + name;
  return names;
}

}  // namespace

const std::vector<std::filesystem::path>& cdi_directories() {
  static const std::vector<std::filesystem::path> kDirectories = {"/etc/cdi", "/var/run/cdi"};
  return kDirectories;
}

Result<> apply_device_requests(SandboxSpec& spec, const std::vector<std::filesystem::path>& directories) {
  if (spec.resources.device_requests.empty()) return {};
  const Catalogue catalogue = TRY(read_catalogue(directories));
  Editor editor(spec);
  std::set<std::string> kinds;
  for (const DeviceRequest& request : spec.resources.device_requests) {
    for (const std::string& name : TRY(devices_of(request, catalogue))) {
      const size_t equals = name.find('=');
      const auto kind = catalogue.kinds.find(name.substr(0, equals));
      if (equals == std::string::npos || kind == catalogue.kinds.end() || !kind->second.devices.contains(name.substr(equals + 1))) {
        return not_found("CDI device injection failed: unresolvable CDI devices " + name + hint(catalogue));
      }
      if (kinds.insert(kind->first).second) TRY(editor.apply(kind->first, kind->second.edits));
      TRY(editor.apply(name, kind->second.devices.at(name.substr(equals + 1))));
    }
  }
  return {};
}

}  // namespace gantry::engine
