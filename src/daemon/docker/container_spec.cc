#include "daemon/docker/container_spec.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/strings.h"
#include "daemon/docker/host_config.h"

namespace gantry::daemon::docker {
namespace {

using engine::ContainerSpec;

std::optional<std::chrono::nanoseconds> nanoseconds(const Fields& fields, std::string_view name) {
  const int64_t value = fields.integer(name);
  if (value < 0) fields.complain(name, "must not be negative");
  if (value <= 0) return std::nullopt;  // zero inherits, as in Go
  return std::chrono::nanoseconds(value);
}

std::optional<engine::HealthCheck> health_check(const Fields& config) {
  if (!config.has("Healthcheck")) return std::nullopt;
  const Fields given = config.object("Healthcheck");
  engine::HealthCheck check{.test = given.texts("Test"),
                            .interval = nanoseconds(given, "Interval"),
                            .timeout = nanoseconds(given, "Timeout"),
                            .start_period = nanoseconds(given, "StartPeriod"),
                            .start_interval = nanoseconds(given, "StartInterval"),
                            .retries = {}};
  if (const int64_t retries = given.integer("Retries"); retries > 0) check.retries = static_cast<int>(retries);
  return check;
}

void read_program(const Fields& config, ContainerSpec& spec) {
  spec.command = config.text_or_texts("Cmd");
  if (spec.command && spec.command->empty()) spec.command.reset();  // an empty one inherits, too
  spec.entrypoint = config.text_or_texts("Entrypoint");
  // [] is "not given" to Docker; [""] is how clients say "no entrypoint".
  if (spec.entrypoint && spec.entrypoint->empty()) spec.entrypoint.reset();
  if (spec.entrypoint && *spec.entrypoint == std::vector<std::string>{""}) spec.entrypoint->clear();
  spec.environment = config.texts("Env");
  spec.user = config.text("User");
  spec.working_dir = config.text("WorkingDir");
  spec.tty = config.flag("Tty");
  spec.open_stdin = config.flag("OpenStdin");
  spec.stdin_once = config.flag("StdinOnce");
  spec.attach_stdin = config.flag("AttachStdin");
  spec.attach_stdout = config.flag("AttachStdout");
  spec.attach_stderr = config.flag("AttachStderr");
  if (const auto size = config.object("HostConfig").integers("ConsoleSize"); size.size() == 2) {
    spec.console_rows = static_cast<uint16_t>(std::clamp<int64_t>(size[0], 0, UINT16_MAX));
    spec.console_columns = static_cast<uint16_t>(std::clamp<int64_t>(size[1], 0, UINT16_MAX));
  }
  if (const std::string signal = config.text("StopSignal"); !signal.empty()) spec.stop_signal = signal;
  if (const auto timeout = config.optional_integer("StopTimeout")) spec.stop_timeout = std::chrono::seconds(*timeout);
  spec.health_check = health_check(config);
  spec.shell = config.text_or_texts("Shell").value_or(std::vector<std::string>());
}

void read_config(const Fields& config, ContainerSpec& spec) {
  spec.image = config.text("Image");
  spec.labels = config.text_map("Labels");
  spec.hostname = config.text("Hostname");
  spec.domainname = config.text("Domainname");
  for (const std::string& target : config.keys("Volumes")) spec.anonymous_volumes.insert(target);
  for (const std::string& port : config.keys("ExposedPorts")) {
    Result<engine::ExposedPort> parsed = parse_exposed_port(port);
    if (parsed.ok()) {
      spec.exposed.insert(*parsed);
    } else {
      config.refuse(std::move(parsed).error());
    }
  }
  read_program(config, spec);
}

// The network of NetworkMode comes first: it is shown as the mode again.
void read_networks(const Fields& body, ContainerSpec& spec, const std::string& mode) {
  const bool disabled = body.flag("NetworkDisabled");
  const auto members = body.object("NetworkingConfig").members("EndpointsConfig");
  if (disabled || mode == "none") {
    spec.network_mode.kind = engine::NetworkMode::Kind::none;
    return;
  }
  if (mode == "host") {
    spec.network_mode.kind = engine::NetworkMode::Kind::host;
    return;
  }
  if (mode.starts_with("container:")) {
    spec.network_mode = {.kind = engine::NetworkMode::Kind::container, .container = mode.substr(10)};
    return;
  }
  const std::string first = mode.empty() || mode == "default" ? "bridge" : mode;
  for (const auto& [name, settings] : members) {
    const std::string network = name == "default" ? "bridge" : name;
    engine::EndpointSpec endpoint = parse_endpoint(settings, network);
    if (network == first) {
      spec.endpoints.insert(spec.endpoints.begin(), std::move(endpoint));
    } else {
      spec.endpoints.push_back(std::move(endpoint));
    }
  }
  const bool named = std::any_of(spec.endpoints.begin(), spec.endpoints.end(),
                                 [&](const engine::EndpointSpec& endpoint) { return endpoint.network == first; });
  if (!named && (first != "bridge" || !spec.endpoints.empty() || body.has("MacAddress"))) {
    engine::EndpointSpec endpoint;
    endpoint.network = first;
    spec.endpoints.insert(spec.endpoints.begin(), std::move(endpoint));
  }
  // Links of old: names in /etc/hosts on the first network. What `inspect` shows of them, "/name:/self/alias", is taken, too.
  for (std::string link : body.object("HostConfig").texts("Links")) {
    const size_t colon = link.find(':');
    const auto last_part = [](const std::string& path) { return path.substr(path.rfind('/') + 1); };
    link = last_part(link.substr(0, colon)) + (colon == std::string::npos ? "" : ":" + last_part(link.substr(colon + 1)));
    if (spec.endpoints.empty()) spec.endpoints.push_back({.network = first});
    spec.endpoints.front().links.push_back(std::move(link));
  }
  if (const std::string mac = body.text("MacAddress"); !mac.empty() && spec.endpoints.front().mac_address.empty()) {
    spec.endpoints.front().mac_address = mac;
  }
}

}  // namespace

Result<engine::ExposedPort> parse_exposed_port(std::string_view text) {
  const size_t slash = text.find('/');
  const std::string protocol = slash == std::string_view::npos ? "tcp" : to_lower(text.substr(slash + 1));
  const std::optional<uint64_t> port = parse_unsigned(text.substr(0, slash));
  if (!port || *port == 0 || *port > 65535) return invalid("invalid port specification: " + gantry::quoted(text));
  engine::ExposedPort exposed{.port = static_cast<uint16_t>(*port)};
  if (protocol == "udp") {
    exposed.protocol = engine::PortProtocol::udp;
  } else if (protocol == "sctp") {
    exposed.protocol = engine::PortProtocol::sctp;
  } else if (protocol != "tcp") {
    return invalid("invalid port specification: " + gantry::quoted(text) + ": unknown protocol");
  }
  return exposed;
}

const char* to_string(engine::PortProtocol protocol) {
  switch (protocol) {
    case engine::PortProtocol::tcp:
      return "tcp";
    case engine::PortProtocol::udp:
      return "udp";
    case engine::PortProtocol::sctp:
      return "sctp";
  }
  return "tcp";
}

std::string to_string(const engine::ExposedPort& port) {
  return std::to_string(port.port) + "/" + to_string(port.protocol);
}

engine::EndpointSpec parse_endpoint(const Fields& settings, const std::string& network) {
  const Fields ipam = settings.object("IPAMConfig");
  std::map<std::string, std::string> options = settings.text_map("DriverOpts");
  std::string interface_name = std::move(options["com.docker.network.endpoint.ifname"]);
  options.erase("com.docker.network.endpoint.ifname");
  return {.network = network,
          .aliases = settings.texts("Aliases"),
          .links = settings.texts("Links"),
          .ipv4_address = ipam.text("IPv4Address"),
          .ipv6_address = ipam.text("IPv6Address"),
          .link_local_ips = ipam.texts("LinkLocalIPs"),
          .mac_address = settings.text("MacAddress"),
          .interface_name = std::move(interface_name),
          .gw_priority = static_cast<int>(settings.integer("GwPriority")),
          .priority = 0,
          .driver_options = std::move(options)};
}

Result<engine::ContainerSpec> parse_config(const nlohmann::json& config) {
  Trouble trouble;
  ContainerSpec spec;
  read_config(Fields(config, "", trouble), spec);
  if (trouble) return *trouble;
  return spec;
}

Result<engine::ContainerSpec> parse_container_spec(const nlohmann::json& body, const std::string& name,
                                                   const std::string& platform) {
  Trouble trouble;
  const Fields config(body, "", trouble);
  ContainerSpec spec;
  spec.name = name.starts_with('/') ? name.substr(1) : name;
  spec.platform = platform;
  if (body.is_null()) return invalid("config cannot be empty in order to create a container");
  read_config(config, spec);
  const Fields host = config.object("HostConfig");
  read_host_config(host, spec);
  read_networks(config, spec, host.text("NetworkMode"));
  if (trouble) return *trouble;
  if (spec.image.empty()) return invalid("config cannot be empty in order to create a container: no image is given");
  return spec;
}

}  // namespace gantry::daemon::docker
