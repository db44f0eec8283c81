// One build under way: what all its stages share. Stages run on threads of their own; what they change is said at each.
#pragma once

#include <condition_variable>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "engine/build/build_caches.h"
#include "engine/build/builder.h"
#include "engine/build/dockerfile.h"
#include "engine/build/lint.h"
#include "engine/build/source_tree.h"
#include "engine/build/stage_graph.h"
#include "engine/image/image_document.h"
#include "engine/image/manifest.h"

namespace gantry::engine {

class FileDigests;

// What a stage has become so far: the image's config, its topmost layer, and the arguments that later stages inherit.
struct StageResult {
  ImageDocument document;
  std::string chain;                                            // "" = no layer
  std::vector<std::pair<std::string, std::string>> arguments;   // declared and set, in order
  std::set<std::string> declared;                               // arguments, set or not
  std::shared_ptr<void> hold;                                   // keeps the layers
};

// What stages say, passed on in the order of the Dockerfile however they overlap in time: the first that has not
// ended speaks at once, the others when it is their turn. Any thread.
class OutputOrder {
 public:
  OutputOrder(const BuildCallback& callback, size_t stages) : callback_(callback), waiting_(stages) {}
  void send(size_t stage, BuildProgress message);
  void end(size_t stage);  // it says nothing more
  // The build ends with this stage's failure: its words are the last, those of later stages are dropped.
  void fail(size_t stage);

 private:
  void flush();
  const BuildCallback& callback_;
  std::mutex mutex_;
  struct Waiting {
    std::deque<BuildProgress> messages;
    bool ended = false;
  };
  std::vector<Waiting> waiting_;
  size_t current_ = 0;
  bool failed_ = false;
};

// One stage's voice. The stage's thread only.
class StageOutput {
 public:
  StageOutput(OutputOrder& order, size_t place, unsigned first_step, unsigned steps)
      : order_(order), place_(place), step_(first_step), steps_(steps) {}
  void begin_step(const Instruction& instruction);
  void say_cached();
  void say(std::string_view output, bool is_stderr = false);
  // The end of what the present step has written.
  const std::string& last_lines() const { return tail_; }

 private:
  BuildProgress message() const;
  OutputOrder& order_;
  const size_t place_;
  unsigned step_;  // the number of the step before
  const unsigned steps_;
  std::string tail_;
};

struct BuildJob {
  const BuildRequest& request;
  ImageStore& store;
  StepRunner& runner;
  BuilderShared& shared;
  const std::filesystem::path& work;
  const BuildCallback& progress;
  const CancelCheck& cancelled;
  Platform platform;
  std::map<std::string, std::string> platform_args;
  Dockerfile file;
  StageGraph graph;
  BuildCaches& caches;
  std::optional<SourceTree> context;
  FileDigests* digests = nullptr;  // of the context; null: every file is read

  // Guarded by `mutex`.
  std::mutex mutex = {};
  std::condition_variable changed = {};
  std::map<size_t, StageResult> results = {};
  std::set<std::string> consumed = {};  // build arguments that some ARG declared
  std::vector<LintWarning> warnings = {};
  bool made_layers = false;             // not everything was cached
  std::optional<Error> failure = {};    // the first one: the other stages stop

  // Also once another stage has failed.
  Result<> check_cancelled();
  CancelCheck stop_check();

  // What the user reads: the message, and where in the Dockerfile it happened with the lines around it, unless the
  // error says its line itself. `output`: the last lines of the step's program.
  Error at(const Instruction& instruction, Error error, const std::string& output) const;

  // By reference, pulled if it is not here for this platform.
  Result<Image> base_image(const std::string& reference, const std::string& platform, StageOutput& output);
  // An earlier stage's, when it is there.
  Result<StageResult> result_of(size_t stage);
};

}  // namespace gantry::engine
