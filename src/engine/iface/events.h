// What happened in the engine, in Docker's words (GET /events).
#pragma once

#include <map>
#include <string>

#include "base/clock.h"

namespace gantry::engine {

struct Event {
  enum class Type { container, network, volume, image, builder };
  WallTime time{};
  Type type = Type::container;
  // container: create start die stop kill oom pause unpause restart rename destroy "health_status: healthy" …
  // network: create connect disconnect destroy; volume: create mount unmount destroy; image: pull tag untag delete
  // each also: prune, with attribute `reclaimed`, without an actor
  std::string action;
  std::string actor_id;  // container/network/image id, volume name
  // container: image, name, its labels, and exitCode (die), signal (kill), execDuration (die);
  // network connect/disconnect: container, name, type
  std::map<std::string, std::string> attributes;
};
const char* to_string(Event::Type type);

}  // namespace gantry::engine
