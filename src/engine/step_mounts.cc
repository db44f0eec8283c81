#include "engine/step_mounts.h"

#include <fcntl.h>
#include <linux/mount.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/fd.h"
#include "base/log.h"

namespace gantry::engine {
namespace {

namespace fs = std::filesystem;

constexpr const char* kSecrets = "secrets";
constexpr const char* kOverlay = "overlay-";

Result<> set(const Fd& context, const char* key, const fs::path& value) {
  if (syscall(SYS_fsconfig, context.get(), FSCONFIG_SET_STRING, key, value.c_str(), 0) == 0) return {};
  return Error::from_errno(errno, std::string("fsconfig ") + key, value.native());
}

Result<> make_directory(const fs::path& path, mode_t mode) {
  if (mkdir(path.c_str(), mode) == 0) return {};
  return Error::from_errno(errno, "mkdir", path.native());
}

}  // namespace

Result<StepMounts> StepMounts::make(const std::vector<StepMount>& mounts, const fs::path& directory) {
  StepMounts made(directory);
  for (const StepMount& mount : mounts) {
    RuntimeMount item = TRY(made.add(mount).within("mount on " + mount.target));
    made.sandbox_.push_back(std::move(item));
  }
  return made;
}

StepMounts::~StepMounts() {
  for (auto at = mounted_.rbegin(); at != mounted_.rend(); ++at) {
    if (umount2(at->c_str(), MNT_DETACH) != 0) {
      log_warning("build step: " + Error::from_errno(errno, "umount", at->native()).message());
    }
  }
}

void StepMounts::remove_leftovers(const fs::path& directory) {
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(directory, error)) {
    const std::string name = entry.path().filename();
    if (name == kSecrets || name.starts_with(kOverlay)) (void)umount2(entry.path().c_str(), MNT_DETACH);
  }
}

Result<RuntimeMount> StepMounts::add(const StepMount& mount) {
  RuntimeMount made;
  made.target = mount.target;
  made.read_only = mount.read_only;
  made.subpath = mount.subpath;
  while (made.subpath.starts_with('/')) made.subpath.erase(0, 1);
  switch (mount.kind) {
    case StepMount::Kind::bind:
      made.source = mount.source;
      break;
    case StepMount::Kind::layers:
      made.source = mount.layers.size() == 1 && mount.read_only ? mount.layers.front() : TRY(mount_overlay(mount));
      break;
    case StepMount::Kind::tmpfs:
      made.kind = RuntimeMount::Kind::tmpfs;
      made.tmpfs_options = mount.tmpfs_options;
      break;
    case StepMount::Kind::secret:
      made.source = TRY(write_secret(mount));
      break;
  }
  return made;
}

Result<fs::path> StepMounts::mount_overlay(const StepMount& mount) {
  const fs::path place = directory_ / (kOverlay + std::to_string(mounted_.size()));
  TRY(make_directory(place, 0755));
  const Fd context(static_cast<int>(syscall(SYS_fsopen, "overlay", FSOPEN_CLOEXEC)));
  if (!context) return Error::from_errno(errno, "fsopen", "overlay");
  TRY(set(context, "source", "overlay"));
  for (const fs::path& layer : mount.layers) TRY(set(context, "lowerdir+", layer));
  if (!mount.read_only) {
    // What is written is thrown away with the step.
    TRY(make_directory(mount.scratch / "upper", 0755));
    TRY(make_directory(mount.scratch / "work", 0700));
    TRY(set(context, "upperdir", mount.scratch / "upper"));
    TRY(set(context, "workdir", mount.scratch / "work"));
  }
  if (syscall(SYS_fsconfig, context.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) != 0) {
    return Error::from_errno(errno, "mounting", "overlay");
  }
  const Fd tree(static_cast<int>(syscall(SYS_fsmount, context.get(), FSMOUNT_CLOEXEC, 0)));
  if (!tree) return Error::from_errno(errno, "fsmount", "overlay");
  if (syscall(SYS_move_mount, tree.get(), "", AT_FDCWD, place.c_str(), MOVE_MOUNT_F_EMPTY_PATH) != 0) {
    return Error::from_errno(errno, "move_mount", place.native());
  }
  mounted_.push_back(place);
  return place;
}

// Never on a disk.
Result<fs::path> StepMounts::write_secret(const StepMount& mount) {
  const fs::path place = directory_ / kSecrets;
  const bool is_mounted = std::find(mounted_.begin(), mounted_.end(), place) != mounted_.end();
  if (!is_mounted) {
    TRY(make_directory(place, 0700));
    if (::mount("tmpfs", place.c_str(), "tmpfs", MS_NOSUID | MS_NODEV, "mode=0700,size=16m") != 0) {
      return Error::from_errno(errno, "mount", place.native());
    }
    mounted_.push_back(place);
  }
  const fs::path file = place / std::to_string(sandbox_.size());
  const Fd fd = TRY(open_file(file, O_WRONLY | O_CREAT | O_EXCL, 0600));
  TRY(write_all(fd.get(), mount.content));
  if (fchown(fd.get(), mount.uid, mount.gid) != 0 || fchmod(fd.get(), mount.mode) != 0) {
    return Error::from_errno(errno, "chown", file.native());
  }
  return file;
}

}  // namespace gantry::engine
