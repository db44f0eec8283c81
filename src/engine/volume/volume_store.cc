#include "engine/volume/volume_store.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>

#include "base/fault.h"
#include "base/log.h"
#include "base/remove_tree.h"
#include "base/strings.h"
#include "engine/container/container_name.h"
#include "engine/container/record_json.h"
#include "engine/labels.h"

namespace gantry::engine {
namespace {

std::string option(const VolumeSpec& spec, const char* key) {
  auto at = spec.options.find(key);
  return at == spec.options.end() ? std::string() : at->second;
}

bool is_bind(const VolumeSpec& spec) {
  for (const std::string& flag : split(option(spec, "o"), ',')) {
    if (flag == "bind" || flag == "rbind") return true;
  }
  return false;
}

struct Flag {
  std::string_view name;
  unsigned long set;
  unsigned long clear;
};
// The words of mount(8)'s -o that are flags of mount(2); all others are the filesystem's own.
constexpr std::array kFlags = {
    Flag{"defaults", 0, 0},
    Flag{"ro", MS_RDONLY, 0},
    Flag{"rw", 0, MS_RDONLY},
    Flag{"nosuid", MS_NOSUID, 0},
    Flag{"suid", 0, MS_NOSUID},
    Flag{"nodev", MS_NODEV, 0},
    Flag{"dev", 0, MS_NODEV},
    Flag{"noexec", MS_NOEXEC, 0},
    Flag{"exec", 0, MS_NOEXEC},
    Flag{"sync", MS_SYNCHRONOUS, 0},
    Flag{"async", 0, MS_SYNCHRONOUS},
    Flag{"dirsync", MS_DIRSYNC, 0},
    Flag{"noatime", MS_NOATIME, 0},
    Flag{"atime", 0, MS_NOATIME},
    Flag{"nodiratime", MS_NODIRATIME, 0},
    Flag{"relatime", MS_RELATIME, 0},
    Flag{"strictatime", MS_STRICTATIME, 0},
};

struct MountArguments {
  unsigned long flags = 0;
  std::string data;
};
MountArguments parse_options(const std::string& options) {
  MountArguments arguments;
  std::vector<std::string> data;
  for (const std::string& word : split(options, ',')) {
    if (word.empty()) continue;
    auto flag = std::find_if(kFlags.begin(), kFlags.end(), [&](const Flag& known) { return known.name == word; });
    if (flag == kFlags.end()) {
      data.push_back(word);
    } else {
      arguments.flags = (arguments.flags | flag->set) & ~flag->clear;
    }
  }
  arguments.data = join(data, ",");
  return arguments;
}

bool is_mount_point(const std::filesystem::path& directory) {
  struct stat own {};
  struct stat above {};
  if (stat(directory.c_str(), &own) != 0 || stat(directory.parent_path().c_str(), &above) != 0) return false;
  return own.st_dev != above.st_dev;
}

bool is_anonymous_name(const std::string& name) {
  return name.size() == 64 && name.find_first_not_of("0123456789abcdef") == std::string::npos;
}

}  // namespace

Result<> check_volume_spec(const VolumeSpec& spec) {
  if (!spec.name.empty()) {
    const std::string prefix = "create " + spec.name + ": ";
    if (spec.name.size() == 1) {
      return invalid(prefix + "volume name is too short, names should be at least two alphanumeric characters");
    }
    if (!is_valid_name(spec.name)) {
      return invalid(prefix + "\"" + spec.name +
                     "\" includes invalid characters for a local volume name, only \"[a-zA-Z0-9][a-zA-Z0-9_.-]\" are "
                     "allowed. If you intended to pass a host directory, use absolute path");
    }
  }
  if (!spec.driver.empty() && spec.driver != "local") {
    return not_found("create " + spec.name + ": error looking up volume plugin " + spec.driver + ": plugin \"" +
                     spec.driver + "\" not found");
  }
  for (const auto& [key, value] : spec.options) {
    if (key != "type" && key != "device" && key != "o") {
      return invalid("create " + spec.name + ": invalid option: \"" + key + "\"");
    }
  }
  if (spec.options.empty()) return {};
  if (option(spec, "device").empty()) return invalid("create " + spec.name + ": missing required option: \"device\"");
  if (option(spec, "type").empty() && !is_bind(spec)) {
    return invalid("create " + spec.name + ": missing required option: \"type\"");
  }
  if (is_bind(spec) && option(spec, "device")[0] != '/') {
    return invalid("create " + spec.name + ": option device of a bind must be an absolute path");
  }
  return {};
}

VolumeStore::VolumeStore(std::filesystem::path root, Database& database)
    : root_(std::move(root)), database_(database) {}

Result<> VolumeStore::load() {
  for (const NamedRow& row : TRY(database_.load_volumes())) {
    VolumeRecord record = TRY(volume_record_from_json(row.json).within("volume " + row.key));
    if (auto project = record.spec.labels.find(kProjectLabel); project != record.spec.labels.end()) {
      by_project_[project->second].insert(row.key);
    }
    volumes_[row.key] = std::move(record);
    // A crash between setting it aside and forgetting it: nobody has been told that it is gone.
    const std::filesystem::path aside = directory_aside(row.key);
    if (::rename(aside.c_str(), directory_of(row.key).c_str()) != 0 && errno != ENOENT) {
      log_warning("volume " + row.key + ": " + Error::from_errno(errno, "rename", aside.native()).message());
    }
  }
  return {};
}

const VolumeRecord* VolumeStore::find(const std::string& name) const {
  auto at = volumes_.find(name);
  return at == volumes_.end() ? nullptr : &at->second;
}

std::vector<const VolumeRecord*> VolumeStore::list() const {
  std::vector<const VolumeRecord*> records;
  for (const auto& [name, record] : volumes_) records.push_back(&record);
  return records;
}

std::vector<const VolumeRecord*> VolumeStore::of_project(const std::string& project) const {
  std::vector<const VolumeRecord*> records;
  auto at = by_project_.find(project);
  if (at == by_project_.end()) return records;
  for (const std::string& name : at->second) records.push_back(&volumes_.at(name));
  return records;
}

VolumeRecord VolumeStore::describe(VolumeSpec spec, WallTime now, Random& random) const {
  if (spec.name.empty()) {
    spec.name = random_hex(random, 32);
    spec.labels[kAnonymousVolumeLabel] = "";
  }
  spec.driver = "local";
  return {.spec = std::move(spec), .created_at = now};
}

Result<> VolumeStore::keep(const VolumeRecord& record) {
  const std::string& name = record.spec.name;
  TRY(database_.save_volume(name, to_json(record)));
  if (auto project = record.spec.labels.find(kProjectLabel); project != record.spec.labels.end()) {
    by_project_[project->second].insert(name);
  }
  volumes_[name] = record;
  return {};
}

Result<> VolumeStore::forget(const std::string& name) {
  TRY(database_.remove_volume(name));
  auto at = volumes_.find(name);
  if (at == volumes_.end()) return {};
  if (auto project = at->second.spec.labels.find(kProjectLabel); project != at->second.spec.labels.end()) {
    by_project_[project->second].erase(name);
    if (by_project_[project->second].empty()) by_project_.erase(project->second);
  }
  volumes_.erase(at);
  return {};
}

Result<> VolumeStore::set_aside(const std::string& name) {
  const std::filesystem::path place = directory_of(name), aside = directory_aside(name);
  TRY(delete_volume_directory(aside));  // of an earlier one of that name that could not be deleted
  if (::rename(place.c_str(), aside.c_str()) != 0 && errno != ENOENT) {
    return Error::from_errno(errno, "rename", place.native());
  }
  fault_point("volume set aside");
  Result<> forgotten = forget(name);
  if (!forgotten.ok()) ::rename(aside.c_str(), place.c_str());
  return forgotten;
}

VolumeMount VolumeStore::mount_of(const VolumeRecord& record) const {
  VolumeMount mount;
  mount.directory = root_ / record.spec.name / "_data";
  if (record.spec.options.empty()) return mount;
  if (is_bind(record.spec)) {
    mount.directory = option(record.spec, "device");
    return mount;
  }
  mount.own_filesystem = true;
  mount.type = option(record.spec, "type");
  mount.device = option(record.spec, "device");
  mount.options = option(record.spec, "o");
  return mount;
}

std::vector<std::filesystem::path> VolumeStore::strays() const {
  std::vector<std::filesystem::path> found;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(root_, error)) {
    const std::string name = entry.path().filename();
    if (name.starts_with('.') || (is_anonymous_name(name) && !volumes_.contains(name))) found.push_back(entry.path());
  }
  return found;
}

Result<> make_volume_directory(const VolumeMount& mount, const std::filesystem::path& volume_root) {
  for (const std::filesystem::path& directory : {volume_root, volume_root / "_data"}) {
    if (mkdir(directory.c_str(), 0755) != 0 && errno != EEXIST) {
      return Error::from_errno(errno, "mkdir", directory.string());
    }
  }
  fault_point("volume directory made");
  if (mount.directory.parent_path() != volume_root && !std::filesystem::is_directory(mount.directory)) {
    return invalid("failed to mount local volume: device " + mount.directory.string() + " is no directory");
  }
  return {};
}

Result<> mount_volume(const VolumeMount& mount) {
  if (!mount.own_filesystem || is_mount_point(mount.directory)) return {};
  const MountArguments arguments = parse_options(mount.options);
  if (::mount(mount.device.c_str(), mount.directory.c_str(), mount.type.c_str(), arguments.flags,
              arguments.data.empty() ? nullptr : arguments.data.c_str()) != 0) {
    const int code = errno;
    return Error::from_errno(code, "failed to mount local volume: mount " + mount.device + ":" +
                                       mount.directory.string() + ", type: " + mount.type,
                             mount.options.empty() ? "" : "data: " + mount.options);
  }
  return {};
}

void unmount_volume(const VolumeMount& mount) {
  if (!mount.own_filesystem) return;
  if (umount2(mount.directory.c_str(), UMOUNT_NOFOLLOW) != 0 && errno != EINVAL && errno != ENOENT) {
    log_warning("volume " + mount.directory.parent_path().filename().string() + " stays mounted: " +
                Error::from_errno(errno, "umount", mount.directory.string()).message());
  }
}

Result<> delete_volume_directory(const std::filesystem::path& root) {
  const std::filesystem::path data = root / "_data";
  if (is_mount_point(data) && ::umount2(data.c_str(), UMOUNT_NOFOLLOW) != 0) {
    return Error::from_errno(errno, "umount", data.native());
  }
  return remove_tree(root);
}

}  // namespace gantry::engine
