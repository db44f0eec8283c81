#include "engine/iface/observed.h"

#include "engine/iface/events.h"

namespace gantry::engine {

const char* to_string(ContainerState state) {
  switch (state) {
    case ContainerState::created: return "created";
    case ContainerState::running: return "running";
    case ContainerState::paused: return "paused";
    case ContainerState::restarting: return "restarting";
    case ContainerState::removing: return "removing";
    case ContainerState::exited: return "exited";
    case ContainerState::dead: return "dead";
  }
  return "";
}

const char* to_string(HealthState state) {
  switch (state) {
    case HealthState::none: return "none";
    case HealthState::starting: return "starting";
    case HealthState::healthy: return "healthy";
    case HealthState::unhealthy: return "unhealthy";
  }
  return "";
}

const char* to_string(Event::Type type) {
  switch (type) {
    case Event::Type::container: return "container";
    case Event::Type::network: return "network";
    case Event::Type::volume: return "volume";
    case Event::Type::image: return "image";
    case Event::Type::builder: return "builder";
  }
  return "";
}

}  // namespace gantry::engine
