// Makes the records of whole lines of both streams, in one of the log's forms. One thread; others have their own.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "shim/log_line.h"
#include "shim/log_lines.h"
#include "shim/protocol.h"

namespace gantry::shim {

class RecordMaker {
 public:
  static constexpr size_t kLongestFrame = 4096;
  // Where less than this is free, nothing is appended.
  static constexpr size_t kLeastRoom = kMostText + kLongestFrame;

  RecordMaker() = default;
  // `attributes`: a JSON object, or empty.
  RecordMaker(LogFormat format, std::string attributes)
      : format_(format),
        append_lines_(format == LogFormat::compact ? append_compact_lines : append_json_lines()),
        attributes_(std::move(attributes)) {}

  LogFormat format() const { return format_; }
  const std::string& attributes() const { return attributes_; }

  // Of lines that were read at `now`: as AppendLines.
  void append(const char* stream, std::string_view& data, int64_t now, RecordSpace& space) {
    const RecordFrame frame = format_ == LogFormat::compact ? compact_frame(stream, now) : json_frame(stream, time(now), attributes_);
    if (frame.size() <= kLongestFrame) append_lines_(space, data, frame);
  }
  // As a JSON record has it. Valid until the next call of anything.
  std::string_view time(int64_t now) {
    if (now != time_ns_) time_.set(now);
    time_ns_ = now;
    return time_.text();
  }

 private:
  LogFormat format_ = LogFormat::json;
  AppendLines append_lines_ = nullptr;
  std::string attributes_;
  LogTime time_;
  int64_t time_ns_ = -1;
};

}  // namespace gantry::shim
