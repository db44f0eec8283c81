#include "net/dns_redirect.h"

#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>

#include <string>
#include <utility>

#include "net/nft_batch.h"

namespace gantry::net {
namespace {

constexpr std::string_view kServiceAddress("\x7f\x00\x00\x0b", 4);  // 127.0.0.11
// In the IPv4 header.
constexpr unsigned kSourceAddress = 12;
constexpr unsigned kDestinationAddress = 16;
// In the TCP and UDP headers.
constexpr unsigned kSourcePort = 0;

struct Protocol {
  uint8_t number;
  unsigned checksum_offset;
};
constexpr Protocol kUdp{.number = IPPROTO_UDP, .checksum_offset = 6};
constexpr Protocol kTcp{.number = IPPROTO_TCP, .checksum_offset = 16};

std::string bytes_of(uint16_t port) { return {static_cast<char>(port >> 8), static_cast<char>(port & 0xff)}; }

NftRule exchange_port(Protocol protocol, unsigned address_offset, unsigned port_offset, uint16_t from, uint16_t to) {
  NftRule rule;
  rule.load_network_header(address_offset, 4, 0).equals(0, kServiceAddress);
  rule.load_meta(NFT_META_L4PROTO, 0).equals(0, std::string(1, static_cast<char>(protocol.number)));
  rule.load_transport_header(port_offset, 2, 0).equals(0, bytes_of(from));
  rule.value(0, bytes_of(to));
  return rule.store_transport_header(port_offset, 2, protocol.checksum_offset, 0);
}

}  // namespace

Result<> redirect_dns(int netfilter, uint16_t udp_port, uint16_t tcp_port) {
  NftBatch batch(NftFamily::ipv4, "gantry-dns");
  batch.replace_table("brings 127.0.0.11:53 to the name service");
  // Priority raw: the container's own rules and flows see what the sockets see.
  batch.add_base_chain({.name = "output", .type = "filter", .hook = NF_INET_LOCAL_OUT, .priority = -300});
  for (auto [protocol, port] : {std::pair{kUdp, udp_port}, {kTcp, tcp_port}}) {
    batch.add_rule("output", exchange_port(protocol, kDestinationAddress, kDestinationPort, kDnsPort, port));
    batch.add_rule("output", exchange_port(protocol, kSourceAddress, kSourcePort, port, kDnsPort));
  }
  return batch.commit(netfilter).within("redirecting DNS in the container");
}

}  // namespace gantry::net
