// What a Dockerfile does that works and is likely not meant: the build checks of Docker's reference, under their names.
// Pure; any thread.
#pragma once

#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "engine/build/dockerfile.h"
#include "engine/build/stage_graph.h"

namespace gantry::engine {

struct LintWarning {
  std::string rule;  // "JSONArgsRecommended"
  unsigned line = 0;
  std::string message;
  friend auto operator<=>(const LintWarning&, const LintWarning&) = default;
};

// What the file's `# check=skip=RULE,…;error=true` line says.
struct LintRules {
  std::set<std::string> skipped;  // lower case; "all"
  bool is_error = false;          // any warning fails the build

  // Errors: Code::invalid, for what is neither.
  static Result<LintRules> parse(std::string_view directive);
  bool skips(const std::string& rule) const;
};

// Everything that the text alone tells, in the order of the lines.
std::vector<LintWarning> lint(const Dockerfile& file, const StageOptions& options);

// "$NAME" and "${NAME}" without a default, which are empty words if the variable is not set. Not those in single quotes.
std::vector<std::string> plain_variables(std::string_view text, char escape);

// The warning for a variable that an instruction uses and nobody has set; nothing for instructions that leave their
// variables to a shell. `known`: what may have been meant.
std::vector<LintWarning> undefined_variables(const Instruction& instruction, char escape, const VariableLookup& lookup,
                                             const std::vector<std::string>& known);

// " 2 warnings found:\n - Rule: message (line N)\n…"; "" if there are none.
std::string render_warnings(const std::vector<LintWarning>& warnings);

}  // namespace gantry::engine
