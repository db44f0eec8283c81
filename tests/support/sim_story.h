// A story is what happens to the controller in one simulated run: commands, faults, misfortunes, in order. It is made
// from a seed, can be written down and read back, and made shorter while it still fails. What must hold is looked at
// after every step, and again when the faults have stopped.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "compose/controller.h"
#include "support/faulty_engine.h"

namespace gantry::test {

struct Act {
  int steps = 0;     // of the world, that pass before it; less if nothing is left to happen
  std::string what;  // "up", "stop s1", "create fail", "crash", "vanish s1 2": see sim_story.cc
  friend bool operator==(const Act&, const Act&) = default;
};

struct Story {
  uint64_t seed = 1;  // of latencies and choices
  int project = 0;    // number of the project, modulo how many there are
  std::vector<Act> acts;

  std::string text() const;
  static Result<Story> parse(std::string_view text);
  static Story from_seed(uint64_t seed);
  friend bool operator==(const Story&, const Story&) = default;
};

// A controller made wrong on purpose. What is empty is left as it is.
struct Mutant {
  std::function<void(compose::Plan&)> spoil;
  bool hasty = false;      // its time runs a thousand times too fast
  bool deaf = false;       // it never hears that a container ended or was removed
  bool forgetful = false;  // what it keeps is gone with the daemon
};

struct Telling {
  std::string violation;  // empty: everything held
  std::string history;    // what the engine did, the state at the end
  std::map<std::pair<Op, Fault>, uint64_t> met;
  uint64_t steps = 0;          // of the world, in all
  uint64_t steps_to_rest = 0;  // the most that any wait for an end took once the faults had stopped
};

// To be called with every plan before it is run (compose/plan_hook.h): the story that is being told looks at it.
void look_at_plan(compose::Plan& plan, const compose::ProgressSink* asked_by);

Telling tell(const Story& story, const Mutant& mutant = {});
// The shortest story found that fails as `story` does (any violation counts).
Story shrink(Story story, const Mutant& mutant = {});

}  // namespace gantry::test
