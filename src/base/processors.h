// How many threads run at once here, for work that is shared out and limits that are checked. Any thread.
#pragma once

#include <algorithm>
#include <thread>

namespace gantry {

// At least 1. Asked once: the C++ library reads a file each time.
inline unsigned processors() {
  static const unsigned count = std::max(1U, std::thread::hardware_concurrency());
  return count;
}

}  // namespace gantry
