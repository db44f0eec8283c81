// The fixed part of our nftables table: sets, maps, chains and rules. Pure; what it holds for one network or published
// port are elements (firewall_elements). Read as nft text:
//
//   chain forward { type filter hook forward priority 0
//     iifname . oifname @talk accept          inside one bridge, where containers may talk to each other
//     iifname @internal drop                  nothing crosses an internal network's edge
//     oifname @internal drop
//     oifname @bridges goto to_bridge
//     iifname @bridges accept                 the way out
//     meta nfproto @closed  iifgroup, oifgroup no Gantry's  iifkind, oifkind no bridge  drop }
//   chain to_bridge { ct state established,related accept;  ct status dnat accept
//     oifname . meta l4proto @echo accept     routed networks: ICMP
//     ip daddr . proto . dport @open4 (@open6) accept     routed networks: published ports at the container's address
//     iifgroup no Gantry's  oifname . meta nfproto @unprotected accept
//     drop }
//   chain raw { type filter hook prerouting priority -300
//     ip daddr 127.0.0.0/8  iifname != lo  drop }     bridges have route_localnet: keep strangers off the host's
//     loopback
//     iifname . ip daddr @local4 (@local6)  fib daddr type != local  notrack     inside one bridge, with br_netfilter;
//     the sets are without the gateway
//   chain prerouting, chain output { type nat hook … priority -100;  fib daddr type local  jump publish }
//   chain publish { dnat to  proto . daddr . dport map @publish4 (@publish6),  else  proto . dport map @publish4_any }
//   chain postrouting { type nat hook postrouting priority 100
//     oifname @bridges  ip saddr 127.0.0.0/8  masquerade     published ports reached through the host's 127.0.0.1
//     oifname . ip saddr @local4 (@local6)  goto own_subnet
//     iifname . meta nfproto @masquerade  masquerade }
//   chain own_subnet { ct status dnat masquerade }    to a neighbour by way of a published port: replies must come back
//
// Only what was translated to a container's address or answers it gets in, so a direct packet to a container from
// outside its bridge is dropped without a list of published ports; unless the network's gateway mode says otherwise.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "net/network.h"
#include "net/nft_batch.h"

namespace gantry::net {

struct FirewallSets {
  NftSet bridges{.name = "bridges", .key = {NftType::interface_name}};
  NftSet internal{.name = "internal", .key = {NftType::interface_name}};
  NftSet masquerade{.name = "masquerade", .key = {NftType::interface_name, NftType::protocol_family}};
  NftSet unprotected{.name = "unprotected", .key = {NftType::interface_name, NftType::protocol_family}};
  NftSet echo{.name = "echo", .key = {NftType::interface_name, NftType::protocol}};
  NftSet open4{.name = "open4", .key = {NftType::ipv4, NftType::protocol, NftType::port}};
  NftSet open6{.name = "open6", .key = {NftType::ipv6, NftType::protocol, NftType::port}};
  NftSet talk{.name = "talk", .key = {NftType::interface_name, NftType::interface_name}};
  NftSet local4{.name = "local4", .key = {NftType::interface_name, NftType::ipv4}, .interval = true};
  NftSet local6{.name = "local6", .key = {NftType::interface_name, NftType::ipv6}, .interval = true};
  NftSet publish4{.name = "publish4",
                  .key = {NftType::protocol, NftType::ipv4, NftType::port},
                  .value = {NftType::ipv4, NftType::port}};
  NftSet publish4_any{
      .name = "publish4_any", .key = {NftType::protocol, NftType::port}, .value = {NftType::ipv4, NftType::port}};
  NftSet publish6{.name = "publish6",
                  .key = {NftType::protocol, NftType::ipv6, NftType::port},
                  .value = {NftType::ipv6, NftType::port}};
  NftSet publish6_any{
      .name = "publish6_any", .key = {NftType::protocol, NftType::port}, .value = {NftType::ipv6, NftType::port}};
  NftSet closed{.name = "closed", .key = {NftType::protocol_family}};  // families whose forwarding we turned on

  // Interfaces that were made to go on listening to routers then (forwarding.h). No rule asks: it is kept here because
  // it must outlive the daemon and end with the table.
  NftSet listening{.name = "listening", .key = {NftType::interface_name}};

  // All of them; those that follow from networks and endpoints come first.
  std::vector<const NftSet*> all() const;
  std::vector<const NftSet*> derived() const;
};
const FirewallSets& firewall_sets();

struct FirewallRules {
  std::vector<NftBaseChain> base_chains;
  std::vector<std::string> chains;
  std::vector<std::pair<std::string, NftRule>> rules;  // (chain, rule), in order
  // Changes with every change to chains, sets and rules: tells a table that an older version made.
  std::string fingerprint() const;
};
FirewallRules firewall_rules();

}  // namespace gantry::net
