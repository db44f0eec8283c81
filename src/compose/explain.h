// Why a value is what it is: `config --explain PATH`. Pure; any thread.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "compose/report.h"
#include "compose/yaml_tree.h"

namespace gantry::compose {

// The places that decided the value at `path` ("services.web.environment.URL"), the one that won first, each with what
// it says. A list or mapping: of everything in it. `tree` is the finished model, `report` has the history of its
// loading (History::whole). Errors: not_found, with the nearest path there is.
Result<std::vector<Diagnostic>> explain(const Node& tree, const std::string& path, const Report& report);

}  // namespace gantry::compose
