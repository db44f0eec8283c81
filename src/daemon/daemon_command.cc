#include "daemon/daemon_command.h"

#include <fcntl.h>

#include <iostream>

#include "base/log.h"
#include "base/strings.h"
#include "compose/values.h"
#include "daemon/daemon.h"

namespace gantry::daemon {
namespace {

constexpr const char* kUsage =
    "Usage: gantry daemon [OPTIONS]\n"
    "\n"
    "Runs the daemon that owns the containers, networks, volumes, images and projects of one data root.\n"
    "Commands start it by themselves when it is needed.\n"
    "\n"
    "Options:\n"
    "  --data-root DIR              where everything is kept (default /var/lib/gantry)\n"
    "  --run-root DIR               sockets and other things that a reboot may take (default /run/gantry)\n"
    "  --host ADDRESS               where the API listens: unix://PATH (default unix://RUN_ROOT/gantry.sock),\n"
    "                               tcp://HOST:PORT with --tlsverify; repeatable\n"
    "  --tlsverify                  serve tcp:// to clients that show a certificate of --tlscacert\n"
    "  --tlscacert FILE             who signs the clients' certificates (default DATA_ROOT/certs/ca.pem;\n"
    "                               `gantry certs init` makes all of them)\n"
    "  --tlscert FILE               the daemon's certificate (default DATA_ROOT/certs/server-cert.pem)\n"
    "  --tlskey FILE                its key (default DATA_ROOT/certs/server-key.pem)\n"
    "  --log-file FILE              where the daemon's own log goes (default: standard error)\n"
    "  --log-level LEVEL            debug, info, warning or error (default info)\n"
    "  --address-pool BASE/PREFIX:SIZE\n"
    "                               where networks take their subnets from, e.g. 10.210.0.0/16:24; repeatable\n"
    "  --insecure-registry HOST[:PORT]|NETWORK\n"
    "                               registry to talk to without verified TLS; repeatable\n"
    "  --registry-mirror URL        asked before Docker Hub; repeatable\n"
    "  --registry-certs DIR         holds HOST:PORT/*.crt, instead of /etc/gantry/certs.d and /etc/docker/certs.d\n"
    "  --build-cache-size SIZE      how much of the build cache is kept, e.g. 20gb; what was used least recently goes\n"
    "                               first (default: a tenth of the file system)\n"
    "  --ready-fd N                 write \"ready\" to this descriptor when the API accepts connections\n"
    "  -h, --help                   this text\n";

struct Flags {
  std::string data_root;
  std::string run_root;
  std::vector<std::string> hosts;
  std::string tls_ca;
  std::string tls_cert;
  std::string tls_key;
  bool tls_verify = false;
  std::string log_file;
  std::string log_level = "info";
  std::vector<std::string> address_pools;
  std::vector<std::string> insecure_registries;
  std::vector<std::string> registry_mirrors;
  std::vector<std::string> registry_certificates;
  std::string ready_fd;
  std::string build_cache_size;
  bool help = false;
};

Result<Flags> parse(std::span<const std::string> args) {
  Flags flags;
  const std::vector<std::pair<std::string, std::string*>> known = {
      {"--data-root", &flags.data_root}, {"--run-root", &flags.run_root},
      {"--tlscacert", &flags.tls_ca},    {"--tlscert", &flags.tls_cert},    {"--tlskey", &flags.tls_key},
      {"--log-file", &flags.log_file},   {"--log-level", &flags.log_level}, {"--ready-fd", &flags.ready_fd},
      {"--build-cache-size", &flags.build_cache_size}};
  const std::vector<std::pair<std::string, std::vector<std::string>*>> lists = {
      {"--address-pool", &flags.address_pools},
      {"--insecure-registry", &flags.insecure_registries},
      {"--registry-mirror", &flags.registry_mirrors},
      {"--registry-certs", &flags.registry_certificates}};
  for (size_t i = 0; i < args.size(); ++i) {
    if (args[i] == "-h" || args[i] == "--help") {
      flags.help = true;
      continue;
    }
    if (args[i] == "--tlsverify" || args[i] == "--tlsverify=true") {
      flags.tls_verify = true;
      continue;
    }
    const size_t equals = args[i].find('=');
    const std::string name = args[i].substr(0, equals);
    std::string* target = nullptr;
    for (const auto& [flag, value] : known) {
      if (flag == name) target = value;
    }
    std::vector<std::string>* list = nullptr;
    for (const auto& [flag, values] : lists) {
      if (flag == name) list = values;
    }
    if (target == nullptr && list == nullptr && name != "--host" && name != "-H") {
      return invalid("unknown option " + gantry::quoted(args[i]));
    }
    std::string value;
    if (equals != std::string::npos) {
      value = args[i].substr(equals + 1);
    } else if (i + 1 < args.size()) {
      value = args[++i];
    } else {
      return invalid("option " + name + " needs a value");
    }
    if (list != nullptr) {
      list->push_back(value);
    } else if (name == "--host" || name == "-H") {
      flags.hosts.push_back(value);
    } else {
      *target = value;
    }
  }
  return flags;
}

Result<LogLevel> parse_level(const std::string& text) {
  if (text == "debug") return LogLevel::debug;
  if (text == "info") return LogLevel::info;
  if (text == "warning" || text == "warn") return LogLevel::warning;
  if (text == "error") return LogLevel::error;
  return invalid("--log-level " + gantry::quoted(text) + ": expected debug, info, warning or error");
}

Result<DaemonOptions> daemon_options(const Flags& flags) {
  DaemonOptions options{
      .roots = resolve_roots(flags.data_root, flags.run_root),
      .socket_path = {},
      .address_pools = flags.address_pools,
      .tcp_addresses = {},
      .tls = {},
      .registries = {}};
  options.registries.insecure = flags.insecure_registries;
  options.registries.mirrors = flags.registry_mirrors;
  if (!flags.registry_certificates.empty()) {
    options.registries.certificates.assign(flags.registry_certificates.begin(), flags.registry_certificates.end());
  }
  TRY(options.registries.check());
  options.socket_path = options.roots.socket();
  bool has_socket = false;
  for (const std::string& host : flags.hosts) {
    if (host.starts_with("unix:///")) {
      if (has_socket) return unsupported("--host " + gantry::quoted(host) + ": there can be one unix socket only");
      options.socket_path = host.substr(7);
      has_socket = true;
    } else if (host.starts_with("tcp://")) {
      options.tcp_addresses.push_back(host.substr(6));
    } else {
      return unsupported("--host " + gantry::quoted(host) + ": expected unix:///PATH or tcp://HOST:PORT");
    }
  }
  if (!options.tcp_addresses.empty() && !flags.tls_verify) {
    return invalid("--host " + gantry::quoted(flags.hosts.back()) +
                   " without --tlsverify: whoever reaches the API owns this machine, so it is served on TCP only to clients with "
                   "a certificate; `gantry certs init` makes certificates");
  }
  const std::filesystem::path certs = options.roots.data / "certs";
  options.tls = {.ca = flags.tls_ca.empty() ? (certs / "ca.pem").string() : flags.tls_ca,
                 .cert = flags.tls_cert.empty() ? (certs / "server-cert.pem").string() : flags.tls_cert,
                 .key = flags.tls_key.empty() ? (certs / "server-key.pem").string() : flags.tls_key};
  if (!flags.build_cache_size.empty()) {
    const int64_t size = TRY(compose::parse_bytes(flags.build_cache_size).within("--build-cache-size"));
    if (size < 0) return invalid("--build-cache-size " + flags.build_cache_size + " is negative");
    options.build_cache_bytes = static_cast<uint64_t>(size);
  }
  if (!flags.ready_fd.empty()) {
    const std::optional<uint64_t> fd = parse_unsigned(flags.ready_fd);
    if (!fd || *fd > 1024 || ::fcntl(static_cast<int>(*fd), F_SETFD, FD_CLOEXEC) != 0) {
      return invalid("--ready-fd " + gantry::quoted(flags.ready_fd) + " is no open descriptor");
    }
    options.ready_fd = static_cast<int>(*fd);
  }
  return options;
}

int complain(const Error& error, int status) {
  std::cerr << "gantry daemon: " << error.message() << '\n';
  return status;
}

}  // namespace

int daemon_main(std::span<const std::string> args) {
  const Result<Flags> flags = parse(args);
  if (!flags.ok()) return complain(flags.error(), 2);
  if (flags->help) {
    std::cout << kUsage;
    return 0;
  }
  const Result<LogLevel> level = parse_level(flags->log_level);
  if (!level.ok()) return complain(level.error(), 2);
  const Result<DaemonOptions> options = daemon_options(*flags);
  if (!options.ok()) return complain(options.error(), 2);
  set_log_level(*level);
  if (!flags->log_file.empty() && !log_to_file(flags->log_file)) {
    return complain(invalid("cannot open the log file " + gantry::quoted(flags->log_file)), 1);
  }
  const Result<> ended = run_daemon(*options);
  if (ended.ok()) return 0;
  if (!flags->log_file.empty()) log_error(ended.error().message());
  return complain(ended.error(), 1);
}

}  // namespace gantry::daemon
