#include "engine/context.h"

namespace gantry::engine {

Result<net::NameService*> LazyNames::get() {
  std::lock_guard lock(mutex_);
  if (connected_) return &service_;
  TRY(service_.connect());
  // Nothing was to be told again: what an earlier daemon's service still knows is of the past.
  TRY(service_.synchronised());
  connected_ = true;
  return &service_;
}

Result<> LazyNames::connect() {
  std::lock_guard lock(mutex_);
  TRY(service_.connect());
  connected_ = true;
  return {};
}

Result<> LazyNames::synchronised() { return service_.synchronised(); }

void LazyNames::disconnect() {
  std::lock_guard lock(mutex_);
  if (std::exchange(connected_, false)) service_.disconnect();
}

bool LazyNames::is_connected() {
  std::lock_guard lock(mutex_);
  return connected_;
}

}  // namespace gantry::engine
