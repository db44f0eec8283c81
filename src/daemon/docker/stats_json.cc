#include "daemon/docker/stats_json.h"

#include <unistd.h>

#include <nlohmann/json.hpp>

namespace gantry::daemon::docker {
namespace {

using engine::ContainerUsage;
using nlohmann::json;

json throttling(const ContainerUsage& usage) {
  return {{"periods", usage.periods},
          {"throttled_periods", usage.throttled_periods},
          {"throttled_time", usage.throttled_ns}};
}

json cpu_json(const std::optional<StatsSample>& sample) {
  const ContainerUsage usage = sample ? sample->usage : ContainerUsage();
  json value = {{"cpu_usage",
                 {{"total_usage", usage.cpu_ns},
                  {"usage_in_kernelmode", usage.cpu_kernel_ns},
                  {"usage_in_usermode", usage.cpu_user_ns}}},
                {"throttling_data", throttling(usage)}};
  if (sample) {
    value["system_cpu_usage"] = sample->system_cpu_ns;
    value["online_cpus"] = ::sysconf(_SC_NPROCESSORS_ONLN);
  }
  return value;
}

json memory_json(const ContainerUsage& usage) {
  json value = {{"usage", usage.memory_bytes}, {"limit", usage.memory_limit}};
  if (!usage.memory_details.empty()) value["stats"] = usage.memory_details;
  return value;
}

json traffic_json(const ContainerUsage& usage) {
  json networks = json::object();
  for (const auto& [name, seen] : usage.interfaces) {
    networks[name] = {{"rx_bytes", seen.received_bytes},     {"rx_packets", seen.received_packets},
                      {"rx_errors", seen.received_errors},   {"rx_dropped", seen.received_dropped},
                      {"tx_bytes", seen.sent_bytes},         {"tx_packets", seen.sent_packets},
                      {"tx_errors", seen.sent_errors},       {"tx_dropped", seen.sent_dropped}};
  }
  return networks;
}

json blocks_json(const ContainerUsage& usage) {
  json bytes = nullptr;
  json operations = nullptr;
  const auto add = [](json& list, const engine::BlockUsage& block, const char* name, uint64_t value) {
    list.push_back({{"major", block.major}, {"minor", block.minor}, {"op", name}, {"value", value}});
  };
  for (const engine::BlockUsage& block : usage.blocks) {
    add(bytes, block, "read", block.read_bytes);
    add(bytes, block, "write", block.written_bytes);
    add(operations, block, "read", block.reads);
    add(operations, block, "write", block.writes);
  }
  json value = {{"io_service_bytes_recursive", std::move(bytes)}, {"io_serviced_recursive", std::move(operations)}};
  for (const char* name : {"io_queue_recursive", "io_service_time_recursive", "io_wait_time_recursive",
                           "io_merged_recursive", "io_time_recursive", "sectors_recursive"}) {
    value[name] = nullptr;
  }
  return value;
}

}  // namespace

json stats_json(const engine::ContainerDetails& container, const std::optional<StatsSample>& sample,
                const std::optional<StatsSample>& before) {
  json value = {{"read", format_rfc3339(sample ? sample->time : WallTime{})},
                {"preread", format_rfc3339(before ? before->time : WallTime{})},
                {"name", "/" + container.observed.name},
                {"id", container.observed.id.str()},
                {"num_procs", 0},
                {"pids_stats", json::object()},
                {"cpu_stats", cpu_json(sample)},
                {"precpu_stats", cpu_json(before)},
                {"memory_stats", json::object()},
                {"blkio_stats", blocks_json(sample ? sample->usage : ContainerUsage())},
                {"storage_stats", json::object()}};
  if (!sample) return value;
  value["pids_stats"] = {{"current", sample->usage.processes}};
  if (sample->usage.processes_limit != 0) value["pids_stats"]["limit"] = sample->usage.processes_limit;
  value["memory_stats"] = memory_json(sample->usage);
  if (!sample->usage.interfaces.empty()) value["networks"] = traffic_json(sample->usage);
  return value;
}

}  // namespace gantry::daemon::docker
