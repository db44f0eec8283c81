#include "net/connect_redirect.h"

#include <arpa/inet.h>
#include <linux/magic.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/vfs.h>

#include <cerrno>
#include <cstring>
#include <string>
#include <utility>

#include "base/log.h"

namespace gantry::net {
namespace {

constexpr uint32_t kMostTargets = 1u << 14;
// A socket that falls out of the table tells the container's address as its peer from then on, and works.
constexpr uint32_t kMostConnected = 1u << 13;

ConnectPlace place(const IpAddress& address, uint16_t port) {
  ConnectPlace made{.port = htons(port)};
  std::memcpy(&made.address, address.bytes(), sizeof made.address);
  return made;
}

bool is_loopback(const IpAddress& address) { return !address.is_v6() && address.bytes()[0] == IN_LOOPBACKNET; }

// The root of the v2 tree, where systemd and its like mount it: alone, or beside the older trees.
Result<Fd> open_cgroup_root() {
  for (const char* path : {"/sys/fs/cgroup", "/sys/fs/cgroup/unified"}) {
    struct statfs info{};
    if (::statfs(path, &info) == 0 && info.f_type == CGROUP2_SUPER_MAGIC) return open_file(path, O_RDONLY | O_DIRECTORY);
  }
  return not_found("no v2 tree of cgroups is mounted");
}

Result<uint64_t> own_netns_cookie() {
  Fd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  uint64_t cookie = 0;
  socklen_t size = sizeof cookie;
  if (!socket || ::getsockopt(socket.get(), SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &size) != 0) {
    return Error::from_errno(errno, "getsockopt", "SO_NETNS_COOKIE");
  }
  return cookie;
}

}  // namespace

std::map<ConnectPlace, ConnectPlace> connect_targets(const EndpointConfig& endpoint) {
  std::map<ConnectPlace, ConnectPlace> targets;
  if (!endpoint.publishes4 || !endpoint.address4) return targets;
  for (const PortForward& port : endpoint.ports) {
    if (port.protocol != IPPROTO_TCP || port.host_port == 0) continue;
    IpAddress host;  // 0.0.0.0
    if (!port.host_ip.empty()) {
      const auto parsed = IpAddress::parse(port.host_ip);
      if (!parsed.ok()) continue;  // the firewall tells
      host = *parsed;
    }
    if (host != IpAddress() && !is_loopback(host)) continue;
    targets.insert_or_assign(place(host, port.host_port), place(*endpoint.address4, port.container_port));
  }
  return targets;
}

Result<ConnectRedirect::Kernel> ConnectRedirect::bring_in() {
  const Fd cgroup = TRY(open_cgroup_root());
  const uint64_t netns = TRY(own_netns_cookie());
  Kernel kernel;
  kernel.targets = TRY(make_map({.key_size = sizeof(ConnectPlace),
                                 .value_size = sizeof(ConnectPlace),
                                 .max_entries = kMostTargets,
                                 .flags = BPF_F_NO_PREALLOC}));
  kernel.connected = TRY(make_map({.type = BPF_MAP_TYPE_LRU_HASH,
                                   .key_size = sizeof(uint64_t),
                                   .value_size = sizeof(LedSocket),
                                   .max_entries = kMostConnected}));
  // The first of the programs is the one that leads elsewhere: it comes last, when the others know how to tell.
  auto programs = connect_programs({.targets = kernel.targets.get(), .connected = kernel.connected.get()}, netns);
  for (auto program = programs.rbegin(); program != programs.rend(); ++program) {
    const Fd loaded = TRY(load_program(*program));
    kernel.links.push_back(TRY(link_to_cgroup(loaded.get(), cgroup.get(), program->attach_type)));
  }
  return kernel;
}

bool ConnectRedirect::is_ready() {
  if (tried_) return !kernel_.links.empty();
  tried_ = true;
  auto kernel = bring_in();
  if (kernel.ok()) {
    kernel_ = *std::move(kernel);
  } else {
    log_info("programs of this host reach published ports by translation alone, which is slower: " +
             kernel.error().message());
  }
  return !kernel_.links.empty();
}

// Where an entry is missing, translation serves.
void ConnectRedirect::put(const ConnectPlace& from, const ConnectPlace& to) {
  if (auto done = put_entry(kernel_.targets.get(), &from, &to); !done.ok()) {
    log_warning("published port " + std::to_string(ntohs(static_cast<uint16_t>(from.port))) + ": " +
                done.error().message());
    erase(from);  // what it led to before
    return;
  }
  targets_.insert_or_assign(from, to);
}

void ConnectRedirect::erase(const ConnectPlace& from) {
  auto done = erase_entry(kernel_.targets.get(), &from);
  if (!done.ok()) log_warning(done.error().message());
  targets_.erase(from);
}

void ConnectRedirect::publish(const EndpointConfig& endpoint) {
  const auto wanted = connect_targets(endpoint);
  if (wanted.empty()) return;
  std::lock_guard lock(mutex_);
  if (!is_ready()) return;
  for (const auto& [from, to] : wanted) put(from, to);
}

void ConnectRedirect::withdraw(const EndpointConfig& endpoint) {
  std::lock_guard lock(mutex_);
  for (const auto& [from, to] : connect_targets(endpoint)) {
    const auto known = targets_.find(from);
    if (known != targets_.end() && known->second == to) erase(from);
  }
}

void ConnectRedirect::replace_all(const std::vector<EndpointConfig>& endpoints) {
  std::map<ConnectPlace, ConnectPlace> wanted;
  for (const EndpointConfig& endpoint : endpoints) wanted.merge(connect_targets(endpoint));
  std::lock_guard lock(mutex_);
  if (wanted.empty() && targets_.empty()) return;
  if (!is_ready()) return;
  const auto before = targets_;
  for (const auto& [from, to] : before) {
    if (!wanted.contains(from)) erase(from);
  }
  for (const auto& [from, to] : wanted) put(from, to);
}

}  // namespace gantry::net
