// The body of POST /containers/create → ContainerSpec. What the spec cannot express is refused with its name, never
// ignored, unless it has no meaning on Linux. Pure.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "base/result.h"
#include "daemon/docker/fields.h"
#include "engine/iface/specs.h"

namespace gantry::daemon::docker {

// Config at top level, HostConfig, NetworkingConfig. `name` and `platform` come from the query.
// Errors: Code::invalid for what cannot be meant, Code::unsupported for what is not built.
Result<engine::ContainerSpec> parse_container_spec(const nlohmann::json& body, const std::string& name,
                                                   const std::string& platform);

// Config alone, as commit takes it: only what an image has of it.
Result<engine::ContainerSpec> parse_config(const nlohmann::json& config);

// The body's EndpointSettings of one network.
engine::EndpointSpec parse_endpoint(const Fields& settings, const std::string& network);

// "80/tcp", "53/udp", "80": code invalid otherwise.
Result<engine::ExposedPort> parse_exposed_port(std::string_view text);
std::string to_string(const engine::ExposedPort& port);  // "80/tcp"
const char* to_string(engine::PortProtocol protocol);

// "SOURCE:TARGET[:OPTIONS]" or "TARGET", as in HostConfig.Binds.
Result<engine::Mount> parse_bind(const std::string& text);

}  // namespace gantry::daemon::docker
