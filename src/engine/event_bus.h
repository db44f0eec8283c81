// Hands events to whoever subscribed, in order. Loop thread only.
#pragma once

#include <cstdint>
#include <map>
#include <memory>

#include "base/function.h"
#include "engine/iface/engine.h"
#include "engine/iface/events.h"

namespace gantry::engine {

class EventBus {
 public:
  explicit EventBus(const Clock& clock);

  // The subscription may outlive the bus. A subscriber may end its own or others' subscriptions while it is called.
  [[nodiscard]] std::unique_ptr<Engine::Subscription> subscribe(Function<void(const Event&)> on_event);
  // Sets the time unless it is given.
  void emit(Event event);

 private:
  struct Subscribers {
    std::map<uint64_t, std::shared_ptr<Function<void(const Event&)>>> by_number;
    uint64_t next = 1;
  };
  class Token;

  const Clock& clock_;
  std::shared_ptr<Subscribers> subscribers_;
};

}  // namespace gantry::engine
