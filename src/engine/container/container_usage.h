// What a running container uses, read from the kernel: processor, memory, processes, disk, network. Readings are
// plain values; the parsers of the kernel's texts are pure. Any thread.
//
// A container joins a v1 hierarchy only for a limit of it (cgroup_plan.h), so a controller may have nothing to tell.
// Then its processes are asked one by one.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.h"
#include "base/result.h"

namespace gantry::engine {

struct NetworkUsage {
  uint64_t received_bytes = 0, received_packets = 0, received_errors = 0, received_dropped = 0;
  uint64_t sent_bytes = 0, sent_packets = 0, sent_errors = 0, sent_dropped = 0;
  friend bool operator==(const NetworkUsage&, const NetworkUsage&) = default;
};

struct BlockUsage {
  uint64_t major = 0, minor = 0;
  uint64_t read_bytes = 0, written_bytes = 0;
  uint64_t reads = 0, writes = 0;
  friend bool operator==(const BlockUsage&, const BlockUsage&) = default;
};

struct ContainerUsage {
  uint64_t cpu_ns = 0;
  uint64_t cpu_user_ns = 0;
  uint64_t cpu_kernel_ns = 0;
  uint64_t throttled_periods = 0, periods = 0, throttled_ns = 0;
  uint64_t memory_bytes = 0;
  uint64_t memory_limit = 0;  // the machine's memory without a limit
  std::map<std::string, uint64_t> memory_details;  // as the kernel names them; with the name that clients subtract
  uint64_t processes = 0;
  uint64_t processes_limit = 0;  // 0: none
  std::vector<BlockUsage> blocks;
  std::map<std::string, NetworkUsage> interfaces;  // without lo
};

// `pid`: the container's PID 1. `own_network`: its interfaces are its own. Code::conflict if it has ended.
Result<ContainerUsage> read_usage(int pid, bool own_network);
// Of all processors together, in nanoseconds since boot: what cpu_ns is compared with.
Result<uint64_t> read_system_cpu();

// Every process of the container, by its cgroup.
Result<std::vector<int>> container_processes(int pid);

// Pure.
std::map<std::string, uint64_t> parse_counters(std::string_view text);  // "name value" lines
std::map<std::string, NetworkUsage> parse_interfaces(std::string_view proc_net_dev);
std::vector<BlockUsage> parse_io_stat(std::string_view io_stat);  // v2 io.stat
// v1 blkio.throttle.io_service_bytes and …io_serviced.
std::vector<BlockUsage> parse_blkio(std::string_view bytes, std::string_view operations);

// A process's directory in each hierarchy, from /proc/PID/cgroup and the mounts: controller → path on the host; ""
// is the v2 tree.
std::map<std::string, std::string> parse_process_cgroups(std::string_view proc_cgroup, std::string_view mountinfo);

}  // namespace gantry::engine
