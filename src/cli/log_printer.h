// Log lines of several containers, told apart by a prefix in the container's colour: "web-1  | text". Pure but for
// the two outputs; one thread.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "cli/frames.h"
#include "cli/output.h"

namespace gantry::cli {

struct LogStyle {
  bool prefix = true;
  bool colour = false;
};

class LogPrinter {
 public:
  LogPrinter(LogStyle style, Output out, Output err) : style_(style), out_(out), err_(err) {}

  // All names that are known beforehand: their order gives the colours, the longest one the width.
  void announce(const std::vector<std::string>& names);
  void line(const std::string& name, StreamKind kind, std::string_view text);
  // "web-1 exited with code 0", on standard output.
  void status(std::string_view text);
  std::string prefix(const std::string& name);

 private:
  LogStyle style_;
  Output out_;
  Output err_;
  size_t width_ = 0;
  std::map<std::string, size_t> colours_;
};

// "hello-web-1" of project "hello" → "web-1"; names that do not begin with the project stay whole.
std::string display_name(const std::string& container, const std::string& project, bool one_off);

}  // namespace gantry::cli
