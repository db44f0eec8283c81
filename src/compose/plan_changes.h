// A plan as people read it: not its steps, but what becomes of each resource, and why. Pure; any thread.
//
//   + create network shop_default
//   ~ recreate shop-web-1: environment.URL changed (compose.yaml:7, was "a", now "b")
//   - remove shop-old-1: orphan
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "compose/plan.h"

namespace gantry::compose {

struct Change {
  enum class Kind { pull, create, recreate, start, restart, stop, rename, remove };
  Kind kind = Kind::create;
  Progress::Resource resource = Progress::Resource::container;
  std::string name;
  std::string service;  // containers
  std::string cause;    // may be empty
  friend bool operator==(const Change&, const Change&) = default;
};
const char* to_string(Change::Kind kind);

// One change a resource, in the order of the plan. A start that follows the creation of the same container is part of
// it; waiting for a condition changes nothing.
std::vector<Change> changes_of(const Plan& plan);

// "~ recreate shop-web-1: …", no line feed.
std::string change_line(const Change& change);
// "2 to create, 1 to recreate"; "" for none.
std::string summary_of(const std::vector<Change>& changes);

// What POST /gantry/v1/projects/NAME/plan answers: {"changes": […], "warnings": […], "steps": "…"}.
struct PlanReport {
  std::vector<Change> changes;
  std::vector<std::string> warnings;
  std::string steps;  // Plan::text()
  friend bool operator==(const PlanReport&, const PlanReport&) = default;
};
std::string to_json(const PlanReport& report);
Result<PlanReport> plan_report_from_json(std::string_view json);

}  // namespace gantry::compose
