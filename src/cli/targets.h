// Which containers of the project a command is about.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "cli/session.h"

namespace gantry::cli {

enum class Search { running, any };

bool contains(const std::vector<std::string>& list, const std::string& value);

// The lowest replica of the service, or the one with that number; without replicas a one-off (never with an index).
// Errors: the service has none such, in Docker Compose's words.
Result<ContainerRow> find_container(Session& session, const std::string& service, std::optional<int64_t> index,
                                    Search search);

// The project's containers of those services (all if none are named) that are in one of `states` (in any if none are
// named), by name. One-offs included.
Result<std::vector<ContainerRow>> find_containers(Session& session, const std::string& project,
                                                  const std::vector<std::string>& services,
                                                  const std::vector<std::string>& states = {});

}  // namespace gantry::cli
