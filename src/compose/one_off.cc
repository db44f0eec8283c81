#include "compose/one_off.h"

#include <algorithm>

#include "base/strings.h"
#include "compose/container_spec.h"
#include "compose/labels.h"

namespace gantry::compose {
namespace {

using engine::ContainerSpec;
using engine::Mount;

std::string key_of(const std::string& variable) { return variable.substr(0, variable.find('=')); }

// "K=v" wins over the service's; a bare "K" has no value here: the client has looked it up already.
void set_environment(const std::vector<std::string>& given, ContainerSpec& spec) {
  for (const std::string& variable : given) {
    std::erase_if(spec.environment, [&](const std::string& e) { return key_of(e) == key_of(variable); });
    if (variable.find('=') != std::string::npos) spec.environment.push_back(variable);
  }
}

Result<> set_labels(const RunOptions& options, Random& random, ContainerSpec& spec) {
  for (const std::string& text : options.labels) {
    size_t equals = text.find('=');
    if (equals == std::string::npos) return invalid("label must be set as KEY=VALUE");
    spec.labels[text.substr(0, equals)] = text.substr(equals + 1);
  }
  spec.labels.erase(label::kContainerNumber);
  spec.labels[label::kOneOff] = "True";
  spec.labels[label::kSlug] = random_hex(random, 32);
  return {};
}

// Moves capabilities between the lists: what is added is not dropped, and the other way round.
void set_capabilities(const RunOptions& options, ContainerSpec& spec) {
  auto move = [](const std::vector<std::string>& names, std::vector<std::string>& to, std::vector<std::string>& from) {
    for (const std::string& name : names) {
      std::erase(from, name);
      if (std::find(to.begin(), to.end(), name) == to.end()) to.push_back(name);
    }
  };
  move(options.cap_add, spec.cap_add, spec.cap_drop);
  move(options.cap_drop, spec.cap_drop, spec.cap_add);
}

Result<> set_volumes(const Desired& desired, const RunOptions& options, ContainerSpec& spec) {
  for (const std::string& text : options.volumes) {
    Mount mount = TRY(parse_volume(text));
    auto declared = desired.volumes.find(mount.source);
    if (mount.kind == Mount::Kind::volume && declared != desired.volumes.end()) {
      mount.source = declared->second.spec.name;
    }
    std::erase_if(spec.mounts, [&mount](const Mount& m) { return m.target == mount.target; });
    spec.mounts.push_back(std::move(mount));
  }
  return {};
}

Result<> set_ports(const RunOptions& options, ContainerSpec& spec) {
  if (options.service_ports && !options.publish.empty()) {
    return invalid("--service-ports and --publish are incompatible");
  }
  if (!options.service_ports) spec.published.clear();
  for (const std::string& text : options.publish) {
    for (engine::PublishedPort& port : TRY(parse_publish(text))) {
      spec.exposed.insert(port.container);
      spec.published.push_back(std::move(port));
    }
  }
  return {};
}

void set_program(const RunOptions& options, ContainerSpec& spec) {
  if (options.entrypoint) {
    spec.entrypoint = options.entrypoint;
    spec.command.reset();
  }
  if (options.command) spec.command = options.command;
  if (!options.user.empty()) spec.user = options.user;
  if (!options.working_dir.empty()) spec.working_dir = options.working_dir;
  spec.tty = options.tty;
  spec.open_stdin = options.stdin_open;
  spec.stdin_once = options.stdin_open;  // the end of the client's input is the program's
  spec.auto_remove = options.auto_remove;
  spec.restart = {};
}

}  // namespace

Result<OneOff> make_one_off(const Desired& desired, const RunOptions& options, Random& random) {
  auto found = desired.services.find(options.service);
  if (found == desired.services.end()) return not_found("no such service: " + options.service);
  OneOff one_off{.service = options.service, .spec = found->second.spec};
  ContainerSpec& spec = one_off.spec;
  const std::string& separator = found->second.separator;
  spec.name = options.container_name.empty()
                  ? desired.project + separator + options.service + separator + "run" + separator + random_hex(random, 6)
                  : options.container_name;
  set_program(options, spec);
  set_environment(options.environment, spec);
  TRY(set_labels(options, random, spec));
  set_capabilities(options, spec);
  TRY(set_volumes(desired, options, spec));
  TRY(set_ports(options, spec));
  if (!options.use_aliases) {
    // It must not answer to the service's name beside the replicas.
    for (engine::EndpointSpec& endpoint : spec.endpoints) endpoint.aliases.clear();
  }
  return one_off;
}

Result<std::vector<engine::PublishedPort>> parse_publish(const std::string& text) {
  size_t slash = text.find('/');
  auto protocol = TRY(parse_protocol(slash == std::string::npos ? "" : text.substr(slash + 1)));
  std::string rest = text.substr(0, slash);
  auto take_last = [&rest] {
    size_t colon = rest.rfind(':');
    std::string last = colon == std::string::npos ? rest : rest.substr(colon + 1);
    rest = colon == std::string::npos ? "" : rest.substr(0, colon);
    return last;
  };
  auto [first, last] = TRY(parse_port_range(take_last()));
  auto [host_first, host_last] = TRY(parse_port_range(rest.empty() ? "" : take_last()));
  std::string host_ip = rest;
  if (host_ip.starts_with('[') && host_ip.ends_with(']')) host_ip = host_ip.substr(1, host_ip.size() - 2);
  if (first == 0) return invalid("No port specified: " + text + "<empty>");
  bool one_port = first == last;
  if (host_first != 0 && !one_port && last - first != host_last - host_first) {
    return invalid("Invalid ranges specified for container and host Ports: " + std::to_string(first) + "-" +
                   std::to_string(last) + " and " + std::to_string(host_first) + "-" + std::to_string(host_last));
  }
  std::vector<engine::PublishedPort> ports;
  for (unsigned port = first; port <= last; ++port) {
    auto offset = static_cast<uint16_t>(port - first);
    uint16_t host = host_first == 0 ? 0 : static_cast<uint16_t>(host_first + offset);
    ports.push_back({.container = {.port = static_cast<uint16_t>(port), .protocol = protocol},
                     .host_ip = host_ip,
                     .host_first = host,
                     .host_last = one_port ? host_last : host});
  }
  return ports;
}

Result<engine::Mount> parse_volume(const std::string& text) {
  std::vector<std::string> parts = split(text, ':');
  if (parts.size() > 3) return invalid("invalid spec: " + text + ": too many colons");
  for (const std::string& part : parts) {
    if (part.empty()) return invalid("invalid spec: " + text + ": empty section between colons");
  }
  Mount mount{.kind = Mount::Kind::volume, .target = parts.size() == 1 ? parts[0] : parts[1]};
  if (!mount.target.starts_with('/')) {
    return invalid("invalid spec: " + text + ": the target must be an absolute path");
  }
  if (parts.size() > 1) {
    mount.source = parts[0];
    if (mount.source.starts_with('/')) {
      mount.kind = Mount::Kind::bind;
      mount.create_source = true;
    } else if (mount.source.find('/') != std::string::npos || mount.source.starts_with('.')) {
      return invalid("invalid spec: " + text + ": the source must be an absolute path or a volume's name");
    }
  }
  if (parts.size() < 3) return mount;
  for (const std::string& option : split(parts[2], ',')) {
    if (option == "ro") {
      mount.read_only = true;
    } else if (option == "nocopy") {
      mount.no_copy = true;
    } else if (option.ends_with("private") || option.ends_with("shared") || option.ends_with("slave")) {
      mount.propagation = option;
    } else if (option != "rw" && option != "z" && option != "Z") {  // z, Z: SELinux labels, which nothing here has
      return invalid("invalid spec: " + text + ": unknown option " + gantry::quoted(option));
    }
  }
  return mount;
}

}  // namespace gantry::compose
