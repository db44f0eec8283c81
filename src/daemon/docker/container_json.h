// Containers as Docker's API shows them: the list's summary and the whole of inspect. Pure.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "engine/local_engine.h"

namespace gantry::daemon::docker {

// How much of a container a list shows. Gantry's own client asks for what it looks at, with queries that other engines pass
// over: the rest is most of the text.
struct SummaryParts {
  bool network_names_only = false;                 // networks=names: the endpoints are null
  std::optional<std::vector<std::string>> labels;  // labels=NAME,NAME: these alone; nullopt: all
};
// `image`: what to show as Image, i.e. the reference it was made from while that still names the same image.
// As text: a list of a hundred is asked for all the time, and a document of it cost more than to find its contents.
void append_summary(std::string& out, const engine::ListedContainer& container, const std::string& image, WallTime now,
                    const SummaryParts& parts = {});
nlohmann::json container_summary(const engine::ListedContainer& container, const std::string& image, WallTime now,
                                 const SummaryParts& parts = {});
nlohmann::json container_inspect(const engine::ContainerDetails& container);

const char* protocol_name(uint8_t protocol);  // of IPPROTO_…: "tcp", "udp", "sctp"

// "nginx -g 'daemon off;'": arguments with spaces are quoted.
std::string command_text(const std::vector<std::string>& arguments);

}  // namespace gantry::daemon::docker
