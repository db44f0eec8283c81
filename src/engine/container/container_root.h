// A container's file tree as seen from inside, reached from the host by descriptor: for copying in and out, export
// and commit. Works for running containers (their own mounts) and for stopped ones (the same mounts made again in a
// mount namespace that nobody else sees, and that goes with the last descriptor).
//
// What is behind the descriptor is hostile: walk it with open_in_root() and O_NOFOLLOW only. Any thread; blocking.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "base/fd.h"
#include "base/ids.h"
#include "base/result.h"
#include "engine/volume/volume_store.h"

namespace gantry::engine {

// Where a container's tree comes from: a value, taken on the loop.
struct RootSource {
  ContainerId id;
  int pid = 0;  // of the running program; 0: the tree is put together from what follows
  std::vector<std::filesystem::path> layers;  // topmost first
  std::filesystem::path directory;            // the container's: has "upper" and "work"
  struct Bind {
    std::filesystem::path source;
    std::string subpath;
    std::string target;
    bool read_only = false;
    bool recursive = true;
    VolumeMount volume;  // own_filesystem: to be mounted first
  };
  std::vector<Bind> binds;      // parents before children
  bool read_only_root = false;  // as configured; a stopped container's tree is writable nevertheless
  std::shared_ptr<void> layers_hold;

  std::filesystem::path upper() const { return directory / "upper"; }
};

class ContainerRoot {
 public:
  // Volumes and binds are in their places.
  static Result<ContainerRoot> open(const RootSource& source);
  // The container's own files alone, also those that mounts hide.
  static Result<ContainerRoot> open_without_mounts(const RootSource& source);

  int fd() const { return root_.get(); }  // of the directory "/"

 private:
  Fd namespace_;  // keeps the mounts; none for a running container
  Fd root_;
};

}  // namespace gantry::engine
