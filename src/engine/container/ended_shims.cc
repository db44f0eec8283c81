#include "engine/container/ended_shims.h"

#include <algorithm>
#include <chrono>
#include <utility>

namespace gantry::engine {
namespace {

using std::chrono::milliseconds;
using std::chrono::nanoseconds;

constexpr milliseconds kQuiet{50};      // longer than from one step of a `down` to the next
constexpr milliseconds kLongest{5000};  // where containers end all the time
constexpr milliseconds kPause{20};      // between a few and the next
constexpr size_t kFew = 16;

}  // namespace

EndedShims::~EndedShims() {
  scheduler_.cancel(timer_);
  let_go_of(shims_.size());
}

void EndedShims::add(const ContainerId& container, Function<void()> let_go) {
  busy_at_ = scheduler_.clock().mono();
  shims_.push_back({.container = container, .let_go = std::move(let_go), .since = busy_at_});
  if (timer_ == 0) timer_ = scheduler_.after(kQuiet, [this] { look(); });
}

void EndedShims::let_go(const ContainerId& container) {
  const auto at = std::ranges::find(shims_, container, &Shim::container);
  if (at == shims_.end()) return;
  auto let_go = std::move(at->let_go);
  shims_.erase(at);
  let_go();
}

void EndedShims::look() {
  timer_ = 0;
  if (shims_.empty()) return;
  const MonoTime now = scheduler_.clock().mono();
  if (is_busy_()) busy_at_ = now;
  const nanoseconds quiet_for = now - busy_at_;
  if (quiet_for >= kQuiet) {
    let_go_of(std::min(kFew, shims_.size()));
  } else {
    const auto is_old = [&](const Shim& shim) { return now - shim.since >= kLongest; };
    let_go_of(static_cast<size_t>(std::ranges::find_if_not(shims_, is_old) - shims_.begin()));
  }
  if (shims_.empty()) return;
  timer_ = scheduler_.after(quiet_for >= kQuiet ? nanoseconds(kPause) : kQuiet - quiet_for, [this] { look(); });
}

void EndedShims::let_go_of(size_t count) {
  for (; count > 0; --count) {
    auto let_go = std::move(shims_.front().let_go);
    shims_.pop_front();
    let_go();
  }
}

}  // namespace gantry::engine
