// Names of containers: the rule, and invented ones. Pure but for the random source.
#pragma once

#include <string>
#include <string_view>

#include "base/random.h"
#include "base/result.h"

namespace gantry::engine {

// [a-zA-Z0-9][a-zA-Z0-9_.-]+ ; the rule of container, volume and network names alike.
bool is_valid_name(std::string_view name);
// Code::invalid with Docker's text.
Result<> check_container_name(std::string_view name);
// "calm_lovelace"; from the tenth attempt on with a number behind, so that a free one is found.
std::string invent_container_name(Random& random, int attempt);

}  // namespace gantry::engine
