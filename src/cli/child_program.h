// A program that is run to its end, with what it writes taken in line by line.
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace gantry::cli {

struct ChildProgram {
  std::filesystem::path program;
  std::vector<std::string> arguments;  // without the program itself
  std::map<std::string, std::string> environment;
  bool quiet = false;  // its standard error is thrown away instead of shown
};

// Blocks. `on_line` gets each line of its standard output without the line feed; its first error ends the program with
// SIGTERM and is returned. → exit status, 128 + signal if one ended it. Errors: the program cannot be run.
Result<int> run_child(const ChildProgram& child, const std::function<Result<>(std::string_view)>& on_line);

}  // namespace gantry::cli
