#include "engine/container/cgroup_plan.h"

#include <algorithm>
#include <cmath>

#include "base/fd.h"
#include "base/strings.h"
#include "engine/container/device_program.h"
#include "engine/container/devices.h"

namespace gantry::engine {
namespace {

using shim::CgroupPlan;
using shim::CgroupStep;

constexpr const char* kV2Controllers[] = {"cpu", "cpuset", "io", "memory", "pids"};

// Mount options of a v1 hierarchy that are no controllers.
bool is_plain_option(std::string_view option) {
  constexpr std::string_view kPlain[] = {"rw", "ro", "xattr", "noprefix", "clone_children", "all", "none"};
  return std::ranges::find(kPlain, option) != std::end(kPlain) || option.starts_with("release_agent=") ||
         option.starts_with("cpuset_v2_mode");
}

// mountinfo writes space, tab, newline and backslash as \ooo.
std::string unescape(std::string_view text) {
  std::string plain;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 3 < text.size()) {
      plain += static_cast<char>((text[i + 1] - '0') * 64 + (text[i + 2] - '0') * 8 + (text[i + 3] - '0'));
      i += 3;
    } else {
      plain += text[i];
    }
  }
  return plain;
}

std::string last_component(const std::string& path) { return path.substr(path.rfind('/') + 1); }

// Collects the steps for one container.
class Planner {
 public:
  Planner(const CgroupHost& host, const std::string& root_name, const ContainerId& id, const Resources& resources)
      : host_(host), resources_(resources), id_(id.str()) {
    for (const std::string& part : split(resources.cgroup_parent.empty() ? root_name : resources.cgroup_parent, '/')) {
      if (!part.empty() && part != "." && part != "..") parents_.push_back(part);
    }
  }

  CgroupPlan plan(bool privileged) {
    join_unified();
    if (resources_.memory > 0 || resources_.memory_reservation > 0 || resources_.memory_swappiness ||
        resources_.oom_kill_disable) {
      memory();
    }
    cpu();
    cpuset();
    pids();
    block_io();
    devices(privileged);
    // Without a v2 tree the freezer is needed for pausing, and the others count what `stats` shows.
    if (host_.unified.empty()) {
      for (const CgroupHierarchy& hierarchy : host_.v1) join(hierarchy);
      if (const CgroupHierarchy* freezer = host_.v1_of("freezer")) plan_.freezer = leaf(freezer->mount);
    }
    if (const CgroupHierarchy* memory = host_.v1_of("memory")) {
      if (joined(*memory)) plan_.oom_file = leaf(memory->mount) + "/memory.oom_control";
    } else if (host_.unified_has("memory")) {
      plan_.oom_file = leaf(host_.unified) + "/memory.events";
    }
    plan_.private_namespace = host_.pure_v2();
    plan_.pure_v2 = host_.pure_v2();
    if (host_.pure_v2()) plan_.mounts.clear();
    return std::move(plan_);
  }

 private:
  std::string leaf(const std::string& mount) const { return mount + "/" + join_path(parents_) + "/" + id_; }
  static std::string join_path(const std::vector<std::string>& parts) { return gantry::join(parts, "/"); }

  void step(CgroupStep::Kind kind, std::string path, std::string value = {}, bool required = false,
            std::string warning = {}) {
    plan_.steps.push_back({.kind = kind,
                           .required = required,
                           .path = std::move(path),
                           .value = std::move(value),
                           .warning = std::move(warning)});
  }
  void write(std::string path, std::string value, bool required = true, std::string warning = {}) {
    step(CgroupStep::Kind::write, std::move(path), std::move(value), required, std::move(warning));
  }

  // The directories from the mount down to the container's own. `each` may add steps for a directory and its parent.
  template <class Each>
  void make_directories(const std::string& mount, Each each) {
    std::string path = mount;
    for (const std::string& part : parents_) {
      std::string parent = path;
      path += "/" + part;
      step(CgroupStep::Kind::make_directory, path, {}, true);
      each(parent, path);
    }
    std::string own = path + "/" + id_;
    step(CgroupStep::Kind::make_directory, own, {}, true);
    each(path, own);
    plan_.directories.push_back(own);
    plan_.mounts.push_back({.name = last_component(mount), .source = own});
  }

  void join_unified() {
    if (host_.unified.empty()) return;
    plan_.unified = leaf(host_.unified);
    make_directories(host_.unified, [&](const std::string& parent, const std::string&) {
      for (const char* controller : kV2Controllers) {
        // One at a time: a single one that cannot be had must not keep the others away.
        if (host_.unified_has(controller)) write(parent + "/cgroup.subtree_control", "+" + std::string(controller), false);
      }
    });
  }

  bool joined(const CgroupHierarchy& hierarchy) const {
    return std::ranges::find(plan_.attach, leaf(hierarchy.mount)) != plan_.attach.end();
  }

  void join(const CgroupHierarchy& hierarchy) {
    if (joined(hierarchy)) return;
    bool has_cpuset = std::ranges::find(hierarchy.controllers, "cpuset") != hierarchy.controllers.end();
    make_directories(hierarchy.mount, [&](const std::string& parent, const std::string& own) {
      if (!has_cpuset) return;
      // A new v1 cpuset is empty, and nobody can join an empty one.
      step(CgroupStep::Kind::copy_if_empty, own + "/cpuset.cpus", parent + "/cpuset.cpus", true);
      step(CgroupStep::Kind::copy_if_empty, own + "/cpuset.mems", parent + "/cpuset.mems", true);
    });
    plan_.attach.push_back(leaf(hierarchy.mount));
    for (const std::string& controller : hierarchy.controllers) {
      const std::string name = last_component(hierarchy.mount);
      if (hierarchy.controllers.size() > 1 && controller != name) {
        plan_.links.push_back({.name = controller, .target = name});
      }
    }
  }

  // The container's directory for a controller, joined; empty: the machine has no such controller.
  std::string directory_for(const char* controller, bool& v2) {
    if (const CgroupHierarchy* hierarchy = host_.v1_of(controller)) {
      join(*hierarchy);
      v2 = false;
      return leaf(hierarchy->mount);
    }
    v2 = true;
    return host_.unified_has(controller) ? leaf(host_.unified) : std::string();
  }

  void memory() {
    bool v2 = false;
    const std::string own = directory_for("memory", v2);
    if (own.empty()) return;
    const int64_t limit = resources_.memory;
    int64_t swap = resources_.memory_swap;  // with the memory
    if (swap == 0 && limit > 0) swap = 2 * limit;
    const std::string no_swap =
        "Your kernel does not support swap limit capabilities or the cgroup is not mounted. Memory limited without swap.";
    if (v2) {
      if (limit > 0) write(own + "/memory.max", std::to_string(limit));
      if (swap < 0) write(own + "/memory.swap.max", "max", false);
      if (swap > 0) {
        // By default nobody asked: then a machine without swap accounting is no news.
        write(own + "/memory.swap.max", std::to_string(swap - limit), false, resources_.memory_swap > 0 ? no_swap : "");
      }
      if (resources_.memory_reservation > 0) write(own + "/memory.low", std::to_string(resources_.memory_reservation));
      return;
    }
    if (limit > 0) write(own + "/memory.limit_in_bytes", std::to_string(limit));
    if (swap != 0) {
      write(own + "/memory.memsw.limit_in_bytes", std::to_string(swap), false, resources_.memory_swap > 0 ? no_swap : "");
    }
    if (resources_.memory_reservation > 0) {
      write(own + "/memory.soft_limit_in_bytes", std::to_string(resources_.memory_reservation));
    }
    if (resources_.memory_swappiness) {
      write(own + "/memory.swappiness", std::to_string(*resources_.memory_swappiness), false,
            "Your kernel does not support memory swappiness capabilities or the cgroup is not mounted. Memory swappiness "
            "discarded.");
    }
    if (resources_.oom_kill_disable) {
      write(own + "/memory.oom_control", "1", false,
            "Your kernel does not support OomKillDisable. OomKillDisable discarded.");
    }
  }

  void cpu() {
    int64_t period = resources_.cpu_period;
    int64_t quota = resources_.cpu_quota;
    if (resources_.nano_cpus > 0) {
      period = 100'000;
      quota = resources_.nano_cpus / 10'000;
    }
    if (period == 0 && quota == 0 && resources_.cpu_shares == 0) return;
    bool v2 = false;
    const std::string own = directory_for("cpu", v2);
    if (own.empty()) return;
    if (v2) {
      if (resources_.cpu_shares != 0) {
        write(own + "/cpu.weight", std::to_string(cpu_weight_of_shares(resources_.cpu_shares)));
      }
      if (period != 0 || quota != 0) {
        write(own + "/cpu.max",
              (quota > 0 ? std::to_string(quota) : "max") + " " + std::to_string(period != 0 ? period : 100'000));
      }
      return;
    }
    if (resources_.cpu_shares != 0) write(own + "/cpu.shares", std::to_string(resources_.cpu_shares));
    if (period != 0) write(own + "/cpu.cfs_period_us", std::to_string(period));
    if (quota != 0) write(own + "/cpu.cfs_quota_us", std::to_string(quota));
  }

  void cpuset() {
    if (resources_.cpuset_cpus.empty() && resources_.cpuset_mems.empty()) return;
    bool v2 = false;
    const std::string own = directory_for("cpuset", v2);
    if (own.empty()) return;
    if (!resources_.cpuset_cpus.empty()) write(own + "/cpuset.cpus", resources_.cpuset_cpus);
    if (!resources_.cpuset_mems.empty()) write(own + "/cpuset.mems", resources_.cpuset_mems);
  }

  void pids() {
    if (resources_.pids_limit <= 0) return;
    bool v2 = false;
    const std::string own = directory_for("pids", v2);
    if (!own.empty()) write(own + "/pids.max", std::to_string(resources_.pids_limit));
  }

  void block_io() {
    const Resources& r = resources_;
    const bool limited = !r.blkio_read_bps.empty() || !r.blkio_write_bps.empty() || !r.blkio_read_iops.empty() ||
                         !r.blkio_write_iops.empty();
    if (r.blkio_weight == 0 && r.blkio_weight_devices.empty() && !limited) return;
    bool v2 = false;
    const char* controller = host_.v1_of("blkio") != nullptr ? "blkio" : "io";
    const std::string own = directory_for(controller, v2);
    if (own.empty()) return;
    block_weights(own, v2);
    if (v2) {
      block_limits_v2(own);
      return;
    }
    throttle(own + "/blkio.throttle.read_bps_device", r.blkio_read_bps);
    throttle(own + "/blkio.throttle.write_bps_device", r.blkio_write_bps);
    throttle(own + "/blkio.throttle.read_iops_device", r.blkio_read_iops);
    throttle(own + "/blkio.throttle.write_iops_device", r.blkio_write_iops);
  }

  // Only the BFQ scheduler and io.cost have weights; the file is missing where neither is in the kernel.
  void block_weights(const std::string& own, bool v2) {
    const std::string warning =
        "Your kernel does not support Block I/O weight or the cgroup is not mounted. Weight discarded.";
    const std::string file = own + (v2 ? "/io.weight" : "/blkio.bfq.weight");
    const auto scaled = [v2](uint64_t weight) {
      return std::to_string(v2 ? 1 + (static_cast<int64_t>(weight) - 10) * 9999 / 990 : static_cast<int64_t>(weight));
    };
    if (resources_.blkio_weight != 0) {
      write(file, (v2 ? "default " : "") + scaled(resources_.blkio_weight), false, warning);
    }
    for (const DeviceLimit& device : resources_.blkio_weight_devices) {
      if (device.value == 0) continue;
      write(v2 ? file : own + "/blkio.bfq.weight_device", device_number(device.path) + " " + scaled(device.value), false,
            "Your kernel does not support Block I/O weight_device. Weight-device discarded.");
    }
  }

  void throttle(const std::string& file, const std::vector<DeviceLimit>& limits) {
    for (const DeviceLimit& limit : limits) write(file, device_number(limit.path) + " " + std::to_string(limit.value));
  }

  void block_limits_v2(const std::string& own) {
    const std::pair<const char*, const std::vector<DeviceLimit>*> kinds[] = {{"rbps=", &resources_.blkio_read_bps},
                                                                           {"wbps=", &resources_.blkio_write_bps},
                                                                           {"riops=", &resources_.blkio_read_iops},
                                                                           {"wiops=", &resources_.blkio_write_iops}};
    for (const auto& [key, limits] : kinds) {
      for (const DeviceLimit& limit : *limits) {
        write(own + "/io.max",
              device_number(limit.path) + " " + key + (limit.value == 0 ? "max" : std::to_string(limit.value)));
      }
    }
  }

  // On a machine with a v2 tree a program on the unified directory does this, at a fraction of the cost.
  void devices(bool privileged) {
    const CgroupHierarchy* hierarchy = host_.v1_of("devices");
    if (privileged || host_.device_programs || hierarchy == nullptr) return;
    join(*hierarchy);
    const std::string own = leaf(hierarchy->mount);
    write(own + "/devices.deny", "a");
    for (const std::string& rule : all_device_rules(resources_)) write(own + "/devices.allow", rule);
  }

  const CgroupHost& host_;
  const Resources& resources_;
  std::string id_;
  std::vector<std::string> parents_;
  CgroupPlan plan_;
};

}  // namespace

const CgroupHierarchy* CgroupHost::v1_of(std::string_view controller) const {
  for (const CgroupHierarchy& hierarchy : v1) {
    if (std::ranges::find(hierarchy.controllers, controller) != hierarchy.controllers.end()) return &hierarchy;
  }
  return nullptr;
}

bool CgroupHost::unified_has(std::string_view controller) const {
  return std::ranges::find(unified_controllers, controller) != unified_controllers.end();
}

CgroupHost parse_cgroup_mounts(std::string_view mountinfo) {
  CgroupHost host;
  for (const std::string& line : split(mountinfo, '\n')) {
    const size_t dash = line.find(" - ");
    if (dash == std::string::npos) continue;
    const auto left = split(std::string_view(line).substr(0, dash), ' ');
    const auto right = split(std::string_view(line).substr(dash + 3), ' ');
    if (left.size() < 5 || right.size() < 3) continue;
    const std::string mount = unescape(left[4]);
    if (right[0] == "cgroup2" && host.unified.empty()) host.unified = mount;
    if (right[0] != "cgroup") continue;
    CgroupHierarchy hierarchy{.mount = mount, .controllers = {}};
    for (const std::string& option : split(right[2], ',')) {
      if (!is_plain_option(option)) hierarchy.controllers.push_back(option);
    }
    const bool known = std::ranges::any_of(
        host.v1, [&](const CgroupHierarchy& other) { return other.controllers == hierarchy.controllers; });
    if (!known && !hierarchy.controllers.empty()) host.v1.push_back(std::move(hierarchy));
  }
  return host;
}

Result<CgroupHost> discover_cgroups() {
  CgroupHost host = parse_cgroup_mounts(TRY(read_file("/proc/self/mountinfo")));
  if (host.unified.empty()) return host;
  auto controllers = read_file(host.unified + "/cgroup.controllers");
  if (controllers.ok()) {
    for (const std::string& name : split(trim(*controllers), ' ')) {
      if (!name.empty()) host.unified_controllers.push_back(name);
    }
  }
  host.device_programs = load_device_program(default_device_rules()).ok();
  return host;
}

CgroupPlan plan_cgroup(const CgroupHost& host, const std::string& root_name, const ContainerId& id,
                       const Resources& resources, bool privileged) {
  return Planner(host, root_name, id, resources).plan(privileged);
}

std::vector<std::string> cgroup_warnings(const CgroupHost& host, const Resources& resources) {
  std::vector<std::string> warnings;
  const auto need = [&](bool asked, const char* controller, const char* what, const char* discarded) {
    if (!asked || host.has(controller)) return;
    warnings.push_back("Your kernel does not support " + std::string(what) + " or the cgroup is not mounted. " + discarded);
  };
  need(resources.memory > 0, "memory", "memory limit capabilities", "Limitation discarded.");
  need(resources.memory_reservation > 0, "memory", "memory soft limit capabilities", "Limitation discarded.");
  need(resources.memory_swappiness.has_value(), "memory", "memory swappiness capabilities",
       "Memory swappiness discarded.");
  need(resources.pids_limit > 0, "pids", "PIDs limit capabilities", "PIDs limit discarded.");
  need(resources.cpu_shares != 0, "cpu", "CPU shares", "Shares discarded.");
  need(resources.nano_cpus != 0 || resources.cpu_period != 0 || resources.cpu_quota != 0, "cpu", "CPU CFS scheduler",
       "CPU period/quota discarded.");
  need(!resources.cpuset_cpus.empty() || !resources.cpuset_mems.empty(), "cpuset", "cpuset", "Cpuset discarded.");
  if (host.v1_of("blkio") == nullptr) {
    need(resources.blkio_weight != 0, "io", "Block I/O weight", "Weight discarded.");
    need(!resources.blkio_weight_devices.empty(), "io", "Block I/O weight_device", "Weight-device discarded.");
    need(!resources.blkio_read_bps.empty(), "io", "BPS Block I/O read limit", "Block I/O BPS read limit discarded.");
    need(!resources.blkio_write_bps.empty(), "io", "BPS Block I/O write limit", "Block I/O BPS write limit discarded.");
    need(!resources.blkio_read_iops.empty(), "io", "IOPS Block read limit", "Block I/O IOPS read limit discarded.");
    need(!resources.blkio_write_iops.empty(), "io", "IOPS Block write limit", "Block I/O IOPS write limit discarded.");
  }
  const bool v2_memory = host.v1_of("memory") == nullptr && host.unified_has("memory");
  if (resources.memory_swappiness && v2_memory) {
    warnings.push_back(
        "Your kernel does not support memory swappiness capabilities or the cgroup is not mounted. Memory swappiness "
        "discarded.");
  }
  if (resources.oom_kill_disable && host.v1_of("memory") == nullptr) {
    warnings.push_back("Your kernel does not support OomKillDisable. OomKillDisable discarded.");
  }
  return warnings;
}

// The formula that systemd and the OCI runtimes agreed on in 2025: it maps the defaults onto each other.
uint64_t cpu_weight_of_shares(int64_t shares) {
  if (shares <= 0) return 0;
  if (shares <= 2) return 1;
  if (shares >= 262144) return 10000;
  const double l = std::log2(static_cast<double>(shares));
  return static_cast<uint64_t>(std::ceil(std::pow(10, (l * l + 125 * l) / 612.0 - 7.0 / 34.0)));
}

}  // namespace gantry::engine
