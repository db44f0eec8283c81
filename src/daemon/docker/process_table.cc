#include "daemon/docker/process_table.h"

#include <algorithm>

#include "base/strings.h"

namespace gantry::daemon::docker {
namespace {

// At most `limit` fields, the last one with everything that follows.
std::vector<std::string> fields_of(std::string_view line, size_t limit) {
  std::vector<std::string> fields;
  while (!(line = trim(line)).empty()) {
    const size_t end = fields.size() + 1 == limit ? std::string_view::npos : line.find_first_of(" \t");
    fields.emplace_back(line.substr(0, end));
    if (end == std::string_view::npos) break;
    line = line.substr(end);
  }
  return fields;
}

}  // namespace

Result<std::vector<std::string>> parse_ps_arguments(const std::string& text) {
  std::vector<std::string> words = fields_of(text, SIZE_MAX);
  for (const std::string& word : words) {
    for (const std::string& column : split(word, ',')) {
      const size_t equals = column.find('=');
      if (equals == std::string::npos || to_lower(column.substr(0, equals)) == "pid") continue;
      if (to_lower(trim(column.substr(equals + 1))) == "pid") {
        return invalid("specifying \"" + column + "\" is not allowed");
      }
    }
  }
  return words;
}

Result<ProcessTable> parse_ps_output(const std::string& output, const std::set<int>& members) {
  const std::vector<std::string> lines = split(output, '\n');
  ProcessTable table;
  table.titles = fields_of(lines.front(), SIZE_MAX);
  const auto pid_at = std::find(table.titles.begin(), table.titles.end(), "PID");
  if (pid_at == table.titles.end()) return internal_error("Couldn't find PID field in ps output");
  const auto column = static_cast<size_t>(pid_at - table.titles.begin());
  for (size_t i = 1; i < lines.size(); ++i) {
    std::vector<std::string> fields = fields_of(lines[i], table.titles.size());
    if (fields.size() <= column) continue;
    const auto pid = parse_unsigned(fields[column]);
    if (pid && *pid <= INT32_MAX && members.contains(static_cast<int>(*pid))) table.rows.push_back(std::move(fields));
  }
  return table;
}

}  // namespace gantry::daemon::docker
