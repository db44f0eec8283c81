// Containers as Docker's API shows them: the list's summary and the whole of inspect. Pure.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "base/clock.h"
#include "engine/local_engine.h"

namespace gantry::daemon::docker {

// `names`: the endpoints are null. They are a third of the text, and Gantry's own client looks at the names alone; it asks
// for that with networks=names, which other engines pass over.
enum class ShownNetworks { endpoints, names };
// `image`: what to show as Image, i.e. the reference it was made from while that still names the same image.
nlohmann::json container_summary(const engine::ContainerDetails& container, const std::string& image, WallTime now,
                                 ShownNetworks networks = ShownNetworks::endpoints);
nlohmann::json container_inspect(const engine::ContainerDetails& container);

const char* protocol_name(uint8_t protocol);  // of IPPROTO_…: "tcp", "udp", "sctp"

// "nginx -g 'daemon off;'": arguments with spaces are quoted.
std::string command_text(const std::vector<std::string>& arguments);

}  // namespace gantry::daemon::docker
