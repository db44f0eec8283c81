#include "base/process_start.h"

#include "base/fd.h"
#include "base/strings.h"

namespace gantry {

std::optional<uint64_t> process_start(int pid) {
  const auto text = read_file("/proc/" + std::to_string(pid) + "/stat", 4096);
  if (!text.ok()) return std::nullopt;
  // The second field is the program's name, in parentheses, and may hold anything.
  const size_t name_end = text->rfind(')');
  if (name_end == std::string::npos || name_end + 2 >= text->size()) return std::nullopt;
  const auto fields = split(std::string_view(*text).substr(name_end + 2), ' ');
  constexpr size_t kState = 0;
  constexpr size_t kStart = 22 - 3;
  if (fields.size() <= kStart || fields[kState] == "Z" || fields[kState] == "X") return std::nullopt;
  return parse_unsigned(fields[kStart]);
}

}  // namespace gantry
