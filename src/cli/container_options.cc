#include "cli/container_options.h"

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/fd.h"
#include "base/strings.h"
#include "cli/limits.h"
#include "cli/mount_options.h"
#include "cli/publish.h"
#include "compose/values.h"

namespace gantry::cli {
namespace {

using OrderedJson = nlohmann::ordered_json;

std::pair<std::string, std::string> key_value(const std::string& text, char separator = '=') {
  const size_t at = text.find(separator);
  return {text.substr(0, at), at == std::string::npos ? "" : text.substr(at + 1)};
}

// Lines of a --env-file or --label-file: "#" comments, leading spaces dropped; the rest is taken as it is.
Result<std::vector<std::string>> env_file_lines(const std::string& path) {
  std::vector<std::string> lines;
  std::string text = TRY(read_file(path, 16 << 20));
  if (text.starts_with("\xef\xbb\xbf")) text.erase(0, 3);
  for (std::string& line : split(text, '\n')) {
    if (line.ends_with('\r')) line.pop_back();
    const size_t begin = line.find_first_not_of(" \t");
    if (begin == std::string::npos || line[begin] == '#') continue;
    line.erase(0, begin);
    const std::string name = line.substr(0, line.find('='));
    if (name.empty()) return invalid("invalid env file (" + path + "): no variable name on line '" + line + "'");
    if (name.find_first_of(" \t") != std::string::npos) {
      return invalid("invalid env file (" + path + "): variable '" + name + "' contains whitespaces");
    }
    lines.push_back(line);
  }
  return lines;
}

class Builder {
 public:
  Builder(const Arguments& given, const std::map<std::string, std::string>& environment, Attachment attach)
      : given_(given), environment_(environment), attach_(attach) {}

  Result<ContainerRequest> build() {
    const auto& words = given_.positional();
    ContainerRequest request{.name = given_.text("name"), .platform = given_.text("platform"), .image = words[0]};
    request.auto_remove = given_.on("rm");
    request.tty = given_.on("tty");
    request.open_stdin = given_.on("interactive");
    body_["Image"] = words[0];
    if (words.size() > 1) body_["Cmd"] = std::vector<std::string>(words.begin() + 1, words.end());
    TRY(program());
    TRY(health());
    TRY(storage());
    TRY(network());
    TRY(isolation());
    TRY(resources());
    TRY(block_io());
    TRY(policies());
    body_["HostConfig"] = std::move(host_);
    if (!endpoints_.empty()) body_["NetworkingConfig"] = {{"EndpointsConfig", std::move(endpoints_)}};
    request.body = body_.dump(-1, ' ', false, OrderedJson::error_handler_t::replace);
    return request;
  }

 private:
  void text(OrderedJson& into, const char* member, const char* flag) {
    if (given_.given(flag)) into[member] = given_.text(flag);
  }
  void list(OrderedJson& into, const char* member, const char* flag) {
    if (given_.given(flag)) into[member] = given_.list(flag);
  }
  void number(OrderedJson& into, const char* member, const char* flag) {
    if (const auto value = given_.number(flag)) into[member] = *value;
  }
  void flag(OrderedJson& into, const char* member, const char* name) {
    if (given_.given(name)) into[member] = given_.on(name);
  }
  Result<> size(OrderedJson& into, const char* member, const char* flag) {
    if (given_.given(flag)) into[member] = TRY(memory_size(given_.text(flag)).within(std::string("--") + flag));
    return {};
  }
  Result<> duration(OrderedJson& into, const char* member, const char* flag) {
    if (!given_.given(flag)) return {};
    into[member] = TRY(compose::parse_duration(given_.text(flag)).within(std::string("--") + flag)).count();
    return {};
  }

  Result<> map(OrderedJson& into, const char* member, const char* flag) {
    for (const std::string& item : given_.list(flag)) {
      const auto [key, value] = key_value(item);
      if (key.empty()) return invalid(std::string("--") + flag + " " + gantry::quoted(item) + ": expected KEY=VALUE");
      into[member][key] = value;
    }
    return {};
  }

  Result<> program() {
    std::vector<std::string> variables;
    const auto add = [&](const std::string& variable) {
      const std::string name = variable.substr(0, variable.find('='));
      std::string value = variable;
      if (name == variable) {
        const auto found = environment_.find(name);
        if (found == environment_.end()) return;
        value = name + "=" + found->second;
      }
      std::erase_if(variables, [&](const std::string& other) { return other.substr(0, other.find('=')) == name; });
      variables.push_back(value);
    };
    for (const std::string& file : given_.list("env-file")) {
      for (const std::string& line : TRY(env_file_lines(file))) add(line);
    }
    for (const std::string& variable : given_.list("env")) {
      if (variable.empty() || variable[0] == '=') return invalid("invalid environment variable: " + variable);
      add(variable);
    }
    if (!variables.empty()) body_["Env"] = variables;
    if (given_.given("entrypoint")) body_["Entrypoint"] = std::vector<std::string>{given_.text("entrypoint")};
    text(body_, "User", "user");
    text(body_, "WorkingDir", "workdir");
    text(body_, "Hostname", "hostname");
    text(body_, "Domainname", "domainname");
    text(body_, "StopSignal", "stop-signal");
    number(body_, "StopTimeout", "stop-timeout");
    body_["Tty"] = given_.on("tty");
    body_["OpenStdin"] = given_.on("interactive");
    body_["StdinOnce"] = given_.on("interactive") && attach_.in;
    body_["AttachStdin"] = attach_.in;
    body_["AttachStdout"] = attach_.out;
    body_["AttachStderr"] = attach_.err;
    for (const std::string& file : given_.list("label-file")) {
      for (const std::string& line : TRY(env_file_lines(file))) {
        const auto [key, value] = key_value(line);
        body_["Labels"][key] = value;
      }
    }
    return map(body_, "Labels", "label");
  }

  Result<> health() {
    const bool given = given_.given("health-cmd") || given_.given("health-interval") || given_.given("health-timeout") ||
                       given_.given("health-start-period") || given_.given("health-start-interval") ||
                       given_.given("health-retries");
    if (given_.on("no-healthcheck")) {
      if (given) return invalid("--no-healthcheck conflicts with --health-* options");
      body_["Healthcheck"] = {{"Test", {"NONE"}}};
      return {};
    }
    if (!given) return {};
    OrderedJson check = OrderedJson::object();
    if (given_.given("health-cmd")) check["Test"] = std::vector<std::string>{"CMD-SHELL", given_.text("health-cmd")};
    TRY(duration(check, "Interval", "health-interval"));
    TRY(duration(check, "Timeout", "health-timeout"));
    TRY(duration(check, "StartPeriod", "health-start-period"));
    TRY(duration(check, "StartInterval", "health-start-interval"));
    number(check, "Retries", "health-retries");
    body_["Healthcheck"] = std::move(check);
    return {};
  }

  Result<> storage() {
    for (const std::string& volume : given_.list("volume")) {
      if (volume.find(':') == std::string::npos) {
        body_["Volumes"][volume] = OrderedJson::object();
      } else {
        host_["Binds"].push_back(volume.starts_with('.') || volume.starts_with('~') ? absolute(volume) : volume);
      }
    }
    for (const std::string& mount : given_.list("mount")) host_["Mounts"].push_back(TRY(mount_json(mount)));
    for (const std::string& item : given_.list("tmpfs")) {
      const auto [path, options] = key_value(item, ':');
      host_["Tmpfs"][path] = options;
    }
    list(host_, "VolumesFrom", "volumes-from");
    text(host_, "VolumeDriver", "volume-driver");
    flag(host_, "ReadonlyRootfs", "read-only");
    TRY(size(host_, "ShmSize", "shm-size"));
    return map(host_, "StorageOpt", "storage-opt");
  }

  // Relative to where the user is, not the daemon.
  std::string absolute(const std::string& volume) const {
    const auto home = environment_.find("HOME");
    if (volume.starts_with("~/") && home != environment_.end()) return home->second + volume.substr(1);
    const size_t colon = volume.find(':');
    const std::string source = (std::filesystem::current_path() / volume.substr(0, colon)).lexically_normal();
    return (source.size() > 1 && source.ends_with('/') ? source.substr(0, source.size() - 1) : source) + volume.substr(colon);
  }

  Result<> network() {
    for (const std::string& text : given_.list("expose")) {
      for (const std::string& port : TRY(exposed_ports(text))) body_["ExposedPorts"][port] = OrderedJson::object();
    }
    for (const std::string& text : given_.list("publish")) {
      for (const PublishedPort& port : TRY(published_ports(text))) {
        body_["ExposedPorts"][port.port] = OrderedJson::object();
        host_["PortBindings"][port.port].push_back({{"HostIp", port.host_ip}, {"HostPort", port.host_port}});
      }
    }
    flag(host_, "PublishAllPorts", "publish-all");
    list(host_, "Dns", "dns");
    list(host_, "DnsSearch", "dns-search");
    std::vector<std::string> options = given_.list("dns-option");
    for (const std::string& option : given_.list("dns-opt")) options.push_back(option);
    if (!options.empty()) host_["DnsOptions"] = options;
    list(host_, "ExtraHosts", "add-host");
    return endpoints();
  }

  Result<> endpoints() {
    std::vector<std::string> networks = given_.list("network");
    for (const std::string& name : given_.list("net")) networks.push_back(name);
    if (networks.empty()) networks.push_back("default");
    bool first = true;
    for (const std::string& text : networks) {
      OrderedJson endpoint = OrderedJson::object();
      const std::string name = TRY(network_choice(text, endpoint));
      const bool is_mode = name == "default" || name == "bridge" || name == "host" ||
                           name == "none" || name.starts_with("container:");
      if (first) {
        host_["NetworkMode"] = name;
        TRY(simple_endpoint(endpoint, name));
      }
      if (is_mode && networks.size() > 1 && name != "bridge") {
        return invalid("conflicting options: cannot attach both user-defined and non-user-defined network-modes");
      }
      if (!endpoint.empty() || networks.size() > 1) endpoints_[name] = endpoint.empty() ? OrderedJson::object() : std::move(endpoint);
      first = false;
    }
    return {};
  }

  // --ip, --network-alias and the like belong to the first network.
  Result<> simple_endpoint(OrderedJson& endpoint, const std::string& name) {
    std::vector<std::string> aliases = given_.list("network-alias");
    for (const std::string& alias : given_.list("net-alias")) aliases.push_back(alias);
    const bool user_defined = name != "default" && name != "bridge" && name != "host" && name != "none" && !name.starts_with("container:");
    if (!aliases.empty()) endpoint["Aliases"] = aliases;
    if (given_.given("ip")) endpoint["IPAMConfig"]["IPv4Address"] = given_.text("ip");
    if (given_.given("ip6")) endpoint["IPAMConfig"]["IPv6Address"] = given_.text("ip6");
    if (given_.given("link-local-ip")) endpoint["IPAMConfig"]["LinkLocalIPs"] = given_.list("link-local-ip");
    if (given_.given("mac-address")) endpoint["MacAddress"] = given_.text("mac-address");
    if (given_.given("link")) (user_defined ? endpoint["Links"] : host_["Links"]) = given_.list("link");
    return {};
  }

  Result<> isolation() {
    flag(host_, "Privileged", "privileged");
    list(host_, "CapAdd", "cap-add");
    list(host_, "CapDrop", "cap-drop");
    list(host_, "GroupAdd", "group-add");
    text(host_, "PidMode", "pid");
    text(host_, "IpcMode", "ipc");
    text(host_, "UTSMode", "uts");
    text(host_, "UsernsMode", "userns");
    text(host_, "CgroupnsMode", "cgroupns");
    text(host_, "CgroupParent", "cgroup-parent");
    text(host_, "Runtime", "runtime");
    text(host_, "Isolation", "isolation");
    flag(host_, "Init", "init");
    TRY(map(host_, "Sysctls", "sysctl"));
    TRY(map(host_, "Annotations", "annotation"));
    return security();
  }

  // A seccomp profile is sent by its content: the file is the client's.
  Result<> security() {
    for (const std::string& option : given_.list("security-opt")) {
      const size_t at = option.find_first_of("=:");
      const std::string name = option.substr(0, at);
      const std::string value = at == std::string::npos ? "" : option.substr(at + 1);
      if (at == std::string::npos && name != "no-new-privileges") return invalid("Invalid --security-opt: " + gantry::quoted(option));
      if (name == "systempaths" && value == "unconfined") {
        host_["MaskedPaths"] = OrderedJson::array();
        host_["ReadonlyPaths"] = OrderedJson::array();
        continue;
      }
      if (name != "seccomp" || value == "unconfined" || value == "builtin") {
        host_["SecurityOpt"].push_back(option);
        continue;
      }
      const std::string profile = TRY(read_file(value, 4 << 20).within("opening seccomp profile (" + value + ") failed"));
      host_["SecurityOpt"].push_back("seccomp=" + profile);
    }
    return {};
  }

  Result<> resources() {
    TRY(size(host_, "Memory", "memory"));
    TRY(size(host_, "MemoryReservation", "memory-reservation"));
    if (given_.text("memory-swap") == "-1") {
      host_["MemorySwap"] = -1;
    } else {
      TRY(size(host_, "MemorySwap", "memory-swap"));
    }
    number(host_, "MemorySwappiness", "memory-swappiness");
    flag(host_, "OomKillDisable", "oom-kill-disable");
    number(host_, "OomScoreAdj", "oom-score-adj");
    number(host_, "PidsLimit", "pids-limit");
    number(host_, "CpuShares", "cpu-shares");
    number(host_, "CpuPeriod", "cpu-period");
    number(host_, "CpuQuota", "cpu-quota");
    number(host_, "CpuRealtimePeriod", "cpu-rt-period");
    number(host_, "CpuRealtimeRuntime", "cpu-rt-runtime");
    text(host_, "CpusetCpus", "cpuset-cpus");
    text(host_, "CpusetMems", "cpuset-mems");
    if (given_.given("cpus")) {
      const std::string text = given_.text("cpus");
      char* end = nullptr;
      const double value = std::strtod(text.c_str(), &end);
      if (text.empty() || *end != '\0' || !(value >= 0) || value > 1e6) return invalid("invalid value for --cpus: " + gantry::quoted(text));
      host_["NanoCpus"] = std::llround(value * 1e9);
    }
    for (const std::string& item : given_.list("ulimit")) {
      const NamedLimit limit = TRY(parse_limit(item));
      host_["Ulimits"].push_back({{"Name", limit.name}, {"Hard", limit.hard}, {"Soft", limit.soft}});
    }
    for (const std::string& item : given_.list("device")) TRY(device(item));
    list(host_, "DeviceCgroupRules", "device-cgroup-rule");
    if (given_.given("gpus")) host_["DeviceRequests"].push_back(TRY(gpu_request(given_.text("gpus"))));
    return {};
  }

  Result<> device(const std::string& item) {
    // "vendor.com/class=name": looked up by CDI.
    const size_t slash = item.find('/');
    if (!item.starts_with('/') && slash != std::string::npos && item.find('=', slash) != std::string::npos) {
      OrderedJson* request = nullptr;
      for (OrderedJson& other : host_["DeviceRequests"]) {
        if (other["Driver"] == "cdi") request = &other;
      }
      if (request == nullptr) {
        host_["DeviceRequests"].push_back({{"Driver", "cdi"}, {"DeviceIDs", OrderedJson::array()}});
        request = &host_["DeviceRequests"].back();
      }
      (*request)["DeviceIDs"].push_back(item);
      return {};
    }
    const std::vector<std::string> parts = split(item, ':');
    if (parts.size() > 3 || parts[0].empty()) return invalid("invalid device specification: " + item);
    std::string path = parts[0], permissions = "rwm";
    const auto is_mode = [](const std::string& text) {
      return !text.empty() && text.find_first_not_of("rwm") == std::string::npos;
    };
    if (parts.size() == 2 && is_mode(parts[1])) permissions = parts[1];
    else if (parts.size() >= 2) path = parts[1];
    if (parts.size() == 3) {
      if (!is_mode(parts[2])) return invalid("invalid device specification: " + item);
      permissions = parts[2];
    }
    host_["Devices"].push_back({{"PathOnHost", parts[0]}, {"PathInContainer", path}, {"CgroupPermissions", permissions}});
    return {};
  }

  // "all", "2", "device=0,1", "count=2,capabilities=utility,driver=nvidia": fields of a CSV line.
  static Result<OrderedJson> gpu_request(const std::string& text) {
    OrderedJson request = {{"Driver", ""}, {"Count", 0}};
    std::vector<std::string> capabilities = {"gpu"};
    OrderedJson ids = OrderedJson::array();
    bool in_ids = false;
    bool counted = false;
    for (const std::string& field : csv_fields(text)) {
      const auto [key, value] = key_value(field);
      const bool bare = field.find('=') == std::string::npos;
      if (bare && in_ids) {
        ids.push_back(field);
        continue;
      }
      in_ids = key == "device";
      if (key == "device") {
        for (const std::string& id : split(value, ',')) ids.push_back(id);
      } else if (key == "driver") {
        request["Driver"] = value;
      } else if (key == "capabilities") {
        for (const std::string& name : split(value, ',')) capabilities.push_back(name);
      } else if (bare || key == "count") {
        const std::string& count = bare ? key : value;
        const auto number = parse_unsigned(count);
        if (count != "all" && !number) return invalid("count (" + count + ") must be an integer or \"all\"");
        request["Count"] = count == "all" ? -1 : static_cast<int64_t>(*number);
        counted = true;
      } else if (key == "options") {
        for (const std::string& option : split(value, ',')) request["Options"][key_value(option).first] = key_value(option).second;
      } else {
        return invalid("unexpected key '" + key + "' in '" + field + "'");
      }
    }
    if (!ids.empty() && counted) return invalid("cannot set both Count and DeviceIDs on device request");
    if (ids.empty() && !counted) request["Count"] = 1;
    if (!ids.empty()) request["DeviceIDs"] = std::move(ids);
    request["Capabilities"] = OrderedJson::array({capabilities});
    return request;
  }

  Result<> block_io() {
    number(host_, "BlkioWeight", "blkio-weight");
    const auto limits = [&](const char* flag, const char* member, const char* value, bool bytes) -> Result<> {
      for (const std::string& item : given_.list(flag)) {
        const size_t colon = item.rfind(':');
        if (colon == std::string::npos || colon == 0 || item[0] != '/') return invalid("bad format for device path: " + item);
        const std::string text = item.substr(colon + 1);
        const auto number = bytes ? std::optional(static_cast<uint64_t>(TRY(memory_size(text).within(std::string("--") + flag)))) : parse_unsigned(text);
        if (!number) return invalid("invalid rate for device: " + item + ". Rate must be a positive integer");
        host_[member].push_back({{"Path", item.substr(0, colon)}, {value, *number}});
      }
      return {};
    };
    TRY(limits("blkio-weight-device", "BlkioWeightDevice", "Weight", false));
    TRY(limits("device-read-bps", "BlkioDeviceReadBps", "Rate", true));
    TRY(limits("device-write-bps", "BlkioDeviceWriteBps", "Rate", true));
    TRY(limits("device-read-iops", "BlkioDeviceReadIOps", "Rate", false));
    return limits("device-write-iops", "BlkioDeviceWriteIOps", "Rate", false);
  }

  Result<> policies() {
    if (given_.given("restart")) {
      const auto [name, count] = key_value(given_.text("restart"), ':');
      OrderedJson policy = {{"Name", name}};
      if (!count.empty()) {
        const auto number = parse_unsigned(count);
        if (!number) return invalid("invalid restart policy format: maximum retry count must be an integer");
        policy["MaximumRetryCount"] = *number;
      }
      host_["RestartPolicy"] = std::move(policy);
    }
    flag(host_, "AutoRemove", "rm");
    if (given_.on("rm") && given_.given("restart") && given_.text("restart") != "no") {
      return invalid("conflicting options: cannot specify both --restart and --rm");
    }
    if (given_.given("log-driver")) host_["LogConfig"]["Type"] = given_.text("log-driver");
    if (given_.given("log-opt")) TRY(map(host_["LogConfig"], "Config", "log-opt"));
    return {};
  }

  const Arguments& given_;
  const std::map<std::string, std::string>& environment_;
  const Attachment attach_;
  OrderedJson body_ = OrderedJson::object();
  OrderedJson host_ = OrderedJson::object();
  OrderedJson endpoints_ = OrderedJson::object();
};

}  // namespace

Result<ContainerRequest> container_request(const Arguments& arguments,
                                           const std::map<std::string, std::string>& environment, Attachment attach) {
  return Builder(arguments, environment, attach).build();
}

}  // namespace gantry::cli
