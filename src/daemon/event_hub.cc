#include "daemon/event_hub.h"

namespace gantry::daemon {
namespace {
constexpr size_t kPast = 256;  // as dockerd keeps
}  // namespace

EventHub::EventHub(engine::Engine& engine)
    : subscription_(engine.subscribe([this](const engine::Event& event) { arrived(event); })) {}

EventHub::~EventHub() = default;

EventHub::SubscriberId EventHub::subscribe(Function<void(const engine::Event&)> on_event) {
  subscribers_.emplace(next_, std::move(on_event));
  return next_++;
}

void EventHub::unsubscribe(SubscriberId subscriber) { subscribers_.erase(subscriber); }

void EventHub::arrived(const engine::Event& event) {
  ++count_;
  past_.push_back(event);
  if (past_.size() > kPast) past_.pop_front();
  for (auto& [id, on_event] : subscribers_) on_event(event);
}

}  // namespace gantry::daemon
