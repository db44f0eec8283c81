#include "net/ipam.h"

#include <algorithm>
#include <array>

#include "base/check.h"
#include "base/strings.h"

namespace gantry::net {
namespace {

Subnet v4_subnet(uint8_t a, uint8_t b, unsigned prefix) {
  return Subnet(IpAddress::v4(uint32_t{a} << 24 | uint32_t{b} << 16), prefix);
}

// Addresses of a prefix that are handed out by themselves: the first 2^62 at most, which nobody fills.
uint64_t last_offset(const Subnet& subnet) {
  unsigned host_bits = static_cast<unsigned>(subnet.address().size() * 8) - subnet.prefix();
  return (uint64_t{1} << std::min(host_bits, 62u)) - 1;
}

// How far `address` lies into `subnet`; nothing if it is not within its first 2^62 addresses.
std::optional<uint64_t> offset_in(const Subnet& subnet, const IpAddress& address) {
  if (!subnet.contains(address)) return std::nullopt;
  uint64_t offset = 0;
  for (size_t i = 0; i < address.size(); ++i) {
    if (offset >> 56 != 0) return std::nullopt;
    offset = offset << 8 | static_cast<uint8_t>(address.bytes()[i] ^ subnet.address().bytes()[i]);
  }
  if (offset > last_offset(subnet)) return std::nullopt;
  return offset;
}

// RFC 3021: in a /31 (and a /32) every address is a host's. IPv6 has no broadcast, but its first address is
// the routers' anycast address (RFC 4291, 2.6.1).
std::vector<IpAddress> unusable(const Subnet& subnet) {
  unsigned width = static_cast<unsigned>(subnet.address().size() * 8);
  if (subnet.prefix() + 1 >= width) return {};
  if (subnet.address().is_v6()) return {subnet.address()};
  return {subnet.address(), subnet.last()};
}

// `taken` is sorted by first address; they may contain each other.
std::optional<Subnet> first_free(const Ipam::Pool& pool, const std::vector<Subnet>& taken) {
  Subnet candidate(pool.base.address(), pool.size);
  for (const Subnet& one : taken) {
    if (one.last() < candidate.address()) continue;
    if (candidate.last() < one.address()) break;  // and so are all that follow
    // Go on behind whichever of the two ends later.
    const IpAddress last = std::max(one.last(), candidate.last());
    const IpAddress next = last.plus(1);
    if (next < last) return std::nullopt;  // the end of the address space
    candidate = Subnet(next, pool.size);
    // Rounded down it may begin within what it must avoid: a taken subnet that is no multiple of ours.
    if (candidate.address() < next) {
      const IpAddress after = candidate.last().plus(1);
      if (after < next) return std::nullopt;
      candidate = Subnet(after, pool.size);
    }
    if (!pool.base.contains(candidate.address())) return std::nullopt;
  }
  return candidate;
}

std::string pool_family(bool v6) { return v6 ? "IPv6" : "IPv4"; }

}  // namespace

std::vector<Ipam::Pool> Ipam::default_pools() {
  return {
      {v4_subnet(172, 17, 16), 16, true},
      {v4_subnet(172, 18, 15), 20}, {v4_subnet(172, 20, 14), 20}, {v4_subnet(172, 24, 14), 20},
      {v4_subnet(172, 28, 14), 20}, {v4_subnet(192, 168, 16), 22},
  };
}

Ipam::Pool Ipam::ula_pool(std::string_view host_id) {
  std::string digest = sha256_hex(host_id);
  std::array<uint8_t, 16> bytes{0xfd};
  for (size_t i = 0; i < 5; ++i) {
    bytes[1 + i] = static_cast<uint8_t>(std::stoul(digest.substr(digest.size() - 10 + 2 * i, 2), nullptr, 16));
  }
  return {Subnet(IpAddress::v6(bytes), 48), 64};
}

Ipam::Ipam(std::vector<Pool> pools) : pools_(std::move(pools)) {
  for (const Pool& pool : pools_) {
    CHECK(pool.size >= pool.base.prefix() && pool.size <= pool.base.address().size() * 8);
  }
}

Result<Subnet> Ipam::choose_subnet(const std::vector<Subnet>& in_use, bool v6, bool for_default) const {
  std::vector<Subnet> taken;
  std::vector<std::string> holders;
  for (const auto& [key, spaces] : spaces_) {
    if (key.second != v6) continue;
    for (const Space& space : spaces) {
      taken.push_back(space.network.subnet);
      holders.push_back(space.network.name + " " + space.network.subnet.to_string());
    }
  }
  std::copy_if(in_use.begin(), in_use.end(), std::back_inserter(taken), [&](const Subnet& subnet) {
    // A default route overlaps everything, but claims nothing.
    return subnet.address().is_v6() == v6 && subnet.prefix() > 0;
  });
  std::sort(taken.begin(), taken.end());

  std::vector<const Pool*> order;
  for (const Pool& pool : pools_) {
    if (pool.base.address().is_v6() == v6) order.push_back(&pool);
  }
  std::stable_sort(order.begin(), order.end(), [&](const Pool* a, const Pool* b) {
    return (a->for_default == for_default) > (b->for_default == for_default);
  });
  for (const Pool* pool : order) {
    if (auto subnet = first_free(*pool, taken)) return *subnet;
  }
  for (const Subnet& subnet : in_use) {
    if (subnet.address().is_v6() == v6 && subnet.prefix() > 0) holders.push_back("host route " + subnet.to_string());
  }
  std::string message = "all predefined address pools have been fully subnetted";
  if (!holders.empty()) {
    bool cut = holders.size() > 8;
    if (cut) holders.resize(8);
    message += " (held by " + join(holders, ", ") + (cut ? ", …" : "") + ")";
  }
  return Error(Code::exhausted, message + "; remove networks that are not used, or give the network a subnet");
}

std::vector<Subnet> Ipam::subnets() const {
  std::vector<Subnet> all;
  for (const auto& [key, spaces] : spaces_) {
    for (const Space& space : spaces) all.push_back(space.network.subnet);
  }
  return all;
}

Result<std::optional<IpAddress>> Ipam::add_network(Network network) {
  bool v6 = network.subnet.address().is_v6();
  for (const auto& [key, spaces] : spaces_) {
    for (const Space& space : spaces) {
      if (space.network.subnet.overlaps(network.subnet)) {
        return Error(Code::forbidden, "Pool overlaps with other one on this address space");
      }
    }
  }
  if (network.range &&
      !(network.subnet.contains(network.range->address()) && network.range->prefix() >= network.subnet.prefix())) {
    return invalid("no matching subnet for range " + network.range->to_string());
  }
  if (network.gateway && !network.subnet.contains(*network.gateway)) {
    return invalid("no matching subnet for gateway " + network.gateway->to_string());
  }
  Space space;
  space.network = std::move(network);
  uint64_t last = last_offset(space.range());
  space.free.emplace(0, last);
  for (const IpAddress& address : unusable(space.network.subnet)) space.permanent.insert(address);
  for (const IpAddress& address : space.network.reserved) {
    if (!space.network.subnet.contains(address)) {
      return invalid("no matching subnet for aux-address " + address.to_string());
    }
    space.permanent.insert(address);
  }
  std::optional<IpAddress> gateway = space.network.gateway;
  if (!gateway && !space.network.isolated) {
    gateway = space.network.subnet.address();
    while (space.permanent.contains(*gateway)) gateway = gateway->plus(1);
    if (!space.network.subnet.contains(*gateway)) {
      return Error(Code::exhausted, "no address is left for the gateway in subnet " + space.network.subnet.to_string());
    }
  }
  if (gateway) space.permanent.insert(*gateway);
  for (const IpAddress& address : space.permanent) space.take(address);
  std::string id = space.network.id;
  spaces_[{id, v6}].push_back(std::move(space));
  return gateway;
}

void Ipam::remove_network(const std::string& id) {
  spaces_.erase({id, false});
  spaces_.erase({id, true});
}

Result<IpAddress> Ipam::allocate(const std::string& network_id, bool v6, std::optional<IpAddress> wanted) {
  auto at = spaces_.find({network_id, v6});
  if (at == spaces_.end()) {
    if (wanted) return invalid("no configured subnet contains IP address " + wanted->to_string());
    return invalid("network " + network_id.substr(0, 12) + " has no " + pool_family(v6) + " subnet");
  }
  for (Space& space : at->second) {
    if (!wanted && !space.free.empty()) return space.take_next();
    if (!wanted || !space.network.subnet.contains(*wanted)) continue;
    if (space.taken.contains(*wanted)) return Error(Code::forbidden, "Address already in use");
    space.take(*wanted);
    return *wanted;
  }
  if (wanted) return invalid("no configured subnet contains IP address " + wanted->to_string());
  return Error(Code::exhausted, "no available " + pool_family(v6) + " addresses on this network's address pools: " +
                                    at->second.front().network.name + " (" + network_id + ")");
}

IpAddress Ipam::Space::take_next() {
  // The free piece that holds `next` or comes after it, else the first of all.
  auto piece = free.upper_bound(next);
  if (piece != free.begin() && std::prev(piece)->second >= next) --piece;
  if (piece == free.end()) piece = free.begin();
  uint64_t offset = std::max(piece->first, piece->second >= next ? next : piece->first);
  IpAddress address = range().address().plus(offset);
  take(address);
  next = offset + 1;
  return address;
}

void Ipam::release(const std::string& network_id, const IpAddress& address) {
  auto at = spaces_.find({network_id, address.is_v6()});
  if (at == spaces_.end()) return;
  for (Space& space : at->second) {
    if (space.network.subnet.contains(address)) space.give_back(address);
  }
}

void Ipam::Space::take(const IpAddress& address) {
  taken.insert(address);
  auto offset = offset_in(range(), address);
  if (!offset) return;
  auto piece = free.upper_bound(*offset);
  if (piece == free.begin()) return;
  --piece;
  auto [first, last] = *piece;
  if (last < *offset) return;
  free.erase(piece);
  if (first < *offset) free.emplace(first, *offset - 1);
  if (*offset < last) free.emplace(*offset + 1, last);
}

void Ipam::Space::give_back(const IpAddress& address) {
  if (permanent.contains(address) || taken.erase(address) == 0) return;
  auto offset = offset_in(range(), address);
  if (!offset) return;
  uint64_t first = *offset;
  uint64_t last = *offset;
  auto after = free.upper_bound(first);
  if (after != free.begin() && std::prev(after)->second + 1 == first) {
    first = std::prev(after)->first;
    free.erase(std::prev(after));
  }
  if (after != free.end() && after->first == last + 1) {
    last = after->second;
    free.erase(after);
  }
  free.emplace(first, last);
}

}  // namespace gantry::net
