// Is what a service waits for true, can it still become true? Pure; any thread. The texts of failures are Docker
// Compose's, word for word: scripts match them.
#pragma once

#include <string>

#include "compose/project.h"
#include "base/result.h"
#include "engine/iface/observed.h"

namespace gantry::compose {

enum class Goal {
  healthy,                 // depends_on: service_healthy
  completed_successfully,  // depends_on: service_completed_successfully
  ready,                   // up --wait: healthy, or running if there is no health check, or ended with exit code 0
  completed,               // up --wait of a service whose completion others wait for
};
const char* to_string(Goal goal);  // "service_healthy", …

struct Verdict {
  enum class Kind { pending, met, impossible };
  Kind kind = Kind::pending;
  std::string text;     // of the progress row: "Waiting", "Healthy", "Exited", "Running"
  std::string message;  // why it is impossible
  friend bool operator==(const Verdict&, const Verdict&) = default;
};

// `container` is one replica of `service`; nullptr: it is gone.
Verdict check(Goal goal, const std::string& service, const std::string& container_name,
              const engine::ObservedContainer* container);

}  // namespace gantry::compose
