// The projects that stories (sim_story.h) are about, each the same in every run, and changed versions of them.
#pragma once

#include <cstddef>

#include "compose/project.h"

namespace gantry::test {

constexpr int kStoryProjects = 24;

// `number` modulo how many there are. Two to five services of one or two replicas, each needing some of those before
// it, all conditions, hooks, networks, volumes; "job…" services end by themselves.
const compose::Project& project_number(int number);

// With another environment of its service number `which`, modulo how many it has.
compose::Project with_changed_service(compose::Project project, size_t which);
// With other options of all its networks.
compose::Project with_changed_network(compose::Project project);

}  // namespace gantry::test
