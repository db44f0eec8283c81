// When may a service be repaired again? At once the first time; a container that dies or vanishes over and over waits
// longer each time. Plain values; loop thread only.
#pragma once

#include <chrono>
#include <map>
#include <string>

#include "base/clock.h"

namespace gantry::compose {

class RepairBackoff {
 public:
  // The earliest moment for the next repair of `service`; the epoch: any time.
  MonoTime not_before(const std::string& service) const;
  // A repair of it was made or tried just now.
  void repaired(const std::string& service, MonoTime now);
  void forget(const std::string& service) { services_.erase(service); }
  void clear() { services_.clear(); }

 private:
  struct History {
    int streak = 0;
    MonoTime not_before{};
  };
  std::map<std::string, History> services_;
};

}  // namespace gantry::compose
