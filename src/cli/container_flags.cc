#include <algorithm>

#include "cli/container_options.h"

namespace gantry::cli {
namespace {

using K = FlagKind;

constexpr Flag kOptionFlags[] = {
    {.name = "add-host", .kind = K::list, .value_name = "NAME:IP", .help = "Add a line to /etc/hosts"},
    {.name = "annotation", .kind = K::list, .value_name = "KEY=VALUE", .help = "Add an annotation"},
    {.name = "attach", .letter = 'a', .kind = K::list, .value_name = "STREAM", .help = "Attach to stdin, stdout or stderr"},
    {.name = "blkio-weight", .kind = K::number, .value_name = "N", .help = "Block I/O weight, 10 to 1000"},
    {.name = "blkio-weight-device", .kind = K::list, .value_name = "DEVICE:N", .help = "Block I/O weight of a device"},
    {.name = "cap-add", .kind = K::list, .value_name = "NAME", .help = "Add a capability"},
    {.name = "cap-drop", .kind = K::list, .value_name = "NAME", .help = "Drop a capability"},
    {.name = "cgroup-parent", .kind = K::text, .value_name = "PATH", .help = "Parent of the container's cgroup"},
    {.name = "cgroupns", .kind = K::text, .value_name = "MODE", .help = "Cgroup namespace: host or private"},
    {.name = "cidfile", .kind = K::text, .value_name = "FILE", .help = "Write the container's id to this file"},
    {.name = "cpu-period", .kind = K::number, .value_name = "US", .help = "CFS period in microseconds"},
    {.name = "cpu-quota", .kind = K::number, .value_name = "US", .help = "CFS quota in microseconds"},
    {.name = "cpu-rt-period", .kind = K::number, .value_name = "US", .help = "Real-time period in microseconds"},
    {.name = "cpu-rt-runtime", .kind = K::number, .value_name = "US", .help = "Real-time runtime in microseconds"},
    {.name = "cpu-shares", .letter = 'c', .kind = K::number, .value_name = "N", .help = "Relative share of the processors"},
    {.name = "cpus", .kind = K::text, .value_name = "N", .help = "Number of processors, e.g. 1.5"},
    {.name = "cpuset-cpus", .kind = K::text, .value_name = "LIST", .help = "Processors to use, e.g. 0-2,4"},
    {.name = "cpuset-mems", .kind = K::text, .value_name = "LIST", .help = "Memory nodes to use"},
    {.name = "device", .kind = K::list, .value_name = "HOST[:PATH[:rwm]]", .help = "Add a device, or VENDOR/CLASS=NAME"},
    {.name = "device-cgroup-rule", .kind = K::list, .value_name = "RULE", .help = "Allow devices, e.g. c 10:200 rwm"},
    {.name = "device-read-bps", .kind = K::list, .value_name = "DEVICE:RATE", .help = "Limit bytes read a second"},
    {.name = "device-read-iops", .kind = K::list, .value_name = "DEVICE:N", .help = "Limit reads a second"},
    {.name = "device-write-bps", .kind = K::list, .value_name = "DEVICE:RATE", .help = "Limit bytes written a second"},
    {.name = "device-write-iops", .kind = K::list, .value_name = "DEVICE:N", .help = "Limit writes a second"},
    {.name = "disable-content-trust", .help = "", .hidden = true},
    {.name = "dns", .kind = K::list, .value_name = "IP", .help = "Name server"},
    {.name = "dns-opt", .kind = K::list, .value_name = "OPTION", .help = "", .hidden = true},
    {.name = "dns-option", .kind = K::list, .value_name = "OPTION", .help = "Option of resolv.conf"},
    {.name = "dns-search", .kind = K::list, .value_name = "DOMAIN", .help = "Search domain"},
    {.name = "domainname", .kind = K::text, .value_name = "NAME", .help = "NIS domain name"},
    {.name = "entrypoint", .kind = K::text, .value_name = "COMMAND", .help = "Instead of the image's entrypoint"},
    {.name = "env", .letter = 'e', .kind = K::list, .value_name = "KEY=VALUE", .help = "Set an environment variable"},
    {.name = "env-file", .kind = K::list, .value_name = "FILE", .help = "Read environment variables from a file"},
    {.name = "expose", .kind = K::list, .value_name = "PORT", .help = "Expose a port or a range of ports"},
    {.name = "gpus", .kind = K::text, .value_name = "REQUEST", .help = "GPUs: all, a number, or device=ID,…"},
    {.name = "group-add", .kind = K::list, .value_name = "GROUP", .help = "Additional group"},
    {.name = "health-cmd", .kind = K::text, .value_name = "COMMAND", .help = "Command that checks the health"},
    {.name = "health-interval", .kind = K::text, .value_name = "TIME", .help = "Time between checks"},
    {.name = "health-retries", .kind = K::number, .value_name = "N", .help = "Failures in a row that mean unhealthy"},
    {.name = "health-start-interval", .kind = K::text, .value_name = "TIME", .help = "Time between checks while starting"},
    {.name = "health-start-period", .kind = K::text, .value_name = "TIME", .help = "Time in which failures don't count"},
    {.name = "health-timeout", .kind = K::text, .value_name = "TIME", .help = "Longest time of a check"},
    {.name = "hostname", .letter = 'h', .kind = K::text, .value_name = "NAME", .help = "Host name of the container"},
    {.name = "init", .help = "Run a small init that forwards signals and reaps processes"},
    {.name = "interactive", .letter = 'i', .help = "Keep standard input open"},
    {.name = "ip", .kind = K::text, .value_name = "IP", .help = "IPv4 address"},
    {.name = "ip6", .kind = K::text, .value_name = "IP", .help = "IPv6 address"},
    {.name = "ipc", .kind = K::text, .value_name = "MODE", .help = "IPC: none, private, shareable, host, container:NAME"},
    {.name = "isolation", .kind = K::text, .value_name = "KIND", .help = "Only default"},
    {.name = "kernel-memory", .kind = K::text, .value_name = "SIZE", .help = "",
     .refused = "kernels count it in --memory since Linux 5.4"},
    {.name = "label", .letter = 'l', .kind = K::list, .value_name = "KEY=VALUE", .help = "Set a label"},
    {.name = "label-file", .kind = K::list, .value_name = "FILE", .help = "Read labels from a file"},
    {.name = "link", .kind = K::list, .value_name = "NAME[:ALIAS]", .help = "Name another container in /etc/hosts"},
    {.name = "link-local-ip", .kind = K::list, .value_name = "IP", .help = "Link-local addresses"},
    {.name = "log-driver", .kind = K::text, .value_name = "NAME", .help = "json-file, local or none"},
    {.name = "log-opt", .kind = K::list, .value_name = "KEY=VALUE", .help = "Option of the log driver"},
    {.name = "mac-address", .kind = K::text, .value_name = "MAC", .help = "MAC address"},
    {.name = "memory", .letter = 'm', .kind = K::text, .value_name = "SIZE", .help = "Memory limit"},
    {.name = "memory-reservation", .kind = K::text, .value_name = "SIZE", .help = "Memory soft limit"},
    {.name = "memory-swap", .kind = K::text, .value_name = "SIZE", .help = "Memory and swap together; -1: no limit of swap"},
    {.name = "memory-swappiness", .kind = K::number, .value_name = "N", .help = "0 to 100"},
    {.name = "mount", .kind = K::list, .value_name = "KEY=VALUE,…", .help = "Mount a bind, volume or tmpfs"},
    {.name = "name", .kind = K::text, .value_name = "NAME", .help = "Name of the container"},
    {.name = "net", .kind = K::list, .value_name = "NETWORK", .help = "", .hidden = true},
    {.name = "net-alias", .kind = K::list, .value_name = "NAME", .help = "", .hidden = true},
    {.name = "network", .kind = K::list, .value_name = "NETWORK", .help = "Network to join"},
    {.name = "network-alias", .kind = K::list, .value_name = "NAME", .help = "Name in the network"},
    {.name = "no-healthcheck", .help = "No health check, even if the image has one"},
    {.name = "oom-kill-disable", .help = "Don't kill when the memory limit is reached (cgroup v1)"},
    {.name = "oom-score-adj", .kind = K::number, .value_name = "N", .help = "-1000 to 1000"},
    {.name = "pid", .kind = K::text, .value_name = "MODE", .help = "PID namespace: host, container:NAME"},
    {.name = "pids-limit", .kind = K::number, .value_name = "N", .help = "Most processes; -1: no limit"},
    {.name = "platform", .kind = K::text, .value_name = "OS/ARCH", .help = "Platform of the image"},
    {.name = "privileged", .help = "All capabilities, all devices, no filters"},
    {.name = "publish", .letter = 'p', .kind = K::list, .value_name = "[IP:][HOST:]PORT[/PROTO]", .help = "Publish a port"},
    {.name = "publish-all", .letter = 'P', .help = "Publish all exposed ports"},
    {.name = "pull", .kind = K::text, .value_name = "WHEN", .help = "always, missing (standard) or never"},
    {.name = "quiet", .letter = 'q', .help = "Don't show the pull's progress"},
    {.name = "read-only", .help = "Read-only root filesystem"},
    {.name = "restart", .kind = K::text, .value_name = "POLICY", .help = "no, always, unless-stopped or on-failure[:N]"},
    {.name = "rm", .help = "Remove the container when it exits"},
    {.name = "runtime", .kind = K::text, .value_name = "NAME", .help = "gantry or runc: there is one runtime"},
    {.name = "security-opt", .kind = K::list, .value_name = "OPTION", .help = "seccomp=FILE, no-new-privileges, …"},
    {.name = "shm-size", .kind = K::text, .value_name = "SIZE", .help = "Size of /dev/shm"},
    {.name = "stop-signal", .kind = K::text, .value_name = "SIGNAL", .help = "Signal that stops the container"},
    {.name = "stop-timeout", .kind = K::number, .value_name = "SECONDS", .help = "Time to stop before it is killed"},
    {.name = "storage-opt", .kind = K::list, .value_name = "KEY=VALUE", .help = "Option of the storage"},
    {.name = "sysctl", .kind = K::list, .value_name = "NAME=VALUE", .help = "Set a kernel setting of the container"},
    {.name = "tmpfs", .kind = K::list, .value_name = "PATH[:OPTIONS]", .help = "Mount a tmpfs"},
    {.name = "tty", .letter = 't', .help = "With a terminal"},
    {.name = "ulimit", .kind = K::list, .value_name = "NAME=SOFT[:HARD]", .help = "Set a limit"},
    {.name = "use-api-socket", .help = "", .refused = "mount the socket with --volume"},
    {.name = "user", .letter = 'u', .kind = K::text, .value_name = "USER[:GROUP]", .help = "Run as this user"},
    {.name = "userns", .kind = K::text, .value_name = "MODE", .help = "User namespace: host"},
    {.name = "uts", .kind = K::text, .value_name = "MODE", .help = "UTS namespace: host"},
    {.name = "volume", .letter = 'v', .kind = K::list, .value_name = "SOURCE:TARGET[:OPTIONS]", .help = "Mount a directory or volume"},
    {.name = "volume-driver", .kind = K::text, .value_name = "NAME", .help = "Driver of volumes"},
    {.name = "volumes-from", .kind = K::list, .value_name = "CONTAINER[:ro]", .help = "Mount what another container has"},
    {.name = "workdir", .letter = 'w', .kind = K::text, .value_name = "DIR", .help = "Run in this directory"},
};

constexpr Flag kRunOnly[] = {
    {.name = "detach", .letter = 'd', .help = "Run in the background and print the container's id"},
    {.name = "detach-keys", .kind = K::text, .value_name = "KEYS", .help = "Keys that detach (ctrl-p,ctrl-q)"},
    {.name = "sig-proxy", .help = "Pass signals on to the container (default true)"},
};

constexpr std::array<Flag, kRunFlagCount> with_run_flags() {
  std::array<Flag, kRunFlagCount> flags;
  static_assert(std::size(kOptionFlags) + std::size(kRunOnly) == kRunFlagCount);
  std::copy(std::begin(kRunOnly), std::end(kRunOnly), std::copy(std::begin(kOptionFlags), std::end(kOptionFlags), flags.begin()));
  return flags;
}

}  // namespace

constinit const std::array<Flag, kContainerFlagCount> kContainerFlags = std::to_array(kOptionFlags);
constinit const std::array<Flag, kRunFlagCount> kRunFlags = with_run_flags();

}  // namespace gantry::cli
