#include "net/foreign_firewall.h"

#include <linux/netfilter/nf_tables.h>
#include <linux/netlink.h>

#include <algorithm>
#include <cerrno>
#include <optional>

namespace gantry::net {
namespace {

constexpr const char* kTable = "filter";

// The chain of `ip filter` or `ip6 filter` where an accept is needed; nothing if none is.
std::optional<std::string> chain_to_open(const std::vector<NftChainInfo>& chains, NftFamily family) {
  std::optional<std::string> found;
  for (const NftChainInfo& chain : chains) {
    if (chain.family != family || chain.table != kTable) continue;
    if (chain.name == "DOCKER-USER") return chain.name;
    if (chain.name == "FORWARD" && chain.drops_by_default) found = chain.name;
  }
  return found;
}

NftRule accept_rule(unsigned meta_key, const std::string& bridge, const std::string& mark) {
  NftRule rule;
  rule.load_meta(meta_key, 0).equals(0, padded_key({NftType::interface_name}, {bridge}));
  return rule.counter().accept().comment(mark);  // with a counter, as iptables writes every rule and wants to read it
}

}  // namespace

Result<> ForeignFirewall::open_socket() {
  if (!socket_) socket_ = TRY(open_netlink(NETLINK_NETFILTER));
  return {};
}

Result<> ForeignFirewall::let_through(const std::string& bridge) {
  std::lock_guard lock(mutex_);
  TRY(open_socket());
  auto chains = TRY(list_chains(socket_.get()));
  for (NftFamily family : {NftFamily::ipv4, NftFamily::ipv6}) {
    auto chain = chain_to_open(chains, family);
    if (!chain) continue;
    auto rules = TRY(list_rules(socket_.get(), family, kTable));
    bool present = std::any_of(rules.begin(), rules.end(), [&](const NftRuleInfo& rule) {
      return rule.chain == *chain && rule.comment == mark(bridge);
    });
    if (present) continue;
    NftBatch batch(family, kTable);
    batch.insert_rule(*chain, accept_rule(NFT_META_IIFNAME, bridge, mark(bridge)));
    batch.insert_rule(*chain, accept_rule(NFT_META_OIFNAME, bridge, mark(bridge)));
    TRY(batch.commit(socket_.get()));
  }
  return {};
}

Result<> ForeignFirewall::forget(const std::string& bridge) {
  std::lock_guard lock(mutex_);
  TRY(open_socket());
  auto chains = TRY(list_chains(socket_.get()));
  for (NftFamily family : {NftFamily::ipv4, NftFamily::ipv6}) {
    bool present = std::any_of(chains.begin(), chains.end(), [&](const NftChainInfo& chain) {
      return chain.family == family && chain.table == kTable;
    });
    if (!present) continue;
    for (const NftRuleInfo& rule : TRY(list_rules(socket_.get(), family, kTable))) {
      if (rule.comment != mark(bridge)) continue;
      NftBatch batch(family, kTable);
      batch.delete_rule(rule.chain, rule.handle);
      auto removed = batch.commit(socket_.get());
      if (!removed.ok() && removed.error().errno_value() != ENOENT) return removed;
    }
  }
  return {};
}

}  // namespace gantry::net
