// Members of JSON objects that others wrote, as registries and vendors: what is missing reads as nothing. Pure.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

namespace gantry::engine {

// null if there is none, or `object` is no object.
const nlohmann::json& member(const nlohmann::json& object, const char* name);
// "" if there is none, or it is no text.
std::string text_member(const nlohmann::json& object, const char* name);

}  // namespace gantry::engine
