// Lines of a log file → LogEntry. Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "engine/container/log_reader.h"

namespace gantry::engine {

// A line of ours holds 16 KiB of text, at most six bytes each; what is much longer is none.
inline constexpr size_t kMaxLine = 1 << 20;

// What came after the text of a JSON line, up to the fraction of its time's second: ,"stream":"stdout","time":"…05.
struct LogTail {
  std::string text;  // empty: none is known
  WallTime second{};
};

// Reads lines one after the other, and most of a busy log's lines are alike but for their text: it keeps memory, and what
// it understood of the line before. One thread at a time.
class LogEntryParser {
 public:
  // {"log":"text\n","stream":"stdout","time":"…Z"}: keys in any order; "attrs" become LogEntry::attributes, others are
  // skipped. Or a line of the driver `local`. Null if it is torn or neither of them; valid until the next call.
  const LogEntry* parse(std::string_view line);

 private:
  LogEntry entry_;
  LogTail known_;  // entry_ has what it says
};

// The same for a single line.
std::optional<LogEntry> parse_log_entry(std::string_view line);

}  // namespace gantry::engine
