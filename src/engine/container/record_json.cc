#include "engine/container/record_json.h"

#include "engine/iface/json_fields.h"
#include "engine/iface/spec_describe.h"

namespace gantry::net {

template <class Fields>
void describe(Fields& fields, PortForward*) {
  fields("protocol", &PortForward::protocol);
  fields("host_ip", &PortForward::host_ip);
  fields("host_port", &PortForward::host_port);
  fields("container_port", &PortForward::container_port);
}

}  // namespace gantry::net

namespace gantry::engine::json_fields {

template <class Tag>
struct Codec<Id<Tag>> {
  static Json encode(const Id<Tag>& id) { return id.str(); }
  static Result<> decode(const Json& json, const Path& path, Id<Tag>& id) {
    std::string text;
    TRY(Codec<std::string>::decode(json, path, text));
    id = Id<Tag>(std::move(text));
    return {};
  }
};

}  // namespace gantry::engine::json_fields

namespace gantry::engine {

inline const char* enum_name(ContainerState state) {
  return state >= ContainerState::created && state <= ContainerState::dead ? to_string(state) : nullptr;
}
inline const char* enum_name(HealthState state) {
  return state >= HealthState::none && state <= HealthState::unhealthy ? to_string(state) : nullptr;
}

template <class Fields>
void describe(Fields& fields, ImageConfig*) {
  using S = ImageConfig;
  fields("environment", &S::environment);
  fields("entrypoint", &S::entrypoint);
  fields("command", &S::command);
  fields("user", &S::user);
  fields("working_dir", &S::working_dir);
  fields("stop_signal", &S::stop_signal);
  fields("shell", &S::shell);
  fields("exposed", &S::exposed);
  fields("volumes", &S::volumes);
  fields("labels", &S::labels);
  fields("health_check", &S::health_check);
  fields("on_build", &S::on_build);
}

template <class Fields>
void describe(Fields& fields, ContainerMount*) {
  fields("mount", &ContainerMount::mount);
  fields("anonymous", &ContainerMount::anonymous);
}

// The record but for the image's config, which has no comparison for the rule that defaults are left out, and is
// always written.
struct StoredRecord {
  ImageId image_id;
  WallTime created_at{};
  std::vector<ContainerMount> mounts;
};
template <class Fields>
void describe(Fields& fields, StoredRecord*) {
  fields("image_id", &StoredRecord::image_id);
  fields("created_at", &StoredRecord::created_at);
  fields("mounts", &StoredRecord::mounts);
}

template <class Fields>
void describe(Fields& fields, EndpointState*) {
  using S = EndpointState;
  fields("network", &S::network);
  fields("endpoint_id", &S::endpoint_id);
  fields("host_interface", &S::host_interface);
  fields("container_interface", &S::container_interface);
  fields("mac", &S::mac);
  fields("address4", &S::address4);
  fields("address6", &S::address6);
  fields("gateway4", &S::gateway4);
  fields("gateway6", &S::gateway6);
}

template <class Fields>
void describe(Fields& fields, ContainerStatus*) {
  using S = ContainerStatus;
  fields("state", &S::state);
  fields("exit_code", &S::exit_code);
  fields("error", &S::error);
  fields("oom_killed", &S::oom_killed);
  fields("stopped_by_user", &S::stopped_by_user);
  fields("regrouped", &S::regrouped);
  fields("started_at", &S::started_at);
  fields("finished_at", &S::finished_at);
  fields("restart_count", &S::restart_count);
  fields("health", &S::health);
  fields("endpoints", &S::endpoints);
  fields("published", &S::published);
  fields("mounted_volumes", &S::mounted_volumes);
}

template <class Fields>
void describe(Fields& fields, NetworkRecord*) {
  fields("id", &NetworkRecord::id);
  fields("spec", &NetworkRecord::spec);
  fields("created_at", &NetworkRecord::created_at);
  fields("pools", &NetworkRecord::pools);
  fields("bridge_name", &NetworkRecord::bridge_name);
  fields("enclave", &NetworkRecord::enclave);
  fields("uplink", &NetworkRecord::uplink);
}

template <class Fields>
void describe(Fields& fields, VolumeRecord*) {
  fields("spec", &VolumeRecord::spec);
  fields("created_at", &VolumeRecord::created_at);
}

std::string to_json(const ContainerRecord& record) {
  using namespace json_fields;
  const StoredRecord stored{record.image_id, record.created_at, record.mounts};
  Json json = Codec<StoredRecord>::encode(stored);
  json["image_config"] = Codec<ImageConfig>::encode(record.image_config);
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

Result<ContainerRecord> container_record_from_json(std::string_view text) {
  using namespace json_fields;
  Json json = Json::parse(text, nullptr, false);
  if (!json.is_object()) return invalid("container record: is no JSON object");
  ContainerRecord record;
  if (auto config = json.find("image_config"); config != json.end()) {
    TRY(Codec<ImageConfig>::decode(*config, "container record: image_config", record.image_config));
    json.erase(config);
  }
  StoredRecord stored;
  TRY(Codec<StoredRecord>::decode(json, "container record", stored));
  record.image_id = std::move(stored.image_id);
  record.created_at = stored.created_at;
  record.mounts = std::move(stored.mounts);
  return record;
}

std::string to_json(const ContainerStatus& status) { return json_fields::write(status); }
std::string to_json(const NetworkRecord& network) { return json_fields::write(network); }
std::string to_json(const VolumeRecord& volume) { return json_fields::write(volume); }

Result<ContainerStatus> container_status_from_json(std::string_view json) {
  return json_fields::read<ContainerStatus>(json, "container status");
}
Result<NetworkRecord> network_record_from_json(std::string_view json) {
  return json_fields::read<NetworkRecord>(json, "network record");
}
Result<VolumeRecord> volume_record_from_json(std::string_view json) {
  return json_fields::read<VolumeRecord>(json, "volume record");
}

}  // namespace gantry::engine
