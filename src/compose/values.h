// Texts that compose files use for amounts: bytes, durations, booleans, modes, command lines (compose-file.md section
// 4.0). Pure; any thread. Errors (code invalid) are in the user's words.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace gantry::compose {

Result<int64_t> parse_bytes(std::string_view text);                        // "1.5gb", "100", "-1"
Result<std::chrono::nanoseconds> parse_duration(std::string_view text);    // "1h5m30.5s", "2d"
std::string format_duration(std::chrono::nanoseconds duration);            // as Go prints one: "1m30s"
Result<std::vector<std::string>> split_command(std::string_view text);     // like a shell, without expansion

struct BooleanText {
  bool value;
  bool old_spelling;  // yes, no, on, off, y, n: booleans of YAML 1.1
};
Result<BooleanText> parse_boolean(std::string_view text);

// a/../b → b; `//` → `/`; keeps a leading `/`; "" → ".".
std::string clean_path(std::string_view path);

bool is_ip_address(const std::string& text);

}  // namespace gantry::compose
