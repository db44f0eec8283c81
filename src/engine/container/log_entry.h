// One line of a json-file log ⇄ a LogEntry. Pure.
#pragma once

#include <optional>
#include <string_view>

#include "engine/container/log_reader.h"

namespace gantry::engine {

// {"log":"text\n","stream":"stdout","time":"…Z"}: keys in any order, others ("attrs") are skipped. Nothing if it is
// torn or no such object.
std::optional<LogEntry> parse_log_entry(std::string_view line);

}  // namespace gantry::engine
