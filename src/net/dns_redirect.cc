#include "net/dns_redirect.h"

#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>

#include "net/nft_batch.h"

namespace gantry::net {
namespace {

constexpr std::string_view kServiceAddress("\x7f\x00\x00\x0b", 4);  // 127.0.0.11
constexpr std::string_view kDnsPort("\x00\x35", 2);
constexpr unsigned kDestinationAddress = 16;  // in the IPv4 header
constexpr unsigned kDestinationPort = 2;      // in the TCP and UDP headers

NftRule redirect(uint8_t protocol, uint16_t port) {
  NftRule rule;
  rule.load_network_header(kDestinationAddress, 4, 0).equals(0, kServiceAddress);
  rule.load_meta(NFT_META_L4PROTO, 0).equals(0, std::string(1, static_cast<char>(protocol)));
  rule.load_transport_header(kDestinationPort, 2, 0).equals(0, kDnsPort);
  rule.value(0, kServiceAddress);
  rule.value(1, std::string{static_cast<char>(port >> 8), static_cast<char>(port & 0xff)});
  rule.dnat(NftFamily::ipv4, 0, 1);
  return rule;
}

}  // namespace

Result<> redirect_dns(int netfilter, uint16_t udp_port, uint16_t tcp_port) {
  NftBatch batch(NftFamily::ipv4, "gantry-dns");
  batch.replace_table("brings 127.0.0.11:53 to the name service");
  // Priority dstnat, as every destination translation.
  batch.add_base_chain({.name = "output", .type = "nat", .hook = NF_INET_LOCAL_OUT, .priority = -100});
  batch.add_rule("output", redirect(IPPROTO_UDP, udp_port));
  batch.add_rule("output", redirect(IPPROTO_TCP, tcp_port));
  return batch.commit(netfilter).within("redirecting DNS in the container");
}

}  // namespace gantry::net
