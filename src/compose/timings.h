// How long each step of an operation took, and which of them decided how long the whole took. Plain values; any thread.
#pragma once

#include <chrono>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace gantry::compose {

struct StepTiming {
  int id = 0;
  std::string what;     // "start shop-web-1"
  std::string service;  // may be empty
  int stage = 0;        // nothing of a stage begins before all of the earlier ones has ended
  std::vector<int> after;
  std::chrono::nanoseconds begin{0};  // since the operation's start
  std::chrono::nanoseconds end{0};
  friend bool operator==(const StepTiming&, const StepTiming&) = default;
};

struct Timings {
  std::chrono::nanoseconds total{0};
  std::vector<StepTiming> steps;  // by id
  friend bool operator==(const Timings&, const Timings&) = default;
};

// One piece of the critical path; the pieces follow each other without a gap from 0 to the total.
struct PathPiece {
  std::string what;
  int step = 0;  // 0: no step, but the time between
  std::chrono::nanoseconds begin{0};
  std::chrono::nanoseconds end{0};
};
std::vector<PathPiece> critical_path(const Timings& timings);

std::string to_json(const Timings& timings);
Result<Timings> timings_from_json(std::string_view json);

// A bar for each step, those of the critical path marked; at most `columns` wide.
std::string timings_text(const Timings& timings, int columns);
std::string timings_svg(const Timings& timings);
std::string timings_trace(const Timings& timings);  // Chrome's trace event format

}  // namespace gantry::compose
