// One stage of a build, instruction by instruction. One thread. Common: stage_build.cc; RUN: stage_run.cc; COPY and
// ADD: stage_copy.cc.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "engine/build/build_job.h"
#include "engine/build/copy_step.h"
#include "engine/build/metadata.h"
#include "engine/build/remote_source.h"
#include "engine/build/run_mounts.h"

namespace gantry::engine {

// A step's own directories, gone with it.
class StepDirectory {
 public:
  static Result<StepDirectory> make(const std::filesystem::path& work);
  StepDirectory(StepDirectory&& other) noexcept : path_(std::exchange(other.path_, {})) {}
  ~StepDirectory();
  std::filesystem::path upper() const { return path_ / "upper"; }
  std::filesystem::path work() const { return path_ / "work"; }
  std::filesystem::path files() const { return path_ / "files"; }

 private:
  explicit StepDirectory(std::filesystem::path path) : path_(std::move(path)) {}
  std::filesystem::path path_;
};

class StageBuild {
 public:
  StageBuild(BuildJob& job, size_t index, StageOutput& output)
      : job_(job), index_(index), stage_(job.graph.stages[index]), output_(output) {}
  Result<StageResult> run();

 private:
  ImageConfig& config() { return result_.document.config; }

  // Errors get the instruction's place, and are what the user reads.
  template <class Action>
  Result<> guarded(const Instruction& instruction, Action action) {
    TRY(job_.check_cancelled());
    Result<> done = action();
    if (!done.ok()) return job_.at(instruction, std::move(done).error(), output_.last_lines());
    return {};
  }

  Result<> begin();
  Result<> run_triggers();
  Result<> execute(const Instruction& instruction);
  Result<> declare(const Instruction& instruction);
  Result<> change_directory(const Instruction& instruction);

  VariableLookup lookup() const;
  void warn_of_undefined(const Instruction& instruction);
  Result<std::string> expanded(std::string_view text) const { return expand(text, job_.file.escape, lookup()); }
  void remember(const std::string& created_by, bool empty_layer);
  void forget_overridden_arguments(const Instruction& instruction);
  std::optional<std::string> given_value(const std::string& name, bool has_default) const;
  bool uses_cache() const;

  // Takes the result of the same step before, or makes it with `make`, which fills the upper directory.
  Result<> cached_layer(const std::string& key, const std::function<Result<>(const StepDirectory&)>& make);
  Result<bool> take_from_cache(const std::string& key);
  Result<> keep_layer(const std::string& key, ImageStore::NewLayer layer);
  void take_layer(const std::string& key, const std::string& chain, const std::string& diff_id,
                  std::shared_ptr<void> hold);
  Result<LayerView> view();
  Result<Owner> owner_of(const std::string& text);

  // What --from means: a named context, another stage, or an image.
  struct Source {
    std::vector<std::filesystem::path> layers;
    std::shared_ptr<void> hold;
    std::string chain;  // of a stage or image; "" = a directory, whose content decides
  };
  Result<Source> source_of(const std::string& name);

  // --- RUN
  struct RunFlags {
    std::vector<RunMount> mounts;
    std::string network;
    bool insecure = false;
  };
  Result<> run_command(const Instruction& instruction);
  Result<RunFlags> run_flags(const Instruction& instruction);
  Result<std::vector<std::string>> command_line(const Instruction& instruction, Step& step);
  Result<std::string> key_of(const Step& step, const RunFlags& flags);
  Result<> add_mount_to_key(const RunMount& mount, CacheKey& key);
  // What keeps the mounts' sources alive while the step runs.
  struct MountHolds {
    std::vector<std::shared_ptr<void>> holds;
  };
  Result<> add_mounts(const RunFlags& flags, const StepDirectory& directory, Step& step, MountHolds& holds);
  Result<> copy_visible(const RunMount& mount, const StepDirectory& directory, size_t number, StepMount& made);
  Result<StepMount> cache_mount(const RunMount& mount, MountHolds& holds);
  Result<> run_in(const StepDirectory& directory, Step& step, const RunFlags& flags);
  Result<> remove_mount_points(const StepDirectory& directory, const Step& step,
                               const std::vector<std::filesystem::path>& below);
  std::string history_of(const Step& step) const;

  // --- COPY, ADD
  struct CopyFlags {
    bool link = false;
    bool keep_git_dir = false;
    std::string checksum;
    std::optional<bool> unpack;
  };
  Result<> copy(const Instruction& instruction);
  Result<bool> take_linked(const std::string& key, const StepDirectory& directory);
  static Result<> copy_root(const ImageStore::Layers& below, const StepDirectory& directory);
  Result<CopyFlags> apply_copy_flags(const Instruction& instruction, CopyPlan& plan, std::optional<SourceTree>& other);
  Result<> find_sources(const Instruction& instruction, const std::vector<std::string>& words, const CopyFlags& flags,
                        CopyPlan& plan, std::vector<RemoteSource>& remotes);
  Result<> copy_remote(const RemoteSource& remote, const std::filesystem::path& place, const CopyFlags& flags,
                       const CopyPlan& plan, LayerWriter& writer, const std::filesystem::path& temporary);
  Error copy_failed(const CopyPlan& plan, Error error) const;

  BuildJob& job_;
  size_t index_;
  const Stage& stage_;
  StageOutput& output_;
  StageResult result_;
  MetadataState metadata_;
};

}  // namespace gantry::engine
