// One line of a log file → a LogEntry. Pure.
#pragma once

#include <optional>
#include <string_view>

#include "engine/container/log_reader.h"

namespace gantry::engine {

// {"log":"text\n","stream":"stdout","time":"…Z"}: keys in any order; "attrs" become LogEntry::attributes, others are
// skipped. Or a line of the driver `local`. Nothing if it is torn or neither of them.
std::optional<LogEntry> parse_log_entry(std::string_view line);

}  // namespace gantry::engine
