// One line of a log file → a LogEntry. Pure.
#pragma once

#include <optional>
#include <string_view>

#include "engine/container/log_reader.h"

namespace gantry::engine {

// A line of ours holds 16 KiB of text, at most six bytes each; what is much longer is none.
inline constexpr size_t kMaxLine = 1 << 20;

// {"log":"text\n","stream":"stdout","time":"…Z"}: keys in any order; "attrs" become LogEntry::attributes, others are
// skipped. Or a line of the driver `local`. Nothing if it is torn or neither of them.
std::optional<LogEntry> parse_log_entry(std::string_view line);

}  // namespace gantry::engine
