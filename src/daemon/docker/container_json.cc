#include "daemon/docker/container_json.h"

#include <netinet/in.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/json_text.h"
#include "daemon/docker/container_spec.h"
#include "daemon/docker/host_config.h"
#include "daemon/docker/status_text.h"

namespace gantry::daemon::docker {
namespace {

using engine::ContainerDetails;
using engine::ListedContainer;
using engine::ContainerState;
using engine::Mount;
using nlohmann::json;

bool is_up(const ListedContainer& container) {
  const ContainerState state = container.observed.state;
  return state == ContainerState::running || state == ContainerState::paused;
}

// A port on every address shows once for each family.
std::vector<std::string> shown_addresses(const std::string& host_ip) {
  if (host_ip.empty()) return {"0.0.0.0", "::"};
  return {host_ip};
}

json summary_ports(const ListedContainer& container) {
  json ports = json::array();
  if (!is_up(container)) return ports;
  std::set<engine::ExposedPort> bound;
  for (const net::PortForward& forward : container.published) {
    const std::string type = protocol_name(forward.protocol);
    if (const auto port = parse_exposed_port(std::to_string(forward.container_port) + "/" + type); port.ok()) {
      bound.insert(*port);
    }
    for (const std::string& address : shown_addresses(forward.host_ip)) {
      json port = {{"IP", address}, {"PrivatePort", forward.container_port}, {"Type", type}};
      if (forward.host_port != 0) port["PublicPort"] = forward.host_port;
      ports.push_back(std::move(port));
    }
  }
  for (const engine::ExposedPort& port : container.exposed) {
    if (!bound.contains(port)) ports.push_back({{"PrivatePort", port.port}, {"Type", to_string(port.protocol)}});
  }
  return ports;
}

json inspect_ports(const ContainerDetails& container) {
  json ports = json::object();
  if (!is_up(container)) return ports;
  for (const engine::ExposedPort& port : container.exposed) ports[to_string(port)] = nullptr;
  for (const net::PortForward& forward : container.published) {
    json& list = ports[std::to_string(forward.container_port) + "/" + protocol_name(forward.protocol)];
    for (const std::string& address : shown_addresses(forward.host_ip)) {
      // None of the host's: clients of a routed network come to the container's own address.
      const std::string port = forward.host_port == 0 ? "" : std::to_string(forward.host_port);
      list.push_back({{"HostIp", address}, {"HostPort", port}});
    }
  }
  return ports;
}

json endpoint_json(const engine::EndpointDetails& endpoint) {
  json ipam = nullptr;
  if (!endpoint.spec.ipv4_address.empty() || !endpoint.spec.ipv6_address.empty()) {
    ipam = json::object();
    if (!endpoint.spec.ipv4_address.empty()) ipam["IPv4Address"] = endpoint.spec.ipv4_address;
    if (!endpoint.spec.ipv6_address.empty()) ipam["IPv6Address"] = endpoint.spec.ipv6_address;
  }
  const auto list = [](const std::vector<std::string>& texts) { return texts.empty() ? json() : json(texts); };
  return {{"IPAMConfig", std::move(ipam)},
          {"Links", list(endpoint.spec.links)},
          {"Aliases", list(endpoint.spec.aliases)},
          {"MacAddress", endpoint.mac_address},
          {"DriverOpts", endpoint.spec.driver_options.empty() ? json() : json(endpoint.spec.driver_options)},
          {"GwPriority", endpoint.spec.gw_priority},
          {"NetworkID", endpoint.network_id.str()},
          {"EndpointID", endpoint.endpoint_id},
          {"Gateway", endpoint.gateway},
          {"IPAddress", endpoint.ipv4_address},
          {"IPPrefixLen", endpoint.ipv4_address.empty() ? 0 : endpoint.ipv4_prefix},
          {"IPv6Gateway", endpoint.ipv6_gateway},
          {"GlobalIPv6Address", endpoint.ipv6_address},
          {"GlobalIPv6PrefixLen", endpoint.ipv6_address.empty() ? 0 : endpoint.ipv6_prefix},
          {"DNSNames", list(endpoint.dns_names)}};
}

json networks_json(const ListedContainer& container, bool names_only = false) {
  json networks = json::object();
  for (const engine::EndpointDetails& endpoint : container.endpoints) {
    networks[endpoint.network_name] = names_only ? json() : endpoint_json(endpoint);
  }
  return networks;
}

json mounts_json(const ListedContainer& container) {
  json mounts = json::array();
  for (const engine::MountDetails& mount : container.mounts) {
    json value = {{"Type", mount.kind == Mount::Kind::bind     ? "bind"
                           : mount.kind == Mount::Kind::volume ? "volume"
                                                               : "tmpfs"},
                  {"Source", mount.source},
                  {"Destination", mount.destination},
                  {"Mode", mount.mode},
                  {"RW", mount.writable},
                  {"Propagation", mount.propagation}};
    if (!mount.name.empty()) value["Name"] = mount.name;
    if (!mount.driver.empty()) value["Driver"] = mount.driver;
    mounts.push_back(std::move(value));
  }
  return mounts;
}

json health_json(const ContainerDetails& container) {
  json log = json::array();
  for (const engine::HealthLogEntry& entry : container.health_log) {
    log.push_back({{"Start", format_rfc3339(entry.start)},
                   {"End", format_rfc3339(entry.end)},
                   {"ExitCode", entry.exit_code},
                   {"Output", entry.output}});
  }
  return {{"Status", engine::to_string(container.observed.health)},
          {"FailingStreak", container.health_failing_streak},
          {"Log", std::move(log)}};
}

json state_json(const ContainerDetails& container) {
  const engine::ObservedContainer& seen = container.observed;
  // A container that waits for its next start counts as running, too: clients that wait for an end go on waiting.
  const bool restarting = seen.state == ContainerState::restarting;
  json state = {{"Status", engine::to_string(seen.state)},
                {"Running", is_up(container) || restarting},
                {"Paused", seen.state == ContainerState::paused},
                {"Restarting", restarting},
                {"OOMKilled", seen.oom_killed},
                {"Dead", seen.state == ContainerState::dead},
                {"Pid", container.pid},
                {"ExitCode", seen.exit_code},
                {"Error", seen.error},
                {"StartedAt", format_rfc3339(seen.started_at)},
                {"FinishedAt", format_rfc3339(seen.finished_at)}};
  if (seen.has_health_check) state["Health"] = health_json(container);
  return state;
}

json set_json(const std::set<std::string>& names) {
  if (names.empty()) return nullptr;
  json object = json::object();
  for (const std::string& name : names) object[name] = json::object();
  return object;
}

json health_check_json(const engine::HealthCheck& check) {
  json value = {{"Test", check.test}};
  if (check.interval) value["Interval"] = check.interval->count();
  if (check.timeout) value["Timeout"] = check.timeout->count();
  if (check.start_period) value["StartPeriod"] = check.start_period->count();
  if (check.start_interval) value["StartInterval"] = check.start_interval->count();
  if (check.retries) value["Retries"] = *check.retries;
  return value;
}

const std::string& or_else(const std::string& own, const std::string& image) { return own.empty() ? image : own; }

// Merged with the image, as Docker keeps it.
json config_json(const ContainerDetails& container) {
  const engine::ContainerSpec& spec = container.spec;
  const engine::ImageConfig& image = container.image_config;
  json exposed = json::object();
  for (const engine::ExposedPort& port : container.exposed) exposed[to_string(port)] = json::object();
  std::set<std::string> volumes = spec.anonymous_volumes;
  volumes.insert(image.volumes.begin(), image.volumes.end());
  const bool own_entrypoint = spec.entrypoint.has_value();
  const std::vector<std::string>& entrypoint = own_entrypoint ? *spec.entrypoint : image.entrypoint;
  json command = nullptr;
  if (spec.command) {
    command = *spec.command;
  } else if (!own_entrypoint && !image.command.empty()) {
    command = image.command;
  }
  const std::string id = container.observed.id.short_form();
  json config = {{"Hostname", or_else(spec.hostname, id)},
                 {"Domainname", spec.domainname},
                 {"User", or_else(spec.user, image.user)},
                 {"AttachStdin", spec.attach_stdin},
                 {"AttachStdout", spec.attach_stdout},
                 {"AttachStderr", spec.attach_stderr},
                 {"Tty", spec.tty},
                 {"OpenStdin", spec.open_stdin},
                 {"StdinOnce", spec.stdin_once},
                 {"Env", container.environment},
                 {"Cmd", std::move(command)},
                 {"Image", container.observed.image},
                 {"Volumes", set_json(volumes)},
                 {"WorkingDir", or_else(spec.working_dir, image.working_dir)},
                 {"Entrypoint", entrypoint.empty() ? json() : json(entrypoint)},
                 {"OnBuild", nullptr},
                 {"Labels", container.observed.labels}};
  if (!exposed.empty()) config["ExposedPorts"] = std::move(exposed);
  if (container.health_check) config["Healthcheck"] = health_check_json(*container.health_check);
  const std::string signal = spec.stop_signal.value_or(image.stop_signal);
  if (!signal.empty()) config["StopSignal"] = signal;
  if (spec.stop_timeout) config["StopTimeout"] = spec.stop_timeout->count();
  const std::vector<std::string>& shell = spec.shell.empty() ? image.shell : spec.shell;
  if (!shell.empty()) config["Shell"] = shell;
  return config;
}

json network_settings(const ContainerDetails& container) {
  json settings = {{"Bridge", ""},
                   {"SandboxID", ""},
                   {"SandboxKey", ""},
                   {"HairpinMode", false},
                   {"LinkLocalIPv6Address", ""},
                   {"LinkLocalIPv6PrefixLen", 0},
                   {"SecondaryIPAddresses", nullptr},
                   {"SecondaryIPv6Addresses", nullptr},
                   {"Ports", inspect_ports(container)},
                   {"Networks", networks_json(container)}};
  // The default bridge's endpoint shows at this level, too.
  json bridge = endpoint_json({});
  for (const engine::EndpointDetails& endpoint : container.endpoints) {
    if (endpoint.network_name == "bridge") bridge = endpoint_json(endpoint);
  }
  for (const char* name : {"EndpointID", "Gateway", "IPAddress", "IPPrefixLen", "MacAddress", "GlobalIPv6Address",
                           "GlobalIPv6PrefixLen", "IPv6Gateway"}) {
    settings[name] = bridge[name];
  }
  return settings;
}

}  // namespace

const char* protocol_name(uint8_t protocol) {
  return protocol == IPPROTO_UDP ? "udp" : protocol == IPPROTO_SCTP ? "sctp" : "tcp";
}

std::string command_text(const std::vector<std::string>& arguments) {
  std::string text;
  for (const std::string& argument : arguments) {
    if (!text.empty()) text += ' ';
    const bool spaced = argument.find(' ') != std::string::npos && &argument != &arguments.front();
    text += spaced ? "'" + argument + "'" : argument;
  }
  return text;
}

namespace {

// An object as text. Members come in the order of their names, as a document of nlohmann's has them.
class ObjectText {
 public:
  explicit ObjectText(std::string& out) : out_(out) { out_ += '{'; }

  std::string& member(std::string_view name) {
    if (out_.back() != '{') out_ += ',';
    append_json(out_, name);
    out_ += ':';
    return out_;
  }
  void text(std::string_view name, std::string_view value) { append_json(member(name), value); }
  void document(std::string_view name, const json& value) {
    member(name) += value.dump(-1, ' ', false, json::error_handler_t::replace);
  }
  void end() { out_ += '}'; }

 private:
  std::string& out_;
};

void append_labels(std::string& out, const engine::Labels& labels, const std::optional<std::vector<std::string>>& chosen) {
  ObjectText shown(out);
  if (chosen) {
    for (const std::string& name : std::set(chosen->begin(), chosen->end())) {
      if (const auto found = labels.find(name); found != labels.end()) shown.text(name, found->second);
    }
  } else {
    for (const auto& [name, value] : labels) shown.text(name, value);
  }
  shown.end();
}

void append_networks(std::string& out, const ListedContainer& container, bool names_only) {
  ObjectText settings(out);
  settings.document("Networks", networks_json(container, names_only));
  settings.end();
}

}  // namespace

void append_summary(std::string& out, const ListedContainer& container, const std::string& image, WallTime now,
                    const SummaryParts& parts) {
  const engine::ObservedContainer& seen = container.observed;
  const auto created = std::chrono::duration_cast<std::chrono::seconds>(seen.created_at.time_since_epoch()).count();
  ObjectText summary(out);
  summary.text("Command", command_text(container.arguments));
  summary.member("Created") += std::to_string(created);
  ObjectText host(summary.member("HostConfig"));
  host.text("NetworkMode", network_mode_text(container.network_mode, container.first_network));
  host.end();
  summary.text("Id", seen.id.str());
  summary.text("Image", image);
  summary.text("ImageID", seen.image_id.str());
  append_labels(summary.member("Labels"), seen.labels, parts.labels);
  summary.document("Mounts", mounts_json(container));
  append_json(summary.member("Names") += '[', "/" + seen.name);
  out += ']';
  append_networks(summary.member("NetworkSettings"), container, parts.network_names_only);
  summary.document("Ports", summary_ports(container));
  summary.text("State", engine::to_string(seen.state));
  summary.text("Status", status_text(seen, now));
  summary.end();
}

json container_summary(const ListedContainer& container, const std::string& image, WallTime now,
                       const SummaryParts& parts) {
  std::string text;
  append_summary(text, container, image, now, parts);
  return json::parse(text, nullptr, /*allow_exceptions=*/false);
}

json container_inspect(const ContainerDetails& container) {
  const engine::ObservedContainer& seen = container.observed;
  const std::string path = container.arguments.empty() ? "" : container.arguments.front();
  json args = json::array();
  for (size_t i = 1; i < container.arguments.size(); ++i) args.push_back(container.arguments[i]);
  const std::filesystem::path directory = std::filesystem::path(container.log_path).parent_path();
  json host = host_config_json(container.spec);
  host["ConsoleSize"] = {container.spec.console_rows, container.spec.console_columns};
  const auto beside_log = [&](const char* name) { return directory.empty() ? "" : (directory / name).native(); };
  return {{"Id", seen.id.str()},
          {"Created", format_rfc3339(seen.created_at)},
          {"Path", path},
          {"Args", std::move(args)},
          {"State", state_json(container)},
          {"Image", seen.image_id.str()},
          {"ResolvConfPath", beside_log("resolv.conf")},
          {"HostnamePath", beside_log("hostname")},
          {"HostsPath", beside_log("hosts")},
          {"LogPath", container.log_path},
          {"Name", "/" + seen.name},
          {"RestartCount", seen.restart_count},
          {"Driver", "overlay2"},
          {"Platform", "linux"},
          {"MountLabel", ""},
          {"ProcessLabel", ""},
          {"AppArmorProfile", ""},
          {"ExecIDs", container.exec_ids.empty() ? json() : json(container.exec_ids)},
          {"HostConfig", std::move(host)},
          {"GraphDriver", {{"Name", "overlay2"}, {"Data", {{"UpperDir", container.upper_dir}}}}},
          {"Mounts", mounts_json(container)},
          {"Config", config_json(container)},
          {"NetworkSettings", network_settings(container)}};
}

}  // namespace gantry::daemon::docker
