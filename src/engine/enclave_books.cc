#include "engine/enclave_books.h"

#include "base/strings.h"
#include "engine/labels.h"

namespace gantry::engine {
namespace {

constexpr size_t kIdLength = 12;

// 198.18.0.0/15 is for measurements between networks (RFC 2544): no machine's own network, and nobody's choice for an
// application's subnet.
net::Ipam::Pool uplink_pool() {
  return {.base = net::Subnet(net::IpAddress::v4(198u << 24 | 18u << 16), 15), .size = 20};
}

std::string enclave_id(const NetworkRecord& record) {
  const auto project = record.spec.labels.find(kProjectLabel);
  const std::string owner =
      project != record.spec.labels.end() ? "project " + project->second : "network " + record.id.str();
  return sha256_hex(owner).substr(0, kIdLength);
}

// "198.18.0.2/20": the address, and the subnet that it is in.
struct Uplink {
  net::IpAddress address;
  net::Subnet subnet;
};
Result<Uplink> parse_uplink(const std::string& text) {
  const net::IpAddress address = TRY(net::IpAddress::parse(text.substr(0, text.find('/'))));
  const net::Subnet subnet = TRY(net::Subnet::parse(text));
  return Uplink{.address = address, .subnet = subnet};
}

}  // namespace

net::Ipam::Network EnclaveBooks::uplink_network(const net::Subnet& subnet) {
  net::Ipam::Network network;
  network.id = kUplink;
  network.name = "the uplink of isolated networks";
  network.subnet = subnet;
  return network;
}

Result<> EnclaveBooks::open_uplink(const NetworkRecord& record, const std::vector<net::Subnet>& in_use) {
  if (uplink_) return {};
  uplink_ = record.uplink.empty() ? TRY(net::Ipam({uplink_pool()}).choose_subnet(in_use))
                                  : TRY(parse_uplink(record.uplink)).subnet;
  TRY(addresses_.add_network(uplink_network(*uplink_)));
  return {};
}

Result<EnclaveBooks::Members> EnclaveBooks::open(const NetworkRecord& record, const std::vector<net::Subnet>& in_use) {
  TRY(open_uplink(record, in_use));
  std::optional<net::IpAddress> wanted;
  if (!record.uplink.empty()) wanted = TRY(parse_uplink(record.uplink)).address;
  const net::IpAddress address = TRY(addresses_.allocate(kUplink, false, wanted));
  Members members{.address = address.to_string() + "/" + std::to_string(uplink_->prefix()),
                  .ipam = std::make_unique<net::Ipam>(std::vector<net::Ipam::Pool>{}),
                  .networks = {}};
  TRY(members.ipam->add_network(uplink_network(*uplink_)));  // it leads out of there: no network's subnet
  return members;
}

net::Ipam* EnclaveBooks::ipam(const std::string& enclave) {
  const auto at = enclaves_.find(enclave);
  return at == enclaves_.end() ? nullptr : at->second.ipam.get();
}

void EnclaveBooks::close_unused_uplink() {
  if (!enclaves_.empty()) return;
  addresses_.remove_network(kUplink);
  uplink_.reset();
}

Result<> EnclaveBooks::join(NetworkRecord& record, const std::vector<net::Subnet>& in_use) {
  const std::string id = record.enclave.empty() ? enclave_id(record) : record.enclave;
  auto at = enclaves_.find(id);
  if (at == enclaves_.end()) {
    auto members = open(record, in_use).within("uplink of isolated networks");
    if (!members.ok()) close_unused_uplink();
    at = enclaves_.emplace(id, TRY(std::move(members))).first;
  }
  at->second.networks.insert(record.id);
  record.enclave = id;
  record.uplink = at->second.address;
  return {};
}

void EnclaveBooks::leave(const NetworkRecord& record) {
  const auto at = enclaves_.find(record.enclave);
  if (at == enclaves_.end() || at->second.networks.erase(record.id) == 0 || !at->second.networks.empty()) return;
  if (const auto uplink = parse_uplink(at->second.address); uplink.ok()) addresses_.release(kUplink, uplink->address);
  enclaves_.erase(at);
  close_unused_uplink();
}

std::optional<net::Enclave> enclave_of(const NetworkRecord& record) {
  if (record.enclave.empty()) return std::nullopt;
  const auto uplink = parse_uplink(record.uplink);
  if (!uplink.ok()) return std::nullopt;
  return net::Enclave{.id = record.enclave,
                      .address = uplink->address,
                      .uplink = uplink->subnet,
                      .gateway = uplink->subnet.address().plus(1)};
}

}  // namespace gantry::engine
