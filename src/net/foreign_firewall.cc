#include "net/foreign_firewall.h"

#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netlink.h>

#include <algorithm>
#include <cerrno>
#include <iterator>
#include <set>
#include <string_view>
#include <utility>
#include <vector>

#include "base/log.h"
#include "base/strings.h"

namespace gantry::net {
namespace {

constexpr std::string_view kOurTables = "gantry-";
constexpr NftFamily kFamilies[] = {NftFamily::ipv4, NftFamily::ipv6, NftFamily::inet};

struct Place {
  NftFamily family;
  std::string table;
  std::string chain;
};

bool is_foreign(const NftChainInfo& chain) {
  return std::find(std::begin(kFamilies), std::end(kFamilies), chain.family) != std::end(kFamilies) &&
         !std::string_view(chain.table).starts_with(kOurTables);
}

// firewalld accepts by policy and rejects with its last rule.
bool stops_forwarding(const NftChainInfo& chain) {
  return chain.hook == NF_INET_FORWARD &&
         (chain.drops_by_default || (chain.table == "firewalld" && chain.name == "filter_FORWARD"));
}

// Where accepts are needed.
std::vector<Place> chains_to_open(const std::vector<NftChainInfo>& chains) {
  const auto docker_has = [&](const NftChainInfo& forward) {
    return std::any_of(chains.begin(), chains.end(), [&](const NftChainInfo& other) {
      return other.family == forward.family && other.table == forward.table && other.name == "DOCKER-USER";
    });
  };
  std::vector<Place> found;
  for (const NftChainInfo& chain : chains) {
    if (!is_foreign(chain)) continue;
    const bool open = chain.name == "DOCKER-USER" || (stops_forwarding(chain) && !docker_has(chain));
    if (open) found.push_back({chain.family, chain.table, chain.name});
  }
  return found;
}

// Where accepts may be: what drops today may not have dropped yesterday.
std::set<std::pair<NftFamily, std::string>> foreign_tables(const std::vector<NftChainInfo>& chains) {
  std::set<std::pair<NftFamily, std::string>> found;
  for (const NftChainInfo& chain : chains) {
    if (is_foreign(chain) && chain.hook == NF_INET_FORWARD) found.emplace(chain.family, chain.table);
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
  if (without_) return {};
  std::lock_guard lock(mutex_);
  TRY(open_socket());
  for (const Place& place : chains_to_open(TRY(list_chains(socket_.get())))) {
    auto rules = TRY(list_rules(socket_.get(), place.family, place.table));
    bool present = std::any_of(rules.begin(), rules.end(), [&](const NftRuleInfo& rule) {
      return rule.chain == place.chain && rule.comment == mark(bridge);
    });
    if (present) continue;
    NftBatch batch(place.family, place.table);
    batch.insert_rule(place.chain, accept_rule(NFT_META_IIFNAME, bridge, mark(bridge)));
    batch.insert_rule(place.chain, accept_rule(NFT_META_OIFNAME, bridge, mark(bridge)));
    auto opened = batch.commit(socket_.get());
    if (!opened.ok() && opened.error().errno_value() == EPERM) {
      log_warning("the firewall in nftables table " + gantry::quoted(place.table) +
                  " lets nobody else change it and may drop " + "what is forwarded to and from " + bridge +
                  ": allow it there, as with firewall-cmd --permanent " + "--zone=trusted --add-interface=" + bridge);
      continue;
    }
    if (!opened.ok() && opened.error().errno_value() == ENOENT) continue;  // it went this moment
    TRY(std::move(opened));
  }
  return {};
}

Result<> ForeignFirewall::forget(const std::string& bridge) {
  if (without_) return {};
  std::lock_guard lock(mutex_);
  TRY(open_socket());
  for (const auto& [family, table] : foreign_tables(TRY(list_chains(socket_.get())))) {
    for (const NftRuleInfo& rule : TRY(list_rules(socket_.get(), family, table))) {
      if (rule.comment != mark(bridge)) continue;
      NftBatch batch(family, table);
      batch.delete_rule(rule.chain, rule.handle);
      auto removed = batch.commit(socket_.get());
      if (!removed.ok() && removed.error().errno_value() != ENOENT) return removed;
    }
  }
  return {};
}

}  // namespace gantry::net
