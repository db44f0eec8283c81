// What the handlers work on. References that outlive every connection; which thread may touch what is said at each.
#pragma once

#include <functional>
#include <string>

#include "base/clock.h"
#include "base/loop.h"
#include "base/roots.h"
#include "engine/local_engine.h"

namespace gantry::compose {
class Controller;
}

namespace gantry::daemon {

class EventHub;
class HangUpWatcher;

struct World {
  EventLoop& loop;              // any thread
  engine::LocalEngine& engine;  // loop thread only
  engine::ImageStore& images;   // any thread
  // Builder::build; any thread, blocking.
  std::function<Result<ImageId>(const engine::BuildRequest&, const engine::BuildCallback&, const engine::CancelCheck&)>
      build;
  compose::Controller& controller;  // loop thread only
  EventHub& events;                 // loop thread only
  HangUpWatcher& hang_ups;          // any thread
  Roots roots;
  std::string daemon_id;  // a UUID that stays with the data root
  WallTime started_at{};
};

}  // namespace gantry::daemon
