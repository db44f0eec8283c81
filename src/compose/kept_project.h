// What the daemon remembers of a project after `up`, so that it goes on keeping it, in this life and the next.
// Plain values; any thread.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>

#include "base/result.h"
#include "compose/controller.h"

namespace gantry::compose {

struct KeptProject {
  std::shared_ptr<const Project> project;
  std::map<std::string, int> scale;  // as asked for by --scale
  std::set<std::string> services;    // that were asked to run: a removed or dead container of theirs is made anew
  // Written before the first action of an `up`, cleared after its last: the daemon died in between if it is set.
  bool underway = false;
  UpOptions options;  // of the `up` under way
};

std::string to_json(const KeptProject& kept);
Result<KeptProject> kept_project_from_json(const std::string& json);

// The project after an `up` of `services` of `project` (all of its active ones if empty). What `up` did not look at,
// because other services were selected, stays as it was before.
KeptProject merge(const KeptProject* before, std::shared_ptr<const Project> project, const UpOptions& options,
                  const std::set<std::string>& services);

// Whether both would be written as the same record.
bool identical(const KeptProject& a, const KeptProject& b);

}  // namespace gantry::compose
