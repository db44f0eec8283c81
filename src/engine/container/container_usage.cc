#include "engine/container/container_usage.h"

#include <sys/sysinfo.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <set>

#include "base/fd.h"
#include "base/strings.h"
#include "engine/container/cgroup_plan.h"

namespace gantry::engine {
namespace {

constexpr uint64_t kNanosecond = 1'000'000'000;

std::string content_of(const std::string& path) { return read_file(path, 1 << 20).value_or(""); }

std::vector<std::string> words_of(std::string_view line) {
  std::vector<std::string> words;
  for (std::string& word : split(line, ' ')) {
    if (!word.empty()) words.push_back(std::move(word));
  }
  return words;
}

uint64_t number_of(std::string_view text) { return parse_unsigned(trim(text)).value_or(0); }

uint64_t ticks_to_ns(uint64_t ticks) { return ticks * (kNanosecond / static_cast<uint64_t>(::sysconf(_SC_CLK_TCK))); }

// The fields of /proc/PID/stat behind the name, which may hold anything: [0] is the state.
std::vector<std::string> stat_fields(int pid) {
  const std::string text = content_of("/proc/" + std::to_string(pid) + "/stat");
  const size_t end = text.rfind(')');
  return end == std::string::npos ? std::vector<std::string>() : words_of(std::string_view(text).substr(end + 1));
}

// A kilobyte value of /proc/PID/… in bytes: "Pss:   120 kB".
uint64_t kilobytes_of(const std::string& text, const std::string& name) {
  for (const std::string& line : split(text, '\n')) {
    if (!line.starts_with(name)) continue;
    const std::vector<std::string> words = words_of(line.substr(name.size()));
    return words.empty() ? 0 : number_of(words[0]) * 1024;
  }
  return 0;
}

void collect_processes(const std::filesystem::path& group, std::set<int>& pids) {
  for (const std::string& line : split(content_of(group / "cgroup.procs"), '\n')) {
    if (const uint64_t pid = number_of(line); pid != 0) pids.insert(static_cast<int>(pid));
  }
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(group, error)) {
    std::error_code ignored;
    if (entry.is_directory(ignored)) collect_processes(entry.path(), pids);
  }
}

class UsageReader {
 public:
  explicit UsageReader(int pid) : pid_(pid) {}

  Result<ContainerUsage> read(bool own_network) {
    const std::string proc = "/proc/" + std::to_string(pid_);
    groups_ = parse_process_cgroups(content_of(proc + "/cgroup"), content_of("/proc/self/mountinfo"));
    pids_ = TRY(container_processes(pid_));
    processor();
    memory();
    processes();
    blocks();
    if (own_network) usage_.interfaces = parse_interfaces(content_of(proc + "/net/dev"));
    return std::move(usage_);
  }

 private:
  // The container's own directory for a controller, which is called by its id; "": it has joined none.
  std::string own(const std::string& controller) const {
    const auto at = groups_.find(controller);
    if (at == groups_.end() || at->second.size() - at->second.rfind('/') != 65) return {};
    return at->second;
  }
  bool file(const std::string& controller, const char* name, std::string& text) const {
    const std::string directory = own(controller);
    if (directory.empty()) return false;
    Result<std::string> read = read_file(directory + "/" + name, 1 << 20);
    if (!read.ok()) return false;
    text = *std::move(read);
    return true;
  }

  void processor() {
    std::string text;
    // The v2 tree counts time also where the controller is in v1.
    if (file("", "cpu.stat", text)) {
      const auto counters = parse_counters(text);
      const auto at = [&](const char* name) { return counters.contains(name) ? counters.at(name) : 0; };
      usage_.cpu_ns = at("usage_usec") * 1000;
      usage_.cpu_user_ns = at("user_usec") * 1000;
      usage_.cpu_kernel_ns = at("system_usec") * 1000;
      usage_.periods = at("nr_periods");
      usage_.throttled_periods = at("nr_throttled");
      usage_.throttled_ns = at("throttled_usec") * 1000;
    } else if (file("cpuacct", "cpuacct.usage", text)) {
      usage_.cpu_ns = number_of(text);
      std::string split_text;
      if (file("cpuacct", "cpuacct.stat", split_text)) {
        const auto counters = parse_counters(split_text);
        usage_.cpu_user_ns = ticks_to_ns(counters.contains("user") ? counters.at("user") : 0);
        usage_.cpu_kernel_ns = ticks_to_ns(counters.contains("system") ? counters.at("system") : 0);
      }
    } else {
      for (const int pid : pids_) add_process_time(pid);
    }
    if (file("cpu", "cpu.stat", text)) {
      const auto counters = parse_counters(text);
      if (counters.contains("nr_periods")) usage_.periods = counters.at("nr_periods");
      if (counters.contains("nr_throttled")) usage_.throttled_periods = counters.at("nr_throttled");
      if (counters.contains("throttled_time")) usage_.throttled_ns = counters.at("throttled_time");
    }
  }

  // Its own and its ended children's (proc_pid_stat(5): fields 14 to 17).
  void add_process_time(int pid) {
    const std::vector<std::string> fields = stat_fields(pid);
    if (fields.size() < 15) return;
    const uint64_t user = ticks_to_ns(number_of(fields[11]) + number_of(fields[13]));
    const uint64_t kernel = ticks_to_ns(number_of(fields[12]) + number_of(fields[14]));
    usage_.cpu_user_ns += user;
    usage_.cpu_kernel_ns += kernel;
    usage_.cpu_ns += user + kernel;
  }

  void memory() {
    struct sysinfo machine {};
    ::sysinfo(&machine);
    usage_.memory_limit = static_cast<uint64_t>(machine.totalram) * machine.mem_unit;
    std::string text;
    if (file("memory", "memory.usage_in_bytes", text)) {
      usage_.memory_bytes = number_of(text);
      if (file("memory", "memory.limit_in_bytes", text)) limit_memory(number_of(text));
      if (file("memory", "memory.stat", text)) usage_.memory_details = parse_counters(text);
    } else if (file("", "memory.current", text)) {
      usage_.memory_bytes = number_of(text);
      if (file("", "memory.max", text)) limit_memory(parse_unsigned(trim(text)).value_or(UINT64_MAX));
      if (file("", "memory.stat", text)) usage_.memory_details = parse_counters(text);
    } else {
      // Shared pages count in parts, so that the sum is what would become free.
      for (const int pid : pids_) {
        usage_.memory_bytes += kilobytes_of(content_of("/proc/" + std::to_string(pid) + "/smaps_rollup"), "Pss:");
      }
    }
  }
  void limit_memory(uint64_t limit) { usage_.memory_limit = std::min(usage_.memory_limit, limit); }

  void processes() {
    std::string text;
    for (const char* controller : {"pids", ""}) {
      if (!file(controller, "pids.current", text)) continue;
      usage_.processes = number_of(text);
      if (file(controller, "pids.max", text)) usage_.processes_limit = number_of(text);  // "max" reads as 0
      return;
    }
    // The controller counts threads.
    for (const int pid : pids_) {
      const std::vector<std::string> fields = stat_fields(pid);
      usage_.processes += fields.size() > 17 ? number_of(fields[17]) : 1;
    }
  }

  void blocks() {
    std::string text;
    std::string operations;
    if (file("", "io.stat", text)) {
      usage_.blocks = parse_io_stat(text);
    } else if (file("blkio", "blkio.throttle.io_service_bytes", text)) {
      (void)file("blkio", "blkio.throttle.io_serviced", operations);
      usage_.blocks = parse_blkio(text, operations);
    }
  }

  const int pid_;
  std::map<std::string, std::string> groups_;
  std::vector<int> pids_;
  ContainerUsage usage_;
};

}  // namespace

std::map<std::string, uint64_t> parse_counters(std::string_view text) {
  std::map<std::string, uint64_t> counters;
  for (const std::string& line : split(text, '\n')) {
    const size_t space = line.find(' ');
    if (space == std::string::npos) continue;
    if (const auto value = parse_unsigned(trim(std::string_view(line).substr(space + 1)))) {
      counters[line.substr(0, space)] = *value;
    }
  }
  return counters;
}

std::map<std::string, NetworkUsage> parse_interfaces(std::string_view text) {
  std::map<std::string, NetworkUsage> interfaces;
  for (const std::string& line : split(text, '\n')) {
    const size_t colon = line.find(':');
    if (colon == std::string::npos) continue;
    const std::string name(trim(std::string_view(line).substr(0, colon)));
    const std::vector<std::string> words = words_of(std::string_view(line).substr(colon + 1));
    if (name == "lo" || words.size() < 12) continue;
    interfaces[name] = {.received_bytes = number_of(words[0]),
                        .received_packets = number_of(words[1]),
                        .received_errors = number_of(words[2]),
                        .received_dropped = number_of(words[3]),
                        .sent_bytes = number_of(words[8]),
                        .sent_packets = number_of(words[9]),
                        .sent_errors = number_of(words[10]),
                        .sent_dropped = number_of(words[11])};
  }
  return interfaces;
}

std::vector<BlockUsage> parse_io_stat(std::string_view text) {
  std::vector<BlockUsage> blocks;
  for (const std::string& line : split(text, '\n')) {
    const std::vector<std::string> words = words_of(line);
    if (words.size() < 2) continue;
    const size_t colon = words[0].find(':');
    if (colon == std::string::npos) continue;
    BlockUsage block{.major = number_of(words[0].substr(0, colon)), .minor = number_of(words[0].substr(colon + 1))};
    for (const std::string& word : words) {
      const size_t equals = word.find('=');
      if (equals == std::string::npos) continue;
      const std::string name = word.substr(0, equals);
      const uint64_t value = number_of(word.substr(equals + 1));
      if (name == "rbytes") block.read_bytes = value;
      if (name == "wbytes") block.written_bytes = value;
      if (name == "rios") block.reads = value;
      if (name == "wios") block.writes = value;
    }
    blocks.push_back(block);
  }
  return blocks;
}

std::vector<BlockUsage> parse_blkio(std::string_view bytes, std::string_view operations) {
  std::map<std::pair<uint64_t, uint64_t>, BlockUsage> blocks;
  const auto read = [&](std::string_view text, uint64_t BlockUsage::*reads, uint64_t BlockUsage::*writes) {
    for (const std::string& line : split(text, '\n')) {
      const std::vector<std::string> words = words_of(line);  // "8:0 Read 4096"
      const size_t colon = words.size() == 3 ? words[0].find(':') : std::string::npos;
      if (colon == std::string::npos) continue;
      const std::pair key(number_of(words[0].substr(0, colon)), number_of(words[0].substr(colon + 1)));
      BlockUsage& block = blocks[key];
      block.major = key.first;
      block.minor = key.second;
      if (words[1] == "Read") block.*reads = number_of(words[2]);
      if (words[1] == "Write") block.*writes = number_of(words[2]);
    }
  };
  read(bytes, &BlockUsage::read_bytes, &BlockUsage::written_bytes);
  read(operations, &BlockUsage::reads, &BlockUsage::writes);
  std::vector<BlockUsage> list;
  for (const auto& [key, block] : blocks) list.push_back(block);
  return list;
}

std::map<std::string, std::string> parse_process_cgroups(std::string_view proc_cgroup, std::string_view mountinfo) {
  const CgroupHost host = parse_cgroup_mounts(mountinfo);
  std::map<std::string, std::string> groups;
  for (const std::string& line : split(proc_cgroup, '\n')) {  // "4:cpu,cpuacct:/path"
    const size_t first = line.find(':');
    const size_t second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    const std::string path = line.substr(second + 1);
    if (controllers.empty()) {
      if (!host.unified.empty()) groups[""] = host.unified + path;
      continue;
    }
    for (const std::string& controller : split(controllers, ',')) {
      if (const CgroupHierarchy* hierarchy = host.v1_of(controller)) groups[controller] = hierarchy->mount + path;
    }
  }
  return groups;
}

Result<std::vector<int>> container_processes(int pid) {
  const std::string proc = "/proc/" + std::to_string(pid);
  const Result<std::string> text = read_file(proc + "/cgroup", 1 << 20);
  if (!text.ok()) return conflict("the container is not running");
  const auto groups = parse_process_cgroups(*text, content_of("/proc/self/mountinfo"));
  std::set<int> pids;
  for (const auto& [controller, directory] : groups) {
    // A directory of the container's own is called after it.
    if (directory.substr(directory.rfind('/') + 1).size() != 64) continue;
    collect_processes(directory, pids);
    break;
  }
  pids.insert(pid);
  return std::vector<int>(pids.begin(), pids.end());
}

Result<ContainerUsage> read_usage(int pid, bool own_network) { return UsageReader(pid).read(own_network); }

Result<uint64_t> read_system_cpu() {
  const std::string text = TRY(read_file("/proc/stat", 1 << 20));
  const std::vector<std::string> words = words_of(std::string_view(text).substr(0, text.find('\n')));
  if (words.size() < 8 || words[0] != "cpu") return internal_error("/proc/stat has no line \"cpu\"");
  uint64_t ticks = 0;
  for (size_t i = 1; i < 8; ++i) ticks += number_of(words[i]);  // without guest time, which is in user time already
  return ticks_to_ns(ticks);
}

}  // namespace gantry::engine
