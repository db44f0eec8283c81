#include "engine/container/devices.h"

#include <dirent.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <optional>
#include <string_view>

namespace gantry::engine {
namespace {

constexpr int kMaxDeviceDepth = 16;  // of directories below /dev
// Made anew for every container, or none of its business.
constexpr std::string_view kOwnInDev[] = {"pts", "shm", "fd", "mqueue", "console", "ptmx", "stdin", "stdout", "stderr"};

bool is_device(const struct stat& status) { return S_ISCHR(status.st_mode) || S_ISBLK(status.st_mode); }

shim::DeviceNode node_of(const struct stat& status, const std::string& path) {
  return {.path = path,
          .mode = status.st_mode,
          .uid = status.st_uid,
          .gid = status.st_gid,
          .major = static_cast<uint32_t>(major(status.st_rdev)),
          .minor = static_cast<uint32_t>(minor(status.st_rdev))};
}

struct CloseDir {
  void operator()(DIR* dir) const { ::closedir(dir); }
};

// Links inside a directory are not followed: what they lead to is there anyway, or is none of the directory's.
void add_directory(const std::string& host, const std::string& target, int depth,
                   std::vector<shim::DeviceNode>& nodes) {
  const std::unique_ptr<DIR, CloseDir> dir(::opendir(host.c_str()));
  if (dir == nullptr || depth > kMaxDeviceDepth) return;
  while (const dirent* entry = ::readdir(dir.get())) {
    const std::string_view name = entry->d_name;
    if (name == "." || name == "..") continue;
    if (host == "/dev" && std::find(std::begin(kOwnInDev), std::end(kOwnInDev), name) != std::end(kOwnInDev)) continue;
    const std::string path = host + "/" + entry->d_name;
    struct stat status {};
    if (::lstat(path.c_str(), &status) != 0) continue;
    if (S_ISDIR(status.st_mode)) add_directory(path, target + "/" + entry->d_name, depth + 1, nodes);
    if (is_device(status)) nodes.push_back(node_of(status, target + "/" + entry->d_name));
  }
}

std::string without_end_slash(std::string path) {
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  return path;
}

Result<std::vector<shim::DeviceNode>> nodes_of(const Device& device) {
  const std::string host = without_end_slash(device.host_path);
  const std::string target = without_end_slash(device.container_path.empty() ? host : device.container_path);
  const std::string context = "error gathering device information while adding custom device " + gantry::quoted(host);
  struct stat status {};
  if (::stat(host.c_str(), &status) != 0) {
    if (errno == ENOENT || errno == ENOTDIR) return not_found(context + ": no such file or directory");
    return Error::from_errno(errno, "stat", host).within(context);
  }
  std::vector<shim::DeviceNode> nodes;
  if (S_ISDIR(status.st_mode)) {
    add_directory(host, target, 0, nodes);
  } else if (is_device(status)) {
    nodes.push_back(node_of(status, target));
  }
  if (nodes.empty()) return invalid(context + ": not a device node");
  return nodes;
}

}  // namespace

std::vector<std::string> default_device_rules() {
  return {"c *:* m",   "b *:* m",   "c 1:3 rwm", "c 1:5 rwm", "c 1:7 rwm",   "c 1:8 rwm",
          "c 1:9 rwm", "c 5:0 rwm", "c 5:1 rwm", "c 5:2 rwm", "c 136:* rwm", "c 10:200 rwm"};
}

Result<std::vector<shim::DeviceNode>> device_nodes(const std::vector<Device>& devices) {
  std::vector<shim::DeviceNode> all;
  for (const Device& device : devices) {
    std::vector<shim::DeviceNode> nodes = TRY(nodes_of(device));
    all.insert(all.end(), nodes.begin(), nodes.end());
  }
  return all;
}

std::vector<shim::DeviceNode> all_host_devices() {
  std::vector<shim::DeviceNode> nodes;
  add_directory("/dev", "/dev", 0, nodes);
  return nodes;
}

std::string device_number(const std::string& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0 || !S_ISBLK(status.st_mode)) return {};
  return std::to_string(major(status.st_rdev)) + ":" + std::to_string(minor(status.st_rdev));
}

Result<> check_limited_devices(const Resources& resources) {
  for (const auto* list : {&resources.blkio_weight_devices, &resources.blkio_read_bps, &resources.blkio_write_bps,
                           &resources.blkio_read_iops, &resources.blkio_write_iops}) {
    for (const DeviceLimit& device : *list) {
      struct stat status {};
      if (::stat(device.path.c_str(), &status) != 0) return Error::from_errno(errno, "stat", device.path).within("block I/O limit");
      if (!S_ISBLK(status.st_mode)) return invalid("block I/O limit: " + device.path + " is no block device");
    }
  }
  return {};
}

std::vector<std::string> device_rules(const std::vector<Device>& devices) {
  std::vector<std::string> rules;
  for (const Device& device : devices) {
    const Result<std::vector<shim::DeviceNode>> nodes = nodes_of(device);
    if (!nodes) continue;
    for (const shim::DeviceNode& node : *nodes) {
      rules.push_back(std::string(S_ISBLK(node.mode) ? "b " : "c ") + std::to_string(node.major) + ":" +
                      std::to_string(node.minor) + " " +
                      (device.permissions.empty() ? std::string("rwm") : device.permissions));
    }
  }
  return rules;
}

}  // namespace gantry::engine
