#include "net/conntrack.h"

#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <linux/netlink.h>
#include <sys/socket.h>

#include <cerrno>

#include "net/netlink.h"

namespace gantry::net {
namespace {

// Bits of CTA_FILTER_ORIG_FLAGS: which parts of the tuple count. The kernel has them in
// net/netfilter/nf_conntrack_netlink.c (since Linux 5.8), not in a public header.
constexpr uint32_t kMatchProtocol = 1u << 3;         // CTA_FILTER_F_CTA_PROTO_NUM
constexpr uint32_t kMatchDestinationPort = 1u << 5;  // CTA_FILTER_F_CTA_PROTO_DST_PORT

}  // namespace

Result<> forget_flows(int netfilter, uint8_t protocol, uint16_t port) {
  for (uint8_t family : {AF_INET, AF_INET6}) {
    NetlinkBatch batch;
    batch.begin(NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_DELETE, 0, "forget flows to port " + std::to_string(port));
    batch.header(nfgenmsg{.nfgen_family = family, .version = NFNETLINK_V0});
    {
      auto tuple = batch.nest(CTA_TUPLE_ORIG);
      auto parts = batch.nest(CTA_TUPLE_PROTO);
      batch.number(CTA_PROTO_NUM, protocol);
      batch.big_endian16(CTA_PROTO_DST_PORT, port);
    }
    {
      auto filter = batch.nest(CTA_FILTER);
      batch.number(CTA_FILTER_ORIG_FLAGS, kMatchProtocol | kMatchDestinationPort);
    }
    auto done = exchange(netfilter, batch);
    if (!done.ok() && done.error().errno_value() != ENOENT) return done;
  }
  return {};
}

}  // namespace gantry::net
