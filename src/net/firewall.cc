#include "net/firewall.h"

#include <linux/netlink.h>
#include <netinet/in.h>

#include <algorithm>
#include <cerrno>
#include <set>

#include "base/log.h"
#include "net/conntrack.h"
#include "net/firewall_rules.h"

namespace gantry::net {
namespace {

constexpr NftFamily kFamily = NftFamily::inet;
constexpr std::string_view kTablePrefix = "gantry-";

NftElement closed_element(bool ipv6) {
  NftFamily family = ipv6 ? NftFamily::ipv6 : NftFamily::ipv4;
  return {.key = std::string(1, static_cast<char>(family))};
}

// Elements of one set go into one message.
struct SetChange {
  const NftSet* set;
  std::vector<NftElement> elements;
};
std::vector<SetChange> by_set(const std::vector<SetElement>& list) {
  std::vector<SetChange> sorted;
  for (const SetElement& one : list) {
    auto at =
        std::find_if(sorted.begin(), sorted.end(), [&](const SetChange& change) { return change.set == one.set; });
    if (at == sorted.end()) at = sorted.insert(at, {one.set, {}});
    at->elements.push_back(one.element);
  }
  return sorted;
}

bool is_gantry_table(const NftTableInfo& table) {
  return table.family == kFamily && std::string_view(table.name).starts_with(kTablePrefix);
}

}  // namespace

Result<> Firewall::open_socket() {
  if (!socket_) socket_ = TRY(open_netlink(NETLINK_NETFILTER));
  return {};
}

Result<> Firewall::set_up() {
  if (without_) return {};
  std::lock_guard lock(mutex_);
  TRY(open_socket());
  std::string fingerprint = firewall_rules().fingerprint();
  if (TRY(is_intact(fingerprint))) return {};
  return rebuild(fingerprint);
}

Result<bool> Firewall::is_intact(const std::string& fingerprint) {
  auto tables = TRY(list_tables(socket_.get()));
  bool found = std::any_of(tables.begin(), tables.end(), [&](const NftTableInfo& table) {
    return table.family == kFamily && table.name == table_ && table.comment == fingerprint;
  });
  if (!found) return false;
  FirewallRules wanted = firewall_rules();
  auto chains = TRY(list_chains(socket_.get()));
  auto ours = std::count_if(chains.begin(), chains.end(), [&](const NftChainInfo& chain) {
    return chain.family == kFamily && chain.table == table_;
  });
  auto rules = TRY(list_rules(socket_.get(), kFamily, table_));
  auto sets = TRY(list_sets(socket_.get(), kFamily, table_));
  return static_cast<size_t>(ours) == wanted.chains.size() + wanted.base_chains.size() &&
         rules.size() == wanted.rules.size() && sets.size() == firewall_sets().all().size();
}

Result<> Firewall::rebuild(const std::string& fingerprint) {
  FirewallRules wanted = firewall_rules();
  NftBatch batch(kFamily, table_);
  batch.replace_table(fingerprint);
  for (const NftSet* set : firewall_sets().all()) batch.add_set(*set);
  for (const NftBaseChain& chain : wanted.base_chains) batch.add_base_chain(chain);
  for (const std::string& chain : wanted.chains) batch.add_chain(chain);
  for (const auto& [chain, rule] : wanted.rules) batch.add_rule(chain, rule);
  for (const auto& [set, by_key] : remembered_) {
    std::vector<NftElement> elements;
    for (const auto& [key, element] : by_key) elements.push_back(element);
    batch.add_elements(*set, elements);
  }
  return batch.commit(socket_.get());
}

void Firewall::remember(const std::vector<SetElement>& changes) {
  for (const SetElement& one : changes) remembered_[one.set].insert_or_assign(one.element.key, one.element);
}

void Firewall::forget(const std::vector<SetElement>& changes) {
  for (const SetElement& one : changes) {
    auto set = remembered_.find(one.set);
    if (set != remembered_.end()) set->second.erase(one.element.key);
  }
}

Result<> Firewall::tear_down() {
  if (without_) return {};
  std::lock_guard lock(mutex_);
  TRY(open_socket());
  NftBatch batch(kFamily, table_);
  batch.delete_table();
  auto done = batch.commit(socket_.get());
  if (!done.ok() && done.error().errno_value() == ENOENT) return {};
  return done;
}

Result<> Firewall::add(const std::vector<SetElement>& changes) {
  if (changes.empty()) return {};
  TRY(open_socket());
  remember(changes);
  NftBatch batch(kFamily, table_);
  for (const auto& [set, elements] : by_set(changes)) batch.add_elements(*set, elements);
  auto done = batch.commit(socket_.get());
  const int reason = done.ok() ? 0 : done.error().errno_value();
  // Somebody removed the table this moment.
  if (reason == ENOENT) done = rebuild(firewall_rules().fingerprint());
  if (reason == EEXIST || reason == EBUSY) done = replace(changes);
  if (!done.ok()) forget(changes);
  return done;
}

// A port that is there leads elsewhere: what an endpoint left that went without being detached, or the one that
// published it before.
Result<> Firewall::replace(const std::vector<SetElement>& changes) {
  TRY(remove(changes));
  remember(changes);
  NftBatch batch(kFamily, table_);
  for (const auto& [set, elements] : by_set(changes)) batch.add_elements(*set, elements);
  return batch.commit(socket_.get());
}

Result<> Firewall::remove(const std::vector<SetElement>& changes) {
  if (changes.empty()) return {};
  TRY(open_socket());
  forget(changes);
  NftBatch batch(kFamily, table_);
  for (const auto& [set, elements] : by_set(changes)) batch.delete_elements(*set, elements);
  auto done = batch.commit(socket_.get());
  if (done.ok() || done.error().errno_value() != ENOENT) return done;
  // Some are missing, and so nothing was removed: one by one. (The kernel forgives only since Linux 6.3.)
  for (const SetElement& change : changes) {
    NftBatch single(kFamily, table_);
    single.delete_elements(*change.set, {change.element});
    auto removed = single.commit(socket_.get());
    if (!removed.ok() && removed.error().errno_value() != ENOENT) return removed;
  }
  return {};
}

Result<> Firewall::add_bridge(const BridgeConfig& bridge, bool existed) {
  if (without_) return {};
  std::lock_guard lock(mutex_);
  if (existed) TRY(remove_unwanted(bridge));
  return add(elements_of(bridge));
}

// An existing bridge may have been of another kind: takes it out of the sets that it must not be in.
Result<> Firewall::remove_unwanted(const BridgeConfig& bridge) {
  auto wanted = elements_of(bridge);
  std::vector<SetElement> unwanted;
  for (SetElement& one : conceivable_elements_of(bridge)) {
    bool keep = std::any_of(wanted.begin(), wanted.end(), [&](const SetElement& w) {
      return w.set == one.set && w.element.key == one.element.key;
    });
    if (!keep) unwanted.push_back(std::move(one));
  }
  return remove(unwanted);
}

Result<> Firewall::remove_bridge(const BridgeConfig& bridge) {
  if (without_) return {};
  std::lock_guard lock(mutex_);
  return remove(elements_of(bridge));
}

Result<> Firewall::publish(const EndpointConfig& endpoint) {
  if (without_) return {};
  auto elements = TRY(elements_of(endpoint));
  std::lock_guard lock(mutex_);
  TRY(add(elements));
  forget_datagram_flows(endpoint.ports);
  return {};
}

Result<> Firewall::withdraw(const EndpointConfig& endpoint) {
  if (without_) return {};
  auto elements = TRY(elements_of(endpoint));
  std::lock_guard lock(mutex_);
  TRY(remove(elements));
  forget_datagram_flows(endpoint.ports);
  return {};
}

void Firewall::forget_datagram_flows(const std::vector<PortForward>& ports) {
  for (const PortForward& port : ports) {
    if (port.protocol != IPPROTO_UDP || port.host_port == 0) continue;
    auto done = forget_flows(socket_.get(), port.protocol, port.host_port);
    // The port works; only peers that never pause are served late, when their flow has expired.
    if (!done.ok()) log_warning("published port " + std::to_string(port.host_port) + "/udp: " + done.error().message());
  }
}

Result<> Firewall::replace_all(const std::vector<BridgeConfig>& bridges, const std::vector<EndpointConfig>& endpoints) {
  if (without_) return {};
  std::vector<SetElement> wanted;
  for (const BridgeConfig& bridge : bridges) {
    for (SetElement& one : elements_of(bridge)) wanted.push_back(std::move(one));
  }
  for (const EndpointConfig& endpoint : endpoints) {
    auto elements = elements_of(endpoint);
    if (!elements.ok()) {
      // It cannot have been served before either; the others must not suffer.
      log_warning(elements.error().message());
      continue;
    }
    for (SetElement& one : *elements) wanted.push_back(std::move(one));
  }
  std::lock_guard lock(mutex_);
  TRY(open_socket());
  for (const NftSet* set : firewall_sets().derived()) remembered_.erase(set);
  remember(wanted);
  NftBatch batch(kFamily, table_);
  for (const NftSet* set : firewall_sets().derived()) batch.flush_set(*set);
  for (const auto& [set, elements] : by_set(wanted)) batch.add_elements(*set, elements);
  return batch.commit(socket_.get());
}

Result<> Firewall::forbid_foreign_forwarding(bool ipv6) {
  std::lock_guard lock(mutex_);
  return add({{&firewall_sets().closed, closed_element(ipv6)}});
}

Result<bool> Firewall::forbids_foreign_forwarding(bool ipv6) {
  if (without_) return false;
  std::lock_guard lock(mutex_);
  TRY(open_socket());
  NftElement wanted = closed_element(ipv6);
  for (const NftTableInfo& table : TRY(list_tables(socket_.get()))) {
    if (!is_gantry_table(table)) continue;
    auto elements = list_elements(socket_.get(), kFamily, table.name, firewall_sets().closed.name);
    if (!elements.ok()) continue;  // another version's, or it went this moment
    if (std::find(elements->begin(), elements->end(), wanted) != elements->end()) return true;
  }
  return false;
}

Result<> Firewall::note_listening(const std::vector<std::string>& interfaces) {
  const NftSet& set = firewall_sets().listening;
  std::vector<SetElement> elements;
  for (const std::string& name : interfaces) elements.push_back({&set, {.key = padded_key(set.key, {name})}});
  std::lock_guard lock(mutex_);
  return add(elements);
}

Result<std::vector<std::string>> Firewall::listening() {
  std::lock_guard lock(mutex_);
  TRY(open_socket());
  std::set<std::string> names;
  for (const NftTableInfo& table : TRY(list_tables(socket_.get()))) {
    if (!is_gantry_table(table)) continue;
    auto elements = list_elements(socket_.get(), kFamily, table.name, firewall_sets().listening.name);
    if (!elements.ok()) continue;  // another version's, or it went this moment
    for (const NftElement& element : *elements) names.insert(element.key.c_str());  // padded with zeros
  }
  return std::vector<std::string>(names.begin(), names.end());
}

Result<bool> Firewall::is_only_gantry() {
  std::lock_guard lock(mutex_);
  TRY(open_socket());
  auto tables = TRY(list_tables(socket_.get()));
  return std::none_of(tables.begin(), tables.end(),
                      [&](const NftTableInfo& table) { return is_gantry_table(table) && table.name != table_; });
}

}  // namespace gantry::net
