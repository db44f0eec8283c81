// Project ⇄ JSON: what the client sends to the daemon and the daemon keeps. Every field of project.h, marks included;
// empty ones left out. Not the output of `config` (compose/canonical.h).
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "base/result.h"
#include "compose/project.h"

namespace gantry::compose {

std::string to_json(const Project& project);
// Bounded in size and depth; an unknown field is an error (client and daemon disagree in version).
Result<Project> project_from_json(std::string_view json);
// The same of text that the caller has read already, as part of a larger one; its size is the caller's to bound.
Result<Project> project_from_document(const nlohmann::json& document);

// Whether both are the same to the last mark.
bool identical(const Project& a, const Project& b);

}  // namespace gantry::compose
