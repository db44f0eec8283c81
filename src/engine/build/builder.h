// Builds images from Dockerfiles: the stages that the target needs, each step's result cached by content.
//
// What a step does to the file system is left in a directory in overlay upper form and becomes a layer of the image
// store. RUN steps go to a StepRunner, which knows how to run a program in a sandbox. Stages that do not need each other
// run at once. Blocking; any number of builds at once; equal steps of several builds are done once.
#pragma once

#include <sys/types.h>

#include <condition_variable>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "engine/build/stage_graph.h"
#include "engine/image/image_store.h"

namespace gantry::engine {

struct BuildRequest {
  std::filesystem::path context;                // directory on this machine
  bool context_stays = false;                   // it is the user's own: what is read of its files is remembered
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
  std::vector<Ulimit> ulimits;  // of RUN
  std::map<std::string, std::string> secrets;  // id → value, for RUN --mount=type=secret
  std::map<std::string, std::string> ssh;      // id → path of an agent's socket on this machine
  // Name → what stands for a stage or image of that name: "docker-image://REF", a directory here, or "target:STAGE"
  // of the same file.
  std::map<std::string, std::string> contexts;
  std::set<std::string> no_cache_filter;       // stages that are built anew
  std::vector<std::string> cache_from;         // as of --cache-from, local paths absolute: see remote_cache.h
  std::vector<std::string> cache_to;
  std::map<std::string, std::string> auths;    // registry domain → X-Registry-Auth
  bool allows_insecure = false;                // RUN --security=insecure
  std::optional<int64_t> source_date_epoch;    // seconds: the image's time
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

// Something mounted while a step runs; never part of its layer.
struct StepMount {
  enum class Kind {
    bind,    // `source`: a directory, file or socket of this machine; `subpath` in it, resolved as if it were a root
    layers,  // `subpath` in the tree of `layers`
    tmpfs,
    secret,  // a file with `content`, kept in memory
  };
  Kind kind = Kind::bind;
  std::string target;
  bool read_only = true;
  std::filesystem::path source;
  std::vector<std::filesystem::path> layers;  // topmost first
  std::filesystem::path scratch;              // layers and bind, not read-only: an empty directory for what is written
  std::string subpath;
  std::string tmpfs_options;
  std::string content;
  mode_t mode = 0400;
  uid_t uid = 0;
  gid_t gid = 0;
};

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
  std::vector<Ulimit> ulimits;
  std::vector<StepMount> mounts;
  bool insecure = false;  // all privileges
};

class StepRunner {
 public:
  virtual ~StepRunner() = default;
  // Blocking: until the program has ended. Returns its exit code; an error means that it could not be run at all.
  virtual Result<int> run(const Step& step, const std::function<void(std::string_view, bool is_stderr)>& output,
                          const CancelCheck& cancelled) = 0;
};

// One holder per key at a time. Any thread.
class KeyLocks {
 public:
  // Waits; an empty pointer if cancelled meanwhile.
  std::shared_ptr<void> acquire(const std::string& key, const CancelCheck& cancelled);

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::set<std::string> held_;
};

// What all builds have in common.
struct BuilderShared;

class Builder {
 public:
  // `work` is a directory for half-made layers, on the image store's file system. All must outlive the builder.
  Builder(ImageStore& store, StepRunner& runner, std::filesystem::path work);
  ~Builder();

  // Errors: Code::invalid for mistakes of the Dockerfile ("dockerfile parse error on line N: …", or the message and
  // then "Dockerfile:N" with the lines around it), Code::cancelled.
  Result<ImageId> build(const BuildRequest& request, const BuildCallback& progress, const CancelCheck& cancelled);

  // Forgets cached steps, and removes the directories of cache mounts that nobody uses (those stay if `prune` sets
  // limits). Bytes that became free.
  Result<uint64_t> prune_cache(const ImageStore::CachePrune& prune = {});
  uint64_t cache_mount_bytes() const;
  // From now on every build that made something ends with letting go of what is more than this. Before the first build.
  void limit_cache(uint64_t bytes) { cache_limit_ = bytes; }

 private:
  ImageStore& store_;
  StepRunner& runner_;
  std::filesystem::path work_;
  std::unique_ptr<BuilderShared> shared_;
  std::optional<uint64_t> cache_limit_;
};

}  // namespace gantry::engine
