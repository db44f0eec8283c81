// The options of the controller's operations ⇄ JSON: what the client sends beside the project. Fields with their
// default value are left out; an unknown field is an error (client and daemon differ in version). Pure; any thread.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "compose/controller.h"

namespace gantry::compose {

std::string to_json(const UpOptions& options);
std::string to_json(const DownOptions& options);
std::string to_json(const ServiceOptions& options);
std::string to_json(const RunOptions& options);

// Errors: Code::invalid, naming the field. Empty text means all defaults.
Result<UpOptions> up_options_from_json(std::string_view json);
Result<DownOptions> down_options_from_json(std::string_view json);
Result<ServiceOptions> service_options_from_json(std::string_view json);
Result<RunOptions> run_options_from_json(std::string_view json);

}  // namespace gantry::compose
