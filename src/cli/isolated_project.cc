#include "cli/isolated_project.h"

#include <cctype>

namespace gantry::cli {

namespace {

// "shop_data" of project "shop" → "copy_data"; "fixed" → "copy_fixed".
std::string renamed(const std::string& name, const std::string& from, const std::string& to) {
  const std::string prefix = from + "_";
  return to + "_" + (name.starts_with(prefix) ? name.substr(prefix.size()) : name);
}

std::string variable_name(const std::string& service) {
  std::string name;
  for (const char c : service) {
    const auto byte = static_cast<unsigned char>(c);
    name += std::isalnum(byte) != 0 ? static_cast<char>(std::toupper(byte)) : '_';
  }
  return name;
}

}  // namespace

void isolate(compose::Project& project, const std::string& name) {
  for (auto& [key, network] : project.networks) {
    if (!network.external) network.name = renamed(network.name, project.name, name);
  }
  for (auto& [key, volume] : project.volumes) {
    if (!volume.external) volume.name = renamed(volume.name, project.name, name);
  }
  for (auto& [key, service] : project.services) {
    // An image that is built keeps its name: it is the same for every copy.
    if (service.build && service.image.empty()) service.image = project.name + project.separator + service.name;
    service.container_name.clear();
    for (compose::Port& port : service.ports) {
      port.published.clear();
      port.host_ip = "127.0.0.1";
    }
  }
  project.name = name;
}

std::map<std::string, std::string> port_variables(const std::vector<ContainerRow>& containers) {
  std::map<std::string, std::string> variables;
  for (const ContainerRow& container : containers) {
    if (container.one_off() || container.number() != 1) continue;
    for (const PortBinding& port : container.ports) {
      if (port.published == 0) continue;
      const std::string prefix = variable_name(container.service()) + "_" + std::to_string(port.target);
      const std::string address = port.ip.empty() || port.ip == "0.0.0.0" ? "127.0.0.1" : port.ip;
      variables[prefix + "_HOST"] = address;
      variables[prefix + "_PORT"] = std::to_string(port.published);
      if (port.protocol == "tcp") variables[prefix + "_URL"] = "http://" + address + ":" + std::to_string(port.published);
    }
  }
  return variables;
}

}  // namespace gantry::cli
