#include "compose/repair_backoff.h"

#include <algorithm>

namespace gantry::compose {
namespace {

using namespace std::chrono_literals;

// As the engine's restart policy: doubling from 100 ms to a minute, forgotten after ten quiet seconds.
constexpr std::chrono::nanoseconds kFirst = 100ms;
constexpr std::chrono::nanoseconds kLongest = 60s;
constexpr std::chrono::nanoseconds kQuiet = 10s;

std::chrono::nanoseconds delay_of(int streak) {
  std::chrono::nanoseconds delay = kFirst;
  for (int i = 1; i < streak && delay < kLongest; ++i) delay *= 2;
  return std::min(delay, kLongest);
}

}  // namespace

MonoTime RepairBackoff::not_before(const std::string& service) const {
  auto found = services_.find(service);
  return found == services_.end() ? MonoTime{} : found->second.not_before;
}

void RepairBackoff::repaired(const std::string& service, MonoTime now) {
  History& history = services_[service];
  bool quiet = history.streak == 0 || now - history.not_before > kQuiet;
  history.streak = quiet ? 1 : history.streak + 1;
  history.not_before = now + delay_of(history.streak);
}

}  // namespace gantry::compose
