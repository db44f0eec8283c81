#include "net/dns_zone.h"

#include <algorithm>

#include "base/strings.h"

namespace gantry::net {

void DnsZone::publish(const std::string& endpoint_key, NameRecord record) {
  withdraw(endpoint_key);
  Network& network = networks_[record.network_id];
  network.name = to_lower(record.network_name);
  ++network.endpoints;
  for (std::string& name : record.names) {
    name = to_lower(name);
    network.holders[name].insert(endpoint_key);
  }
  for (const IpAddress& address : record.addresses) network.owners[address] = endpoint_key;
  records_.insert_or_assign(endpoint_key, std::move(record));
}

void DnsZone::withdraw(const std::string& endpoint_key) {
  auto at = records_.find(endpoint_key);
  if (at == records_.end()) return;
  const NameRecord& record = at->second;
  auto network = networks_.find(record.network_id);
  for (const std::string& name : record.names) {
    auto holders = network->second.holders.find(name);
    if (holders == network->second.holders.end()) continue;  // twice in the list
    holders->second.erase(endpoint_key);
    if (holders->second.empty()) network->second.holders.erase(holders);
  }
  for (const IpAddress& address : record.addresses) {
    auto owner = network->second.owners.find(address);
    if (owner != network->second.owners.end() && owner->second == endpoint_key) network->second.owners.erase(owner);
  }
  if (--network->second.endpoints == 0) networks_.erase(network);
  records_.erase(at);
}

std::set<std::string> DnsZone::keys() const {
  std::set<std::string> keys;
  for (const auto& [key, record] : records_) keys.insert(key);
  return keys;
}

const std::set<std::string>* DnsZone::find_holders(const std::vector<std::string>& networks,
                                                   std::string_view name) const {
  for (const std::string& id : networks) {
    auto network = networks_.find(id);
    if (network == networks_.end()) continue;
    auto holders = network->second.holders.find(name);
    if (holders != network->second.holders.end()) return &holders->second;
  }
  for (size_t dot = name.rfind('.'); dot != std::string_view::npos && dot > 0; dot = name.rfind('.', dot - 1)) {
    for (const std::string& id : networks) {
      auto network = networks_.find(id);
      if (network == networks_.end() || network->second.name != name.substr(dot + 1)) continue;
      auto holders = network->second.holders.find(name.substr(0, dot));
      if (holders != network->second.holders.end()) return &holders->second;
    }
  }
  return nullptr;
}

std::vector<DnsRecord> DnsZone::addresses(const std::set<std::string>& keys, uint16_t type, Random& random) const {
  std::vector<DnsRecord> list;
  for (const std::string& key : keys) {
    for (const IpAddress& address : records_.at(key).addresses) {
      DnsRecord record = address_record(address);
      bool wanted = type == static_cast<uint16_t>(DnsType::any) || type == static_cast<uint16_t>(record.type);
      if (wanted) list.push_back(std::move(record));
    }
  }
  for (size_t left = list.size(); left > 1; --left) std::swap(list[left - 1], list[random.below(left)]);
  return list;
}

std::optional<std::vector<DnsRecord>> DnsZone::look_up_address(const std::vector<std::string>& networks,
                                                               const IpAddress& address) const {
  for (const std::string& id : networks) {
    auto network = networks_.find(id);
    if (network == networks_.end()) continue;
    auto owner = network->second.owners.find(address);
    if (owner == network->second.owners.end()) continue;
    const NameRecord& record = records_.at(owner->second);
    if (record.names.empty()) return std::vector<DnsRecord>{};
    auto pointer = pointer_record(record.names.front() + "." + network->second.name);
    if (!pointer) return std::vector<DnsRecord>{};
    return std::vector<DnsRecord>{*std::move(pointer)};
  }
  return std::nullopt;
}

std::optional<std::vector<DnsRecord>> DnsZone::look_up(const std::vector<std::string>& networks, std::string_view name,
                                                       uint16_t type, Random& random) const {
  if (type == static_cast<uint16_t>(DnsType::ptr)) {
    if (auto address = address_in_pointer_name(name)) return look_up_address(networks, *address);
  }
  const auto* holders = find_holders(networks, name);
  if (holders == nullptr) return std::nullopt;
  return addresses(*holders, type, random);
}

}  // namespace gantry::net
