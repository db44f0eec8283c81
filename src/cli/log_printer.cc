#include "cli/log_printer.h"

#include <algorithm>

#include "cli/style.h"
#include "cli/text.h"

namespace gantry::cli {

void LogPrinter::announce(const std::vector<std::string>& names) {
  std::vector<std::string> sorted = names;
  std::sort(sorted.begin(), sorted.end());
  for (const std::string& name : sorted) {
    colours_.try_emplace(name, colours_.size());
    width_ = std::max(width_, display_width(name));
  }
}

std::string LogPrinter::prefix(const std::string& name) {
  if (!style_.prefix) return "";
  const auto [colour, inserted] = colours_.try_emplace(name, colours_.size());
  width_ = std::max(width_, display_width(name));
  const std::string text = name + std::string(width_ - display_width(name) + 2, ' ') + "| ";
  return style_.colour ? in_cycle_colour(text, colour->second) : text;
}

void LogPrinter::line(const std::string& name, StreamKind kind, std::string_view text) {
  const Output& output = kind == StreamKind::stdout_stream ? out_ : err_;
  output.write(prefix(name) + std::string(text) + "\n");
}

void LogPrinter::status(std::string_view text) {
  // The line that a terminal may be in the middle of is wiped first.
  out_.write((out_.is_terminal() ? "\r\x1b[K" : "") + std::string(text) + "\n");
}

std::string display_name(const std::string& container, const std::string& project, bool one_off) {
  for (const char separator : {'-', '_'}) {
    const std::string start = project + separator;
    if (!one_off && container.starts_with(start) && container.size() > start.size()) {
      return container.substr(start.size());
    }
  }
  return container;
}

}  // namespace gantry::cli
