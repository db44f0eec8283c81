// A service in the engine's terms: one ContainerSpec that all its replicas share. Pure; any thread.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "compose/project.h"
#include "engine/iface/specs.h"

namespace gantry::compose {

// What the project cannot be run with is an error with the attribute's mark; what the machine or the engine will
// leave out is told in `warnings`.
Result<engine::ContainerSpec> container_spec(const Project& project, const Service& service,
                                             std::vector<std::string>& warnings);

// The service whose container is meant by "service:NAME[:…]"; "" if it is another text.
std::string referenced_service(const std::string& text);

// "8080" or "8000-9000" → first and last; "" → 0, 0 (any free port).
Result<std::pair<uint16_t, uint16_t>> parse_port_range(const std::string& text);
Result<engine::PortProtocol> parse_protocol(const std::string& text);

// `restart:` of a service: "no", "always", "unless-stopped", "on-failure[:N]".
Result<engine::RestartPolicy> parse_restart(const std::string& text);

}  // namespace gantry::compose
