// A Dockerfile's stages and which of them the target needs. Pure; any thread.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "engine/build/dockerfile.h"
#include "engine/build/expand.h"

namespace gantry::engine {

using BuildArguments = std::map<std::string, std::optional<std::string>>;  // no value: the name only, unset

struct Stage {
  std::string name;  // lower case, "" = none
  std::string base;  // of FROM, expanded: a stage's name (lower case), "scratch", or an image
  std::string platform;
  std::optional<size_t> base_stage;  // index of the stage it continues
  const Instruction* from = nullptr;  // of the file
  std::vector<const Instruction*> instructions;  // after FROM
};

struct StageGraph {
  std::vector<Stage> stages;  // in the file's order
  std::vector<size_t> needed;  // indexes, in an order that respects dependencies; the target is the last
  std::map<std::string, std::string> global_arguments;  // values of the ARGs before the first FROM
  std::set<std::string> consumed;  // build arguments that some global ARG declared

  // The stage that FROM or --from means by the text, looking only at those before `before`.
  std::optional<size_t> find(const std::string& name, size_t before) const;
};

struct StageOptions {
  BuildArguments build_args;
  std::map<std::string, std::string> platform_args;  // TARGETARCH and the like: usable in FROM without ARG
  std::string target;                                // "" = the last stage
  std::set<std::string> contexts = {};               // lower case: names that mean something from outside
};

// `file` must outlive the result. Errors: Code::invalid, mostly "dockerfile parse error on line N: …".
Result<StageGraph> make_stage_graph(const Dockerfile& file, const StageOptions& options);

// Which stages an instruction reads from: COPY --from=…, RUN --mount=from=…. Names and numbers as written.
std::vector<std::string> sources_of(const Instruction& instruction);

}  // namespace gantry::engine
