// /_ping, /version, /info, and what a single machine without a cluster answers to the rest.
#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "base/processors.h"
#include "base/strings.h"
#include "base/version.h"
#include "daemon/docker/answers.h"
#include "daemon/docker/routes.h"

namespace gantry::daemon::docker {
namespace {

using nlohmann::json;

// Go's names, which clients compare.
std::string architecture(const utsname& machine) {
  const std::string name = machine.machine;
  if (name == "x86_64") return "amd64";
  if (name == "aarch64") return "arm64";
  return name;
}

std::string operating_system() {
  std::ifstream file("/etc/os-release");
  for (std::string line; std::getline(file, line);) {
    if (!line.starts_with("PRETTY_NAME=")) continue;
    std::string name = line.substr(12);
    std::erase(name, '"');
    return name;
  }
  return "Linux";
}

std::string cgroup_version() { return ::access("/sys/fs/cgroup/cgroup.controllers", F_OK) == 0 ? "2" : "1"; }

Result<> ping(Exchange& exchange) {
  exchange.add_header("Builder-Version", "1");
  exchange.add_header("Swarm", "inactive");
  exchange.add_header("Cache-Control", "no-cache, no-store, must-revalidate");
  exchange.add_header("Pragma", "no-cache");
  const bool is_head = exchange.request().method == "HEAD";
  return exchange.send(200, is_head ? "" : "OK", "text/plain; charset=utf-8");
}

Result<> version(Exchange& exchange) {
  utsname machine{};
  ::uname(&machine);
  json details = {{"ApiVersion", kMaxApiVersion.to_string()},
                  {"MinAPIVersion", kMinApiVersion.to_string()},
                  {"Arch", architecture(machine)},
                  {"Os", "linux"},
                  {"KernelVersion", machine.release},
                  {"BuildTime", ""},
                  {"Experimental", "false"},
                  {"GitCommit", ""},
                  {"GoVersion", ""}};
  json component = {{"Name", "Engine"}, {"Version", kVersion}, {"Details", details}};
  return send_json(exchange, 200,
                   {{"Platform", {{"Name", "Gantry"}}},
                    {"Components", json::array({std::move(component)})},
                    {"Version", kVersion},
                    {"ApiVersion", kMaxApiVersion.to_string()},
                    {"MinAPIVersion", kMinApiVersion.to_string()},
                    {"GitCommit", ""},
                    {"GoVersion", ""},
                    {"Os", "linux"},
                    {"Arch", architecture(machine)},
                    {"KernelVersion", machine.release},
                    {"Experimental", false},
                    {"BuildTime", ""}});
}

void add_counts(World& world, json& info) {
  const std::vector<engine::ListedContainer> all = world.loop.ask([&world] { return world.engine.list_containers(); });
  int running = 0;
  int paused = 0;
  for (const engine::ListedContainer& container : all) {
    running += container.observed.state == engine::ContainerState::running ? 1 : 0;
    paused += container.observed.state == engine::ContainerState::paused ? 1 : 0;
  }
  info["Containers"] = all.size();
  info["ContainersRunning"] = running;
  info["ContainersPaused"] = paused;
  info["ContainersStopped"] = static_cast<int>(all.size()) - running - paused;
  info["Images"] = world.images.list().size();
}

void add_machine(json& info) {
  utsname machine{};
  ::uname(&machine);
  struct sysinfo memory {};
  ::sysinfo(&memory);
  info["KernelVersion"] = machine.release;
  info["Name"] = machine.nodename;
  info["Architecture"] = machine.machine;
  info["OperatingSystem"] = operating_system();
  info["OSType"] = "linux";
  info["OSVersion"] = "";
  info["NCPU"] = processors();
  info["MemTotal"] = static_cast<uint64_t>(memory.totalram) * memory.mem_unit;
  info["CgroupVersion"] = cgroup_version();
  info["CgroupDriver"] = "cgroupfs";
}

json registry_config() {
  return {{"IndexConfigs",
           {{"docker.io", {{"Name", "docker.io"}, {"Mirrors", json::array()}, {"Secure", true}, {"Official", true}}}}},
          {"InsecureRegistryCIDRs", {"::1/128", "127.0.0.0/8"}},
          {"Mirrors", json::array()}};
}

json fixed_info() {
  json info = {{"Driver", "overlay2"},
               {"DriverStatus", json::array({json::array({"Backing Filesystem", "overlayfs"})})},
               {"Plugins",
                {{"Volume", {"local"}},
                 {"Network", {"bridge", "host", "null"}},
                 {"Authorization", nullptr},
                 {"Log", {"json-file", "local", "none"}}}},
               {"LoggingDriver", "json-file"},
               {"IndexServerAddress", "https://index.docker.io/v1/"},
               {"RegistryConfig", registry_config()},
               {"Runtimes", {{"gantry", {{"path", "gantry-shim"}}}}},
               {"DefaultRuntime", "gantry"},
               {"InitBinary", "gantry-shim"},
               {"SecurityOptions", {"name=seccomp,profile=builtin", "name=cgroupns"}},
               {"ServerVersion", kVersion},
               {"LiveRestoreEnabled", true}};
  for (const char* name : {"MemoryLimit", "SwapLimit", "CpuCfsPeriod", "CpuCfsQuota", "CPUShares", "CPUSet",
                           "PidsLimit", "IPv4Forwarding"}) {
    info[name] = true;
  }
  for (const char* name : {"OomKillDisable", "Debug", "ExperimentalBuild"}) info[name] = false;
  for (const char* name : {"HttpProxy", "HttpsProxy", "NoProxy", "Isolation"}) info[name] = "";
  for (const char* name : {"ContainerdCommit", "RuncCommit", "InitCommit"}) info[name] = {{"ID", ""}};
  for (const char* name : {"GenericResources", "Warnings"}) info[name] = nullptr;
  for (const char* name : {"Labels", "CDISpecDirs"}) info[name] = json::array();
  for (const char* name : {"NFd", "NGoroutines", "NEventsListener"}) info[name] = 0;
  info["Swarm"] = {
      {"NodeID", ""}, {"NodeAddr", ""},           {"LocalNodeState", "inactive"}, {"ControlAvailable", false},
      {"Error", ""},  {"RemoteManagers", nullptr}};
  return info;
}

Result<> info(Exchange& exchange, World& world) {
  json answer = fixed_info();
  answer["ID"] = world.daemon_id;
  answer["DockerRootDir"] = world.roots.data.native();
  answer["SystemTime"] = format_rfc3339(world.loop.clock().wall());
  add_counts(world, answer);
  add_machine(answer);
  return send_json(exchange, 200, answer);
}

}  // namespace

void add_system_routes(Router& router, World& world) {
  router.add("GET", "/_ping", [](Exchange& exchange, const Call&) { return ping(exchange); });
  router.add("HEAD", "/_ping", [](Exchange& exchange, const Call&) { return ping(exchange); });
  router.add("GET", "/version", [](Exchange& exchange, const Call&) { return version(exchange); });
  router.add("GET", "/info", [&world](Exchange& exchange, const Call&) { return info(exchange, world); });
}

}  // namespace gantry::daemon::docker
