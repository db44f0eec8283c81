// The container's file system: overlay, default mounts, /dev, the user's mounts, masks; then pivot_root.
// In the child, in its new mount namespace. Order and defences: docs/security.md; failures end the child.
#pragma once

#include <vector>

#include "shim/protocol.h"
#include "shim/system.h"

namespace gantry::shim {

class Rootfs {
 public:
  explicit Rootfs(const Launch& launch) : launch_(launch) {}

  // Everything but the terminal and the masks. The sysctls are written on the way, through a procfs of our own.
  void build();
  // Opens a pty in the container's devpts and mounts it on /dev/console. The slave; the master goes to the supervisor.
  Fd open_terminal();
  // Masks and read-only paths, read-only root, then the old root goes. Nothing of the host is reachable afterwards.
  void enter();

 private:
  void open_sources();
  void mount_overlay();
  void mount_proc();
  void mount_dev();
  void mount_dev_children();
  void mount_sys();
  void mount_cgroup();
  void mount_shm();
  void mount_user(size_t index);
  void make_working_directory();
  void write_sysctls(int proc);
  void make_device(int dev, const DeviceNode& node);
  void mask(const std::string& path);
  void refuse_foreign_root();
  void make_read_only(const std::string& path);
  bool replaced(const char* target) const;  // the user mounts something there himself

  const Launch& launch_;
  Fd root_;
  Fd dev_;              // our /dev, none if the user brought one
  Fd pts_;
  Fd host_null_;        // verified; the source of masked files
  Fd namespace_;        // the mount namespace that we are in
  Fd host_shm_;         // ipc host or of a process
  Fd empty_directory_;  // the first masked directory's mount; others are clones
  std::vector<Fd> sources_;
};

}  // namespace gantry::shim
