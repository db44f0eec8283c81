// One build under way: what all its stages share. One thread.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "engine/build/builder.h"
#include "engine/build/dockerfile.h"
#include "engine/build/source_tree.h"
#include "engine/build/stage_graph.h"
#include "engine/image/image_document.h"
#include "engine/image/manifest.h"

namespace gantry::engine {

// What a stage has become so far: the image's config, its topmost layer, and the arguments that later stages inherit.
struct StageResult {
  ImageDocument document;
  std::string chain;                                            // "" = no layer
  std::vector<std::pair<std::string, std::string>> arguments;   // declared and set, in order
  std::shared_ptr<void> hold;                                   // keeps the layers
};

struct BuildJob {
  const BuildRequest& request;
  ImageStore& store;
  StepRunner& runner;
  const std::filesystem::path& work;
  const BuildCallback& progress;
  const CancelCheck& cancelled;
  Platform platform;
  std::map<std::string, std::string> platform_args;
  Dockerfile file;
  StageGraph graph;
  std::optional<SourceTree> context;
  std::map<size_t, StageResult> results;
  std::set<std::string> consumed;  // build arguments that some ARG declared
  unsigned step = 0;
  unsigned steps = 0;

  Result<> check_cancelled() const;
  void begin_step(const Instruction& instruction);
  void say_cached() const;
  void say(std::string_view output, bool is_stderr = false) const;

  // "message\nDockerfile:3: RUN x", unless the error says its line itself.
  Error at(const Instruction& instruction, Error error) const;

  // By reference, pulled if it is not here for this platform.
  Result<Image> base_image(const std::string& reference);
};

// Builds one needed stage; those that it reads from must be in `results`.
Result<> build_stage(BuildJob& job, size_t index);

}  // namespace gantry::engine
