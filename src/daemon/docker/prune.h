// What all prunes have in common: one at a time, a time filter, and the event at the end.
#pragma once

#include <atomic>
#include <optional>

#include "base/clock.h"
#include "daemon/docker/filters.h"
#include "daemon/world.h"

namespace gantry::daemon::docker {

// Held while a prune of one kind runs. "a prune operation is already running" (409) if another one does.
class PruneTurn {
 public:
  enum class Kind { containers, networks, volumes, images, builder };
  static Result<PruneTurn> take(Kind kind);
  PruneTurn(PruneTurn&& other) noexcept : busy_(std::exchange(other.busy_, nullptr)) {}
  ~PruneTurn() {
    if (busy_ != nullptr) busy_->store(false);
  }

 private:
  explicit PruneTurn(std::atomic<bool>* busy) : busy_(busy) {}
  std::atomic<bool>* busy_;
};

// The filter `until`: what was made later stays. A Go duration before `now` ("24h"), a unix time, an RFC 3339 time or
// date. Errors: 400 "more than one until filter specified".
Result<std::optional<WallTime>> until_of(const Filters& filters, WallTime now);

// "prune" of a type, with how many bytes came free. Any thread.
void emit_prune(World& world, engine::Event::Type type, uint64_t reclaimed);

}  // namespace gantry::daemon::docker
