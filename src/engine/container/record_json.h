// ContainerRecord, ContainerStatus and the stored forms of networks and volumes as JSON and back. Pure.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "engine/container/record.h"
#include "engine/network_record.h"
#include "engine/volume/volume_record.h"

namespace gantry::engine {

std::string to_json(const ContainerRecord& record);
std::string to_json(const ContainerStatus& status);
std::string to_json(const NetworkRecord& network);
std::string to_json(const VolumeRecord& volume);

Result<ContainerRecord> container_record_from_json(std::string_view json);
Result<ContainerStatus> container_status_from_json(std::string_view json);
Result<NetworkRecord> network_record_from_json(std::string_view json);
Result<VolumeRecord> volume_record_from_json(std::string_view json);

}  // namespace gantry::engine
