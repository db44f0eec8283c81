// Reads a container's log back, of either driver, oldest first, through its rotated files (x.3.gz, x.2, x.1, x).
// The shim goes on writing meanwhile; a reader that follows is woken by inotify, never by a timer.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/clock.h"
#include "base/result.h"

namespace gantry::engine {

// The values are the stream numbers of Docker's multiplexed frames.
enum class LogStream : uint8_t { out = 1, err = 2 };

// One message as the log holds it: a line with its "\n", or a piece of up to 16 KiB of a longer one.
struct LogEntry {
  LogStream stream = LogStream::out;
  WallTime time{};
  std::string text;
  // Of the log options labels, env and tag, as `logs --details` shows them: "a=1,b=2", URL-encoded. Mostly empty.
  std::string attributes;
  friend bool operator==(const LogEntry&, const LogEntry&) = default;
};

struct LogReadOptions {
  std::optional<uint64_t> tail;  // the last N entries of both streams, before `since`/`until`; not given: all; 0: only new ones
  WallTime since{};              // entries at or after it; zero: no limit
  WallTime until{};              // up to and including it, then the end; zero: no limit
  bool follow = false;           // wait for more until finish() or stop()
};

// How entries become the text that goes out.
struct LogRendering {
  std::string name;  // renderings of one name render alike: readers of the same log share what was rendered
  std::function<void(const LogEntry&, std::string& text)> append;
};

// next() and next_text() belong to one thread, which uses one of them only; stop() and finish() may come from any other one, at any time before the
// destructor. A log that does not exist (yet) reads as an empty one.
class LogReader {
 public:
  virtual ~LogReader() = default;

  // Blocks while there is nothing new and the reader follows. No value: the end. A line that is no valid entry
  // (torn by a crash) is skipped. Errors: reading the file failed; the reader is of no use afterwards.
  virtual Result<std::optional<LogEntry>> next() = 0;

  // As next(), but as many entries as there are at hand, up to some hundred kilobytes of them, as text. Null: the end.
  virtual Result<std::shared_ptr<const std::string>> next_text(const LogRendering& rendering) = 0;

  // The container ended: what is in the log is still delivered, then the end. Call it when the exit has been
  // reported: the shim has then written everything.
  virtual void finish() = 0;
  // The reader's user went away: next() returns the end at once.
  virtual void stop() = 0;
};

// `path`: the current file; rotated ones lie beside it. Opens nothing that could fail for a missing log.
Result<std::unique_ptr<LogReader>> open_log(const std::filesystem::path& path, LogReadOptions options);

}  // namespace gantry::engine
