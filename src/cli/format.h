// --format of compose's lists: "table", "json", "table TEMPLATE" or a template. Pure; any thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "cli/template.h"

namespace gantry::cli {

struct FormatColumn {
  std::string header;    // "VOLUME NAME"
  std::string template_; // "{{.Name}}"
};

// `rows`: a JSON object each, as `--format json` prints them. `columns`: what "table" shows; "" counts as table.
// Errors (invalid): a template that cannot be parsed, or a field that the rows don't have.
Result<std::string> formatted_rows(std::string_view format, const std::vector<Value>& rows,
                                   const std::vector<FormatColumn>& columns);
// Of rows that are text.
Result<std::string> formatted(std::string_view format, const std::vector<std::string>& rows,
                              const std::vector<FormatColumn>& columns);

}  // namespace gantry::cli
