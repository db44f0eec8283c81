// The engine's events for the API: a ring of the last 256 for those who ask for the past, and everything new for
// those who follow. Loop thread only.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>

#include "base/function.h"
#include "engine/iface/engine.h"

namespace gantry::daemon {

class EventHub {
 public:
  explicit EventHub(engine::Engine& engine);
  ~EventHub();

  using SubscriberId = uint64_t;
  // `on_event` must not subscribe or unsubscribe.
  SubscriberId subscribe(Function<void(const engine::Event&)> on_event);
  void unsubscribe(SubscriberId subscriber);
  const std::deque<engine::Event>& past() const { return past_; }  // oldest first
  uint64_t count() const { return count_; }                        // since the daemon's start

 private:
  void arrived(const engine::Event& event);

  std::deque<engine::Event> past_;
  std::map<SubscriberId, Function<void(const engine::Event&)>> subscribers_;
  SubscriberId next_ = 1;
  uint64_t count_ = 0;
  std::unique_ptr<engine::Engine::Subscription> subscription_;
};

}  // namespace gantry::daemon
