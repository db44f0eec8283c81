#include "engine/container/ended_shims.h"

#include <algorithm>
#include <chrono>
#include <utility>

namespace gantry::engine {
namespace {

using std::chrono::milliseconds;
using std::chrono::nanoseconds;

constexpr milliseconds kQuiet{40};    // longer than what follows a container's end in a `down`
constexpr milliseconds kLongest{2000};  // where containers end all the time

}  // namespace

EndedShims::~EndedShims() {
  scheduler_.cancel(timer_);
  let_go_until(MonoTime::max());
}

void EndedShims::add(const ContainerId& container, Function<void()> let_go) {
  shims_.push_back({.container = container, .let_go = std::move(let_go), .since = scheduler_.clock().mono()});
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
  const MonoTime now = scheduler_.clock().mono();
  const bool is_quiet = shims_.empty() || now - shims_.back().since >= kQuiet;
  let_go_until(is_quiet ? now : now - kLongest);
  if (shims_.empty()) return;
  const nanoseconds passed = now - shims_.back().since;
  timer_ = scheduler_.after(kQuiet - passed, [this] { look(); });
}

void EndedShims::let_go_until(MonoTime since) {
  while (!shims_.empty() && shims_.front().since <= since) {
    auto let_go = std::move(shims_.front().let_go);
    shims_.pop_front();
    let_go();
  }
}

}  // namespace gantry::engine
