// What is to be done, in which order, and why: made by reconcile(), run by the plan runner, which decides nothing.
// Plain values; any thread.
#pragma once

#include <map>
#include <set>
#include <string>
#include <variant>
#include <vector>

#include "base/ids.h"
#include "compose/command_runner.h"
#include "compose/conditions.h"
#include "compose/progress.h"
#include "engine/iface/engine.h"
#include "engine/iface/specs.h"

namespace gantry::compose {

using StepId = int;  // from 1: its place in Plan::steps; 0: none

// A container that exists (`id`), or the one that the step `made_by` makes.
struct ContainerRef {
  std::string name;  // for people: the name that it has in the end
  ContainerId id;
  StepId made_by = 0;
};
struct NetworkRef {
  std::string name;
  NetworkId id;
  StepId made_by = 0;
};

struct CreateNetwork { engine::NetworkSpec spec; };
struct RemoveNetwork { NetworkRef network; };
struct ConnectNetwork { NetworkRef network; ContainerRef container; engine::EndpointSpec endpoint; };
struct DisconnectNetwork { NetworkRef network; ContainerRef container; };
struct CreateVolume { engine::VolumeSpec spec; };
struct RemoveVolume { std::string name; };
struct PullImage { std::string reference; std::string platform; };
struct RemoveImage { std::string reference; };
struct CreateContainer { engine::ContainerSpec spec; std::string final_name; };  // spec.name: perhaps temporary
struct StartContainer { ContainerRef container; };
struct StopContainer { ContainerRef container; engine::StopOptions options; };
struct RestartContainer { ContainerRef container; engine::StopOptions options; };
struct KillContainer { ContainerRef container; std::string signal; };
struct RemoveContainer { ContainerRef container; engine::RemoveOptions options; };
struct RenameContainer { ContainerRef container; std::string name; };
// A hook of the file (post_start, pre_stop) in a running container.
struct RunHook {
  ContainerRef container;
  CommandSpec command;
  std::string hook;             // "post_start[0]"
  bool skip_if_ended = false;   // the container may have ended by itself: nothing to do then
};
// Holds until every container has reached the goal. `required` false: going on without it is allowed.
struct WaitFor {
  std::string service;
  Goal goal = Goal::healthy;
  std::vector<ContainerRef> containers;
  bool required = true;
};

using Action =
    std::variant<CreateNetwork, RemoveNetwork, ConnectNetwork, DisconnectNetwork, CreateVolume, RemoveVolume, PullImage,
                 RemoveImage, CreateContainer, StartContainer, StopContainer, RestartContainer, KillContainer,
                 RemoveContainer, RenameContainer, RunHook, WaitFor>;

// What the user sees of a step: `working` when it begins, `done` when it has ended; empty: nothing.
struct Row {
  Progress::Resource resource = Progress::Resource::container;
  std::string name;
  std::string service;
  std::string working;
  std::string done;
};

struct Step {
  StepId id = 0;
  Action action;
  std::string cause;
  std::vector<StepId> after;  // must have ended well
  // Nothing of a stage begins before all of the stages before it has ended well: containers are all created before
  // the first is started, without an edge from each to each.
  int stage = 0;
  Row row;
  std::string subject;       // path in the project, for the mark of an error: "services.web"
  bool best_effort = false;  // a failure is a warning
};

struct Plan {
  std::vector<Step> steps;      // ids ascending; `after` names smaller ids or, within a stage, any without a cycle
  std::vector<Progress> facts;  // what is as it should be already: rows "Running"
  std::vector<std::string> warnings;

  bool empty() const { return steps.empty(); }
  StepId add(Step step);  // gives it its id, and puts `after` in order
  Step& step(StepId id) { return steps[static_cast<size_t>(id) - 1]; }
  const Step& step(StepId id) const { return steps[static_cast<size_t>(id) - 1]; }

  // One step a line: "[1,2] -> #3 create shop-web-1: image changed"; a line "then" between stages.
  std::string text() const;
};

std::string describe(const Action& action);  // "create shop-web-1"
std::string service_of_subject(const std::string& subject);  // "services.web.ports" → "web"; "" if it is about none

}  // namespace gantry::compose
