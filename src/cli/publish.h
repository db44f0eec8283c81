// `--publish`, `--expose` and `--network` values taken apart. Pure.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "base/result.h"

namespace gantry::cli {

struct PublishedPort {
  std::string port;  // "80/tcp"
  std::string host_ip;
  std::string host_port;  // "8080"; "8000-8010" for any of a range; "" = the daemon's choice
  friend bool operator==(const PublishedPort&, const PublishedPort&) = default;
};

// "80", "8080:80/udp", "127.0.0.1:8000-8002:80-82", "[::1]::80", "8000-8010:80" (any of the range), or the long form
// "target=80,published=8080,protocol=tcp". Ranges of the same length map one to one.
Result<std::vector<PublishedPort>> published_ports(const std::string& text);
// "80", "80-82/udp" → "80/udp", …
Result<std::vector<std::string>> exposed_ports(const std::string& text);

// "front" or "name=front,alias=web,ip=10.0.0.9,driver-opt=k=v" → the name; `endpoint` gets what belongs into the
// network's entry of EndpointsConfig.
Result<std::string> network_choice(const std::string& text, nlohmann::ordered_json& endpoint);

}  // namespace gantry::cli
