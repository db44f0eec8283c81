// Builds images from Dockerfiles: the stages that the target needs, each step's result cached by content.
//
// What a step does to the file system is left in a directory in overlay upper form and becomes a layer of the image
// store. RUN steps go to a StepRunner, which knows how to run a program in a sandbox. Blocking; any number of builds
// at once, each on a thread of its own.
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/build/stage_graph.h"
#include "engine/image/image_store.h"

namespace gantry::engine {

struct BuildRequest {
  std::filesystem::path context;                // directory on this machine
  std::string dockerfile = "Dockerfile";        // path in the context
  std::optional<std::string> dockerfile_text;   // instead of a file
  std::string target;                           // "" = the last stage
  BuildArguments build_args;
  Labels labels;
  std::vector<std::string> tags;
  std::string platform;  // "" = this machine's
  bool no_cache = false;
  bool pull = false;     // ask the registry for base images even if they are here
  std::string network_mode;  // of RUN: "", "default", "bridge", "none", "host"
  std::vector<std::string> extra_hosts;  // "name:address"
  std::optional<uint64_t> shm_size;
};

// One thing that happened. `instruction` is set when a step begins, `cached` when its result was there already,
// `output` is what the step's program (or a pull, or a warning) wrote.
struct BuildProgress {
  unsigned step = 0;   // from 1
  unsigned steps = 0;  // of all needed stages
  std::string instruction;
  bool cached = false;
  std::string output;
  bool is_stderr = false;
};
using BuildCallback = std::function<void(const BuildProgress&)>;  // on the build's thread

// A program to run on top of some layers.
struct Step {
  std::vector<std::filesystem::path> layers;  // topmost first
  std::filesystem::path upper;                // gets what it changes
  std::filesystem::path work;                 // overlayfs's
  std::vector<std::string> arguments;
  std::vector<std::string> environment;
  std::string user;
  std::string working_dir;
  std::string network_mode;
  std::vector<std::string> extra_hosts;
  std::optional<uint64_t> shm_size;
};

class StepRunner {
 public:
  virtual ~StepRunner() = default;
  // Blocking: until the program has ended. Returns its exit code; an error means that it could not be run at all.
  virtual Result<int> run(const Step& step, const std::function<void(std::string_view, bool is_stderr)>& output,
                          const CancelCheck& cancelled) = 0;
};

class Builder {
 public:
  // `work` is a directory for half-made layers, on the image store's file system. All must outlive the builder.
  Builder(ImageStore& store, StepRunner& runner, std::filesystem::path work);

  // Errors: Code::invalid for mistakes of the Dockerfile ("dockerfile parse error on line N: …", or the message and
  // then "Dockerfile:N: INSTRUCTION" on a line of its own), Code::cancelled.
  Result<ImageId> build(const BuildRequest& request, const BuildCallback& progress, const CancelCheck& cancelled);

 private:
  ImageStore& store_;
  StepRunner& runner_;
  std::filesystem::path work_;
};

}  // namespace gantry::engine
