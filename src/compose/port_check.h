// Which ports a plan would publish: the question whether it could, asked before anything of it is done. Pure.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "compose/desired.h"
#include "compose/plan.h"
#include "compose/project.h"
#include "engine/iface/port_check.h"

namespace gantry::compose {

struct PlannedPorts {
  engine::PortCheck check;
  std::vector<Step> starts;  // the step that would publish what check.users has in the same place
};
// Nothing: the plan starts no container that may have ports. Two services of `desired` that have one port are in
// conflict, unless others wait for one of them to have ended: what runs at another time may have it, too.
std::optional<PlannedPorts> planned_ports(const Plan& plan, const Desired& desired);

// What the user reads of all conflicts, each with its line of the file; `project` may be nullptr.
Error explain_conflicts(const Project* project, const std::string& project_name, const PlannedPorts& planned,
                        const std::vector<engine::PortConflict>& conflicts);

}  // namespace gantry::compose
