#include "cli/generate.h"

#include <nlohmann/json.hpp>

#include "base/strings.h"

namespace gantry::cli {

namespace {

using Json = nlohmann::ordered_json;

std::string text(const Json& object, const char* key) {
  const auto found = object.is_object() ? object.find(key) : object.end();
  return object.is_object() && found != object.end() && found->is_string() ? found->get<std::string>() : "";
}

const Json& part(const Json& object, const char* key) {
  static const Json kNone = Json::object();
  if (!object.is_object()) return kNone;
  const auto found = object.find(key);
  return found == object.end() || found->is_null() ? kNone : *found;
}

Json with_doubled_dollars(const Json& value) {
  if (value.is_string()) {
    std::string out;
    for (const char c : value.get_ref<const std::string&>()) out += c == '$' ? "$$" : std::string(1, c);
    return out;
  }
  Json copy = value;
  for (auto& item : copy) item = with_doubled_dollars(item);
  return copy;
}

Json ports_of(const Json& host) {
  Json ports = Json::array();
  for (const auto& [key, bindings] : part(host, "PortBindings").items()) {
    if (!bindings.is_array()) continue;
    for (const Json& binding : bindings) {
      std::string port = text(binding, "HostPort");
      if (const std::string ip = text(binding, "HostIp"); !ip.empty() && ip != "0.0.0.0") port = ip + ":" + port;
      ports.push_back((port.empty() ? "" : port + ":") + (key.ends_with("/tcp") ? key.substr(0, key.size() - 4) : key));
    }
  }
  return ports;
}

Json volumes_of(const Json& container, Json& declared) {
  Json volumes = Json::array();
  const Json& mounts = part(container, "Mounts");
  for (const Json& mount : mounts) {
    const std::string type = text(mount, "Type");
    if (type != "bind" && type != "volume") continue;
    const std::string source = text(mount, type == "bind" ? "Source" : "Name");
    if (type == "volume") declared[source] = {{"external", true}};
    const bool writable = !mount.contains("RW") || !mount["RW"].is_boolean() || mount["RW"].get<bool>();
    volumes.push_back(source + ":" + text(mount, "Destination") + (writable ? "" : ":ro"));
  }
  return volumes;
}

Json service_of(const Json& container, Json& networks, Json& volumes) {
  const Json& config = part(container, "Config");
  const Json& host = part(container, "HostConfig");
  std::string name = text(container, "Name");
  if (name.starts_with('/')) name.erase(0, 1);
  Json service = {{"container_name", name}, {"image", text(config, "Image")}};
  const auto copy = [&service](const Json& from, const char* key, const char* as) {
    const Json& value = part(from, key);
    const bool empty = value.is_string() ? value.get_ref<const std::string&>().empty() : value.empty();
    if (!empty) service[as] = with_doubled_dollars(value);
  };
  copy(config, "Entrypoint", "entrypoint");
  copy(config, "Cmd", "command");
  copy(config, "Env", "environment");
  copy(config, "WorkingDir", "working_dir");
  copy(config, "User", "user");
  copy(host, "CapAdd", "cap_add");
  copy(host, "CapDrop", "cap_drop");
  copy(host, "Dns", "dns");
  copy(host, "ExtraHosts", "extra_hosts");
  for (const auto& [key, as] : {std::pair("Privileged", "privileged"), std::pair("ReadonlyRootfs", "read_only")}) {
    if (part(host, key) == true) service[as] = true;
  }
  if (part(config, "Tty") == true) service["tty"] = true;
  const std::string restart = text(part(host, "RestartPolicy"), "Name");
  if (!restart.empty() && restart != "no") service["restart"] = restart;
  Json labels = Json::object();
  for (const auto& [key, value] : part(config, "Labels").items()) {
    if (!key.starts_with("com.docker.compose.")) labels[key] = with_doubled_dollars(value);
  }
  if (!labels.empty()) service["labels"] = labels;
  if (const Json ports = ports_of(host); !ports.empty()) service["ports"] = ports;
  if (const Json mounts = volumes_of(container, volumes); !mounts.empty()) service["volumes"] = mounts;
  const std::string mode = text(host, "NetworkMode");
  if (mode == "host" || mode == "none") {
    service["network_mode"] = mode;
    return service;
  }
  for (const auto& [key, network] : part(part(container, "NetworkSettings"), "Networks").items()) {
    if (key == "bridge") continue;
    networks[key] = {{"external", true}};
    service["networks"].push_back(key);
  }
  return service;
}

// JSON is YAML's flow style; this is its block style. Strings are always quoted, so that none becomes a number.
void write_yaml(const Json& value, size_t indent, std::string& out) {
  const std::string space(indent, ' ');
  const auto scalar = [](const Json& item) { return item.dump(-1, ' ', false, Json::error_handler_t::replace); };
  if (value.is_object()) {
    for (const auto& [key, item] : value.items()) {
      out += space + Json(key).dump() + ":";
      if (item.is_structured() && !item.empty()) {
        out += "\n";
        write_yaml(item, indent + 2, out);
      } else {
        out += " " + scalar(item) + "\n";
      }
    }
  } else {
    for (const Json& item : value) out += space + "- " + scalar(item) + "\n";
  }
}

}  // namespace

Result<std::string> compose_file_of(const std::vector<std::string>& containers, const std::string& project, bool json) {
  Json file = Json::object();
  if (!project.empty()) file["name"] = project;
  Json networks = Json::object();
  Json volumes = Json::object();
  for (const std::string& answer : containers) {
    const Json container = Json::parse(answer, nullptr, false);
    if (!container.is_object()) return internal_error("the daemon's answer is no JSON object");
    Json service = service_of(container, networks, volumes);
    const std::string label = text(part(part(container, "Config"), "Labels"), "com.docker.compose.service");
    const std::string name = label.empty() ? service["container_name"].get<std::string>() : label;
    file["services"][name] = std::move(service);
  }
  if (!networks.empty()) file["networks"] = networks;
  if (!volumes.empty()) file["volumes"] = volumes;
  if (json) return file.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
  std::string out;
  write_yaml(file, 0, out);
  return out;
}

}  // namespace gantry::cli
