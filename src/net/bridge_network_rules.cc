// What the network stack needs of the host before there is any network: rules, or doing without them, and forwarding.
#include <algorithm>
#include <cerrno>
#include <iterator>

#include "base/log.h"
#include "net/bridge_network.h"
#include "net/forwarding.h"

namespace gantry::net {
namespace {

// The kernel knows no such socket, table or expression, or lets us have none of it.
bool means_no_nftables(const Error& error) {
  constexpr int kReasons[] = {EPROTONOSUPPORT, EAFNOSUPPORT, EOPNOTSUPP, ENOPROTOOPT, ENOSYS, EINVAL, ENOENT, EPERM, EACCES};
  return std::find(std::begin(kReasons), std::end(kReasons), error.errno_value()) != std::end(kReasons);
}

}  // namespace

Result<> BridgeNetwork::set_up() {
  auto rules = set_up_rules();
  if (!rules.ok() && !means_no_nftables(rules.error())) return rules;
  if (!rules.ok()) do_without_rules(rules.error());
  TRY(take_back_leaving());
  if (!watch_) {
    watch_ = std::make_unique<ChangeWatch>(
        ChangeWatch::Options{.table = translates_ ? options_.table_name : "", .group = group_}, [this] { repair(); });
  }
  return {};
}

// Forwarding is left as it is: without rules, to turn it on would make the host a router for everybody.
void BridgeNetwork::do_without_rules(const Error& reason) {
  translates_ = false;
  firewall_.do_without();
  foreign_.do_without();
  ports_.carry_everything();
  auto forwards = is_forwarding(false);
  const bool open = !forwards.ok() || *forwards;
  log_warning("nftables cannot be used (" + reason.message() +
              "): published ports are carried by a process, and containers see clients with the bridge's address; "
              "containers reach nothing outside unless others route or translate their addresses; " +
              (open ? "networks are not kept apart from each other and from outside, because the host forwards packets"
                    : "networks are kept apart only as long as the host forwards no packets (net.ipv4.ip_forward=0)") +
              "; in containers port 53 of 127.0.0.11 is taken by the name service");
}

Result<> BridgeNetwork::set_up_rules() {
  // Before the table is made anew: it holds what was decided when forwarding was turned on.
  bool closed4 = TRY(firewall_.forbids_foreign_forwarding(false));
  bool closed6 = TRY(firewall_.forbids_foreign_forwarding(true));
  const auto listening = TRY(firewall_.listening());
  TRY(firewall_.set_up());
  if (closed4) TRY(firewall_.forbid_foreign_forwarding(false));
  if (closed6) TRY(firewall_.forbid_foreign_forwarding(true));
  TRY(firewall_.note_listening(listening));
  auto allowed = allow_forwarding(false);
  // In a container without a writable /proc/sys; containers there can still talk to each other.
  if (!allowed.ok()) {
    log_warning("containers will not reach other networks: " + allowed.error().message() +
                "; set net.ipv4.ip_forward=1");
  }
  return {};
}

Result<> BridgeNetwork::allow_forwarding(bool ipv6) {
  if (TRY(is_forwarding(ipv6))) return {};
  TRY(firewall_.forbid_foreign_forwarding(ipv6));
  if (ipv6) TRY(firewall_.note_listening(keep_router_advertisements()));
  TRY(set_forwarding(ipv6, true));
  log_info(std::string(ipv6 ? "IPv6" : "IPv4") +
           " forwarding was off and is on now; what is forwarded between interfaces that are not Gantry's is dropped");
  return {};
}

// Forwarding that we turned on ends with the last Gantry, unless another program's bridges may have come to need it.
Result<> BridgeNetwork::stop_forwarding(bool ipv6) {
  if (!TRY(firewall_.forbids_foreign_forwarding(ipv6)) || !TRY(firewall_.is_only_gantry())) return {};
  auto route = TRY(route_.take());
  for (const Link& link : TRY(list_links(route.get()))) {
    if (link.kind == "bridge" && link.group != group_) return {};
  }
  TRY(set_forwarding(ipv6, false));
  if (ipv6) forget_router_advertisements(TRY(firewall_.listening()));
  return {};
}

Result<> BridgeNetwork::tear_down() {
  watch_.reset();
  remover_.settle();  // or our own last bridge would seem to be somebody's who needs forwarding
  TRY(stop_forwarding(false));
  TRY(stop_forwarding(true));
  return firewall_.tear_down();
}

}  // namespace gantry::net
