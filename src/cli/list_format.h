// Lists as Docker's tools print them, and what `--format` makes of them: "", "table", "table TEMPLATE", "json",
// TEMPLATE. Pure; any thread.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "cli/template.h"

namespace gantry::cli {

struct Column {
  std::string_view field;   // of a row: "RunningFor"
  std::string_view header;  // "CREATED"
};

struct ListFormat {
  std::span<const Column> columns;  // all that rows have
  std::string_view standard;        // template of the usual table: "{{.ID}}\t{{.Image}}"
};

// Errors: those of the template.
Result<std::string> format_list(const ListFormat& list, const std::string& format, const std::vector<Value>& rows);

// Members are sorted, as {{json .}} shows them.
Value make_row(const std::map<std::string, std::string>& members);

// Columns separated by tabs, lines by "\n" → aligned as Docker's: three spaces between, ten characters at least.
std::string aligned(std::string_view text);

}  // namespace gantry::cli
