// The program's own log (not the containers'): spdlog behind four functions, so that its headers are
// compiled once. Texts are in the user's words; secrets never appear. Any thread.
#pragma once

#include <string_view>

namespace gantry {

enum class LogLevel { debug, info, warning, error };

// To standard error until log_to_file() is called.
void set_log_level(LogLevel level);
bool log_to_file(std::string_view path);  // false: cannot be opened; the old target stays

void log_debug(std::string_view text);
void log_info(std::string_view text);
void log_warning(std::string_view text);
void log_error(std::string_view text);

}  // namespace gantry
