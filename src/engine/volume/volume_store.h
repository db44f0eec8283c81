// The volumes of one engine and where their data lies: DATA_ROOT/volumes/NAME/_data. Driver "local" only; with options
// `type`, `device`, `o` a volume is a mount(2) of that instead of a directory of ours (type "none" with o=bind: the
// directory `device` itself).
//
// Records belong to the loop thread; the functions below the class do the disk work and may run on any thread.
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/random.h"
#include "base/result.h"
#include "engine/database.h"
#include "engine/volume/volume_record.h"

namespace gantry::engine {

// Name, driver and options as `docker volume create` checks them. The name may be empty (anonymous).
Result<> check_volume_spec(const VolumeSpec& spec);

// How a volume gets to be a directory on the host.
struct VolumeMount {
  std::filesystem::path directory;  // what is bound into containers
  bool own_filesystem = false;      // `device` must be mounted on `directory` while somebody uses it
  std::string type;
  std::string device;
  std::string options;              // as of `o`
};

class VolumeStore {
 public:
  VolumeStore(std::filesystem::path root, Database& database);

  Result<> load();

  const VolumeRecord* find(const std::string& name) const;
  std::vector<const VolumeRecord*> list() const;                                   // sorted by name
  std::vector<const VolumeRecord*> of_project(const std::string& project) const;  // sorted by name

  // Fills in name, driver and the anonymous label. The record is not kept yet.
  VolumeRecord describe(VolumeSpec spec, WallTime now, Random& random) const;
  // Keeps it: committed when this returns. Its directory should exist by then.
  Result<> keep(const VolumeRecord& record);
  Result<> forget(const std::string& name);
  // The same after its directory was set aside, so that no volume of that name finds what was in it; the caller has
  // delete_volume_directory() delete it. What a crash interrupts is undone by load() or listed by strays().
  Result<> set_aside(const std::string& name);

  VolumeMount mount_of(const VolumeRecord& record) const;
  std::filesystem::path directory_of(const std::string& name) const { return root_ / name; }
  // Where it is set aside; no volume can have this name.
  std::filesystem::path directory_aside(const std::string& name) const { return root_ / ("." + name); }
  // Directories that no record knows: of anonymous volumes, left by a crash between making and keeping them, and those
  // that were set aside.
  std::vector<std::filesystem::path> strays() const;

 private:
  std::filesystem::path root_;
  Database& database_;
  std::map<std::string, VolumeRecord> volumes_;
  std::map<std::string, std::set<std::string>> by_project_;
};

// Makes the volume's directories (0755, root). Existing ones stay as they are.
Result<> make_volume_directory(const VolumeMount& mount, const std::filesystem::path& volume_root);
// Mounts `mount.device` unless that is done already. Errors name device and reason.
Result<> mount_volume(const VolumeMount& mount);
// Nothing mounted is no error.
void unmount_volume(const VolumeMount& mount);
// Worker thread. Deletes a volume's directory. What is mounted there and stays so is left alone: it may be a share.
Result<> delete_volume_directory(const std::filesystem::path& root);

}  // namespace gantry::engine
