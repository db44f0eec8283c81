#include "net/firewall_rules.h"

#include <linux/if.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/rtnetlink.h>

#include <cstddef>

#include "base/strings.h"
#include "net/firewall.h"

namespace gantry::net {
namespace {

// Priorities as the nft program names them: raw, dstnat, filter, srcnat.
constexpr int kRaw = -300;
constexpr int kDestinationNat = -100;
constexpr int kFilter = 0;
constexpr int kSourceNat = 100;

// Where things are in headers: struct iphdr, ip6_hdr; every transport protocol with ports has them first.
constexpr unsigned kSource4 = 12;
constexpr unsigned kDestination4 = 16;
constexpr unsigned kSource6 = 8;
constexpr unsigned kDestination6 = 24;

constexpr unsigned kInterfaceRegisters = IFNAMSIZ / 4;

std::string host_order(uint32_t value) { return std::string(reinterpret_cast<const char*>(&value), sizeof value); }
std::string interface(std::string_view name) { return padded_key({NftType::interface_name}, {std::string(name)}); }
const std::string kNoBits = host_order(0);

NftRule for_family(NftFamily family) {
  NftRule rule;
  rule.load_meta(NFT_META_NFPROTO, 0).equals(0, std::string(1, static_cast<char>(family)));
  return rule;
}

NftRule if_interface(unsigned meta_key, const NftSet& set) {
  NftRule rule;
  rule.load_meta(meta_key, 0).in_set(0, set.name);
  return rule;
}

NftRule if_interface_and(unsigned meta_key, unsigned other_key, const NftSet& set, NftRule rule = {}) {
  rule.load_meta(meta_key, 0).load_meta(other_key, kInterfaceRegisters).in_set(0, set.name);
  return rule;
}

NftRule if_translated() {
  NftRule rule;
  rule.load_ct(NFT_CT_STATUS, 0).mask(0, host_order(IPS_DST_NAT)).differs(0, kNoBits);
  return rule;
}

NftRule if_known_flow() {
  // NF_CT_STATE_BIT: the states are bits, one above their number.
  constexpr uint32_t known = 1u << (IP_CT_ESTABLISHED + 1) | 1u << (IP_CT_RELATED + 1);
  NftRule rule;
  rule.load_ct(NFT_CT_STATE, 0).mask(0, host_order(known)).differs(0, kNoBits);
  return rule;
}

NftRule not_from_gantry() {
  NftRule rule;
  rule.load_meta(NFT_META_IIFGROUP, 0).mask(0, host_order(kGroupMask)).differs(0, host_order(kGroupOfGantry));
  return rule;
}

// Of a routed network: a published port at the container's own address.
NftRule to_open_port(NftFamily family, const NftSet& set) {
  NftRule rule = for_family(family);
  const bool v4 = family == NftFamily::ipv4;
  const unsigned address_registers = v4 ? 1 : 4;
  rule.load_network_header(v4 ? kDestination4 : kDestination6, address_registers * 4, 0);
  rule.load_meta(NFT_META_L4PROTO, address_registers).load_transport_header(kDestinationPort, 2, address_registers + 1);
  return rule.in_set(0, set.name).accept();
}

NftRule inside_one_bridge() {
  NftRule rule;
  rule.load_meta(NFT_META_IIFNAME, 0).load_meta(NFT_META_OIFNAME, kInterfaceRegisters);
  rule.in_set(0, firewall_sets().talk.name);
  return rule;
}

NftRule foreign_forwarding() {
  NftRule rule;
  rule.load_meta(NFT_META_NFPROTO, 0).in_set(0, firewall_sets().closed.name);
  for (unsigned key : {NFT_META_IIFGROUP, NFT_META_OIFGROUP}) {
    rule.load_meta(key, 0).mask(0, host_order(kGroupMask)).differs(0, host_order(kGroupOfGantry));
  }
  // Another program's bridges (Docker's, of virtual machines) are its own business, and with br_netfilter even what stays
  // inside one of them comes by here.
  for (unsigned key : {NFT_META_IIFKIND, NFT_META_OIFKIND}) rule.load_meta(key, 0).differs(0, interface("bridge"));
  return rule.drop();
}

NftRule from_wire_to_loopback() {
  NftRule rule = for_family(NftFamily::ipv4);
  // The address first: no other packet gets to the costly part, the interface's name.
  rule.load_network_header(kDestination4, 1, 0).equals(0, "\x7f");
  rule.load_meta(NFT_META_IIFNAME, 0).differs(0, interface("lo"));
  return rule.drop();
}

// With br_netfilter even packets that stay inside a bridge pass the IP hooks. To follow their connections would cost
// more than all the rest, and nobody asks for it: the bridge's own table decides by interface.
NftRule staying_inside(NftFamily family, const NftSet& subnets) {
  NftRule rule = for_family(family);
  const bool v4 = family == NftFamily::ipv4;
  rule.load_meta(NFT_META_IIFNAME, 0);
  rule.load_network_header(v4 ? kDestination4 : kDestination6, v4 ? 4 : 16, kInterfaceRegisters);
  rule.in_set(0, subnets.name);
  rule.load_destination_type(0).differs(0, host_order(RTN_LOCAL));
  return rule.untracked();
}

NftRule to_this_host() {
  NftRule rule;
  rule.load_destination_type(0).equals(0, host_order(RTN_LOCAL));
  return rule.jump("publish");
}

// Key: protocol . destination address . port, or without the address; value: address . port.
NftRule translate(NftFamily family, const NftSet& map, bool by_address) {
  NftRule rule = for_family(family);
  unsigned address_registers = family == NftFamily::ipv4 ? 1 : 4;
  unsigned next = 0;
  rule.load_meta(NFT_META_L4PROTO, next++);
  if (by_address) {
    unsigned offset = family == NftFamily::ipv4 ? kDestination4 : kDestination6;
    rule.load_network_header(offset, address_registers * 4, next);
    next += address_registers;
  }
  rule.load_transport_header(kDestinationPort, 2, next);
  rule.map(0, map.name, 0);
  return rule.dnat(family, 0, address_registers);
}

NftRule loopback_source_to_container() {
  NftRule rule = for_family(NftFamily::ipv4);
  rule.load_meta(NFT_META_OIFNAME, 0).in_set(0, firewall_sets().bridges.name);
  rule.load_network_header(kSource4, 1, 0).equals(0, "\x7f");
  return rule.masquerade();
}

NftRule to_own_subnet(NftFamily family, const NftSet& set) {
  NftRule rule = for_family(family);
  bool v4 = family == NftFamily::ipv4;
  rule.load_meta(NFT_META_OIFNAME, 0);
  rule.load_network_header(v4 ? kSource4 : kSource6, v4 ? 4 : 16, kInterfaceRegisters);
  rule.in_set(0, set.name);
  return rule.go_to("own_subnet");
}

// ::1 cannot be translated to another host (there is no route_localnet for IPv6); link-local peers have no route back.
std::vector<NftRule> untranslatable6() {
  NftRule loopback = for_family(NftFamily::ipv6);
  loopback.load_network_header(kDestination6, 16, 0).equals(0, std::string(15, '\0') + '\x01');
  loopback.return_();
  NftRule link_local = for_family(NftFamily::ipv6);
  link_local.load_network_header(kSource6, 2, 0).mask(0, "\xff\xc0").equals(0, "\xfe\x80");
  link_local.return_();
  return {loopback, link_local};
}

}  // namespace

const FirewallSets& firewall_sets() {
  static const FirewallSets sets;
  return sets;
}

std::vector<const NftSet*> FirewallSets::derived() const {
  return {&bridges, &internal, &masquerade, &unprotected, &echo,         &open4,    &open6,       &talk,
          &local4,  &local6,   &publish4,   &publish4_any, &publish6, &publish6_any};
}

std::vector<const NftSet*> FirewallSets::all() const {
  auto list = derived();
  list.push_back(&closed);
  list.push_back(&listening);
  return list;
}

FirewallRules firewall_rules() {
  const FirewallSets& sets = firewall_sets();
  FirewallRules out;
  out.base_chains = {
      {.name = "raw", .type = "filter", .hook = NF_INET_PRE_ROUTING, .priority = kRaw},
      {.name = "forward", .type = "filter", .hook = NF_INET_FORWARD, .priority = kFilter},
      {.name = "prerouting", .type = "nat", .hook = NF_INET_PRE_ROUTING, .priority = kDestinationNat},
      {.name = "output", .type = "nat", .hook = NF_INET_LOCAL_OUT, .priority = kDestinationNat},
      {.name = "postrouting", .type = "nat", .hook = NF_INET_POST_ROUTING, .priority = kSourceNat},
  };
  out.chains = {"to_bridge", "publish", "own_subnet"};
  auto add = [&](const char* chain, NftRule rule) { out.rules.emplace_back(chain, std::move(rule)); };

  add("raw", from_wire_to_loopback());
  add("raw", staying_inside(NftFamily::ipv4, sets.local4));
  add("raw", staying_inside(NftFamily::ipv6, sets.local6));
  add("forward", inside_one_bridge().accept());
  add("forward", if_interface(NFT_META_IIFNAME, sets.internal).drop());
  add("forward", if_interface(NFT_META_OIFNAME, sets.internal).drop());
  add("forward", if_interface(NFT_META_OIFNAME, sets.bridges).go_to("to_bridge"));
  add("forward", if_interface(NFT_META_IIFNAME, sets.bridges).accept());
  add("forward", foreign_forwarding());
  add("to_bridge", if_known_flow().accept());
  add("to_bridge", if_translated().accept());
  add("to_bridge", if_interface_and(NFT_META_OIFNAME, NFT_META_L4PROTO, sets.echo).accept());
  add("to_bridge", to_open_port(NftFamily::ipv4, sets.open4));
  add("to_bridge", to_open_port(NftFamily::ipv6, sets.open6));
  add("to_bridge", if_interface_and(NFT_META_OIFNAME, NFT_META_NFPROTO, sets.unprotected, not_from_gantry()).accept());
  add("to_bridge", NftRule().drop());
  add("prerouting", to_this_host());
  add("output", to_this_host());
  add("publish", translate(NftFamily::ipv4, sets.publish4, true));
  add("publish", translate(NftFamily::ipv4, sets.publish4_any, false));
  for (NftRule& rule : untranslatable6()) add("publish", std::move(rule));
  add("publish", translate(NftFamily::ipv6, sets.publish6, true));
  add("publish", translate(NftFamily::ipv6, sets.publish6_any, false));
  add("postrouting", loopback_source_to_container());
  add("postrouting", to_own_subnet(NftFamily::ipv4, sets.local4));
  add("postrouting", to_own_subnet(NftFamily::ipv6, sets.local6));
  add("postrouting", if_interface_and(NFT_META_IIFNAME, NFT_META_NFPROTO, sets.masquerade).masquerade());
  add("own_subnet", if_translated().masquerade());
  return out;
}

std::string FirewallRules::fingerprint() const {
  std::string all;
  for (const NftBaseChain& chain : base_chains) all += chain.name + chain.type + std::to_string(chain.priority) + "\n";
  for (const NftSet* set : firewall_sets().all())
    all += set->name + std::to_string(padded_key(set->key, std::vector<std::string>(set->key.size())).size()) + "\n";
  for (const auto& [chain, rule] : rules) {
    Bytes bytes = rule.bytes();
    all += chain + "\n" + std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  }
  return "gantry " + sha256_hex(all).substr(0, 16);
}

}  // namespace gantry::net
