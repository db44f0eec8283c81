// What a build step gets mounted (RUN --mount) → mounts of its sandbox. Trees of several layers and writable ones are
// overlays, secrets lie on a tmpfs: both are mounted under a directory of the step's, and go away with this object.
#pragma once

#include <filesystem>
#include <vector>

#include "engine/build/builder.h"
#include "engine/container/runtime.h"

namespace gantry::engine {

class StepMounts {
 public:
  // `directory` exists and is the step's own. Blocking.
  static Result<StepMounts> make(const std::vector<StepMount>& mounts, const std::filesystem::path& directory);
  StepMounts(StepMounts&& other) noexcept
      : directory_(std::move(other.directory_)), sandbox_(std::move(other.sandbox_)),
        mounted_(std::exchange(other.mounted_, {})) {}
  ~StepMounts();

  const std::vector<RuntimeMount>& sandbox() const { return sandbox_; }

  // Takes away whatever is mounted below a step's directory: after a crash.
  static void remove_leftovers(const std::filesystem::path& directory);

 private:
  explicit StepMounts(std::filesystem::path directory) : directory_(std::move(directory)) {}
  Result<RuntimeMount> add(const StepMount& mount);
  Result<std::filesystem::path> mount_overlay(const StepMount& mount);
  Result<std::filesystem::path> write_secret(const StepMount& mount);

  std::filesystem::path directory_;
  std::vector<RuntimeMount> sandbox_;
  std::vector<std::filesystem::path> mounted_;
};

}  // namespace gantry::engine
