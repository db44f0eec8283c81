#include "engine/event_bus.h"

namespace gantry::engine {

class EventBus::Token final : public Engine::Subscription {
 public:
  Token(std::weak_ptr<Subscribers> subscribers, uint64_t number)
      : subscribers_(std::move(subscribers)), number_(number) {}
  ~Token() override {
    if (auto subscribers = subscribers_.lock()) subscribers->by_number.erase(number_);
  }

 private:
  std::weak_ptr<Subscribers> subscribers_;
  uint64_t number_;
};

EventBus::EventBus(const Clock& clock) : clock_(clock), subscribers_(std::make_shared<Subscribers>()) {}

std::unique_ptr<Engine::Subscription> EventBus::subscribe(Function<void(const Event&)> on_event) {
  const uint64_t number = subscribers_->next++;
  subscribers_->by_number.emplace(number, std::make_shared<Function<void(const Event&)>>(std::move(on_event)));
  return std::make_unique<Token>(subscribers_, number);
}

void EventBus::emit(Event event) {
  if (event.time == WallTime{}) event.time = clock_.wall();
  // By number, not by iterator: a subscriber may add or end subscriptions. Those added now hear the next event.
  const auto subscribers = subscribers_;
  const uint64_t end = subscribers->next;
  for (auto at = subscribers->by_number.begin(); at != subscribers->by_number.end() && at->first < end;) {
    const uint64_t number = at->first;
    const auto on_event = at->second;
    (*on_event)(event);
    at = subscribers->by_number.upper_bound(number);
  }
}

}  // namespace gantry::engine
