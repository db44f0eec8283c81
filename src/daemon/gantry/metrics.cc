// /gantry/v1/health and /gantry/v1/metrics (Prometheus' text format, version 0.0.4).
#include <unistd.h>

#include <fstream>
#include <map>
#include <sstream>

#include "compose/controller.h"
#include "base/version.h"
#include "daemon/event_hub.h"
#include "daemon/gantry/routes.h"

namespace gantry::daemon::api {
namespace {

uint64_t resident_bytes() {
  std::ifstream statm("/proc/self/statm");
  uint64_t total = 0;
  uint64_t resident = 0;
  statm >> total >> resident;
  return resident * static_cast<uint64_t>(::sysconf(_SC_PAGESIZE));
}

struct Counts {
  std::map<std::string, size_t> containers;  // by state
  size_t networks = 0;
  size_t volumes = 0;
  size_t projects = 0;
  uint64_t events = 0;
};

Counts count(World& world) {
  Counts counts;
  for (const engine::ListedContainer& container : world.engine.list_containers()) {
    ++counts.containers[engine::to_string(container.observed.state)];
  }
  counts.networks = world.engine.list_networks().size();
  counts.volumes = world.engine.list_volumes().size();
  counts.projects = world.controller.names().size();
  counts.events = world.events.count();
  return counts;
}

void metric(std::ostream& out, const char* name, const char* type, const char* help) {
  out << "# HELP " << name << ' ' << help << "\n# TYPE " << name << ' ' << type << '\n';
}

template <class Value>
void single(std::ostream& out, const char* name, const char* type, const char* help, Value value) {
  metric(out, name, type, help);
  out << name << ' ' << value << '\n';
}

Result<> metrics(Exchange& exchange, World& world) {
  const Counts counts = world.loop.ask([&world] { return count(world); });
  const auto uptime = std::chrono::duration<double>(world.loop.clock().wall() - world.started_at);
  std::ostringstream out;
  metric(out, "gantry_build_info", "gauge", "The daemon's version.");
  out << "gantry_build_info{version=\"" << kVersion << "\"} 1\n";
  metric(out, "gantry_containers", "gauge", "Containers by state.");
  for (const char* state : {"created", "running", "paused", "restarting", "removing", "exited", "dead"}) {
    const auto at = counts.containers.find(state);
    out << "gantry_containers{state=\"" << state << "\"} " << (at == counts.containers.end() ? 0 : at->second) << '\n';
  }
  single(out, "gantry_networks", "gauge", "Networks, predefined ones included.", counts.networks);
  single(out, "gantry_volumes", "gauge", "Volumes.", counts.volumes);
  single(out, "gantry_images", "gauge", "Images.", world.images.list().size());
  single(out, "gantry_projects", "gauge", "Projects whose desired state is kept.", counts.projects);
  single(out, "gantry_events_total", "counter", "Events of the engine since the daemon started.", counts.events);
  single(out, "gantry_uptime_seconds", "gauge", "Seconds since the daemon started.", uptime.count());
  single(out, "process_resident_memory_bytes", "gauge", "Resident memory of the daemon.", resident_bytes());
  return exchange.send(200, out.str(), "text/plain; version=0.0.4; charset=utf-8");
}

}  // namespace

void add_metrics_routes(Router& router, World& world) {
  router.add("GET", "/gantry/v1/metrics",
             [&world](Exchange& exchange, const Call&) { return metrics(exchange, world); });
  router.add("GET", "/gantry/v1/health", [](Exchange& exchange, const Call&) {
    return exchange.send(200, "{\"status\":\"ok\"}\n", "application/json");
  });
}

}  // namespace gantry::daemon::api
