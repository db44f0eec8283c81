#include "engine/iface/spec_json.h"

#include "engine/iface/json_fields.h"
#include "engine/iface/spec_describe.h"

namespace gantry::engine {

std::string to_json(const ContainerSpec& spec) { return json_fields::write(spec); }
std::string to_json(const NetworkSpec& spec) { return json_fields::write(spec); }
std::string to_json(const VolumeSpec& spec) { return json_fields::write(spec); }

Result<ContainerSpec> container_spec_from_json(std::string_view json) {
  return json_fields::read<ContainerSpec>(json, "container spec");
}
Result<NetworkSpec> network_spec_from_json(std::string_view json) {
  return json_fields::read<NetworkSpec>(json, "network spec");
}
Result<VolumeSpec> volume_spec_from_json(std::string_view json) {
  return json_fields::read<VolumeSpec>(json, "volume spec");
}

}  // namespace gantry::engine
