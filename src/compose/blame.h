// What the user reads when a step fails: what did not happen, why, and the line of the file that it comes from. Pure.
#pragma once

#include <string>

#include "base/result.h"
#include "compose/plan.h"
#include "compose/project.h"

namespace gantry::compose {

// The part of the project that an error is about: "services.web.volumes[0]" if the error's text names that mount.
std::string culprit(const Project& project, const Step& step, const Error& error);

//   web-1 not started: bind mount "./conf" on "/etc/nginx/conf.d": source is a file, target a directory
//     compose.yaml:22:9 (services.web.volumes[0])
// `project` may be nullptr: no marks then.
std::string explain(const Project* project, const std::string& project_name, const Step& step, const Error& error);

}  // namespace gantry::compose
