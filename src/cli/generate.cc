#include "cli/generate.h"

#include "base/strings.h"
#include "cli/json_view.h"

namespace gantry::cli {

namespace {

const OrderedJson& part(const OrderedJson& object, const char* key) {
  static const OrderedJson kNone = OrderedJson::object();
  if (!object.is_object()) return kNone;
  const auto found = object.find(key);
  return found == object.end() || found->is_null() ? kNone : *found;
}

OrderedJson with_doubled_dollars(const OrderedJson& value) {
  if (value.is_string()) {
    std::string out;
    for (const char c : value.get_ref<const std::string&>()) out += c == '$' ? "$$" : std::string(1, c);
    return out;
  }
  OrderedJson copy = value;
  for (auto& item : copy) item = with_doubled_dollars(item);
  return copy;
}

OrderedJson ports_of(const OrderedJson& host) {
  OrderedJson ports = OrderedJson::array();
  for (const auto& [key, bindings] : part(host, "PortBindings").items()) {
    if (!bindings.is_array()) continue;
    for (const OrderedJson& binding : bindings) {
      std::string port = text_member(binding, "HostPort");
      if (const std::string ip = text_member(binding, "HostIp"); !ip.empty() && ip != "0.0.0.0") port = ip + ":" + port;
      ports.push_back((port.empty() ? "" : port + ":") + (key.ends_with("/tcp") ? key.substr(0, key.size() - 4) : key));
    }
  }
  return ports;
}

OrderedJson volumes_of(const OrderedJson& container, OrderedJson& declared) {
  OrderedJson volumes = OrderedJson::array();
  const OrderedJson& mounts = part(container, "Mounts");
  for (const OrderedJson& mount : mounts) {
    const std::string type = text_member(mount, "Type");
    if (type != "bind" && type != "volume") continue;
    const std::string source = text_member(mount, type == "bind" ? "Source" : "Name");
    if (type == "volume") declared[source] = {{"external", true}};
    const bool writable = !mount.contains("RW") || !mount["RW"].is_boolean() || mount["RW"].get<bool>();
    volumes.push_back(source + ":" + text_member(mount, "Destination") + (writable ? "" : ":ro"));
  }
  return volumes;
}

OrderedJson service_of(const OrderedJson& container, OrderedJson& networks, OrderedJson& volumes) {
  const OrderedJson& config = part(container, "Config");
  const OrderedJson& host = part(container, "HostConfig");
  std::string name = text_member(container, "Name");
  if (name.starts_with('/')) name.erase(0, 1);
  OrderedJson service = {{"container_name", name}, {"image", text_member(config, "Image")}};
  const auto copy = [&service](const OrderedJson& from, const char* key, const char* as) {
    const OrderedJson& value = part(from, key);
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
  const std::string restart = text_member(part(host, "RestartPolicy"), "Name");
  if (!restart.empty() && restart != "no") service["restart"] = restart;
  OrderedJson labels = OrderedJson::object();
  for (const auto& [key, value] : part(config, "Labels").items()) {
    if (!key.starts_with("com.docker.compose.")) labels[key] = with_doubled_dollars(value);
  }
  if (!labels.empty()) service["labels"] = labels;
  if (const OrderedJson ports = ports_of(host); !ports.empty()) service["ports"] = ports;
  if (const OrderedJson mounts = volumes_of(container, volumes); !mounts.empty()) service["volumes"] = mounts;
  const std::string mode = text_member(host, "NetworkMode");
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
void write_yaml(const OrderedJson& value, size_t indent, std::string& out) {
  const std::string space(indent, ' ');
  const auto scalar = [](const OrderedJson& item) { return item.dump(-1, ' ', false, OrderedJson::error_handler_t::replace); };
  if (value.is_object()) {
    for (const auto& [key, item] : value.items()) {
      out += space + OrderedJson(key).dump() + ":";
      if (item.is_structured() && !item.empty()) {
        out += "\n";
        write_yaml(item, indent + 2, out);
      } else {
        out += " " + scalar(item) + "\n";
      }
    }
  } else {
    for (const OrderedJson& item : value) out += space + "- " + scalar(item) + "\n";
  }
}

}  // namespace

Result<std::string> compose_file_of(const std::vector<std::string>& containers, const std::string& project, bool json) {
  OrderedJson file = OrderedJson::object();
  if (!project.empty()) file["name"] = project;
  OrderedJson networks = OrderedJson::object();
  OrderedJson volumes = OrderedJson::object();
  for (const std::string& answer : containers) {
    const OrderedJson container = OrderedJson::parse(answer, nullptr, false);
    if (!container.is_object()) return internal_error("the daemon's answer is no JSON object");
    OrderedJson service = service_of(container, networks, volumes);
    const std::string label = text_member(part(part(container, "Config"), "Labels"), "com.docker.compose.service");
    const std::string name = label.empty() ? service["container_name"].get<std::string>() : label;
    file["services"][name] = std::move(service);
  }
  if (!networks.empty()) file["networks"] = networks;
  if (!volumes.empty()) file["volumes"] = volumes;
  if (json) return file.dump(2, ' ', false, OrderedJson::error_handler_t::replace) + "\n";
  std::string out;
  write_yaml(file, 0, out);
  return out;
}

}  // namespace gantry::cli
