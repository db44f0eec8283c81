#include "net/change_watch.h"

#include <arpa/inet.h>
#include <linux/filter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <iterator>
#include <vector>

#include "base/log.h"
#include "net/netlink.h"

namespace gantry::net {
namespace {

// A firewall that is reloaded tears down and builds up in several steps: look when it has been quiet for a moment.
constexpr int kQuietMs = 50;
constexpr int kRoom = 4 << 20;  // bursts of others' rules; what is lost all the same counts as a change

Fd subscribe(int protocol, unsigned group) {
  auto socket = open_netlink(protocol);
  if (!socket.ok()) return Fd();
  ::setsockopt(socket->get(), SOL_SOCKET, SO_RCVBUFFORCE, &kRoom, sizeof kRoom);
  // A socket without a port number is taken for the kernel's own, the sender, and left out.
  sockaddr_nl own{.nl_family = AF_NETLINK};
  if (::bind(socket->get(), reinterpret_cast<sockaddr*>(&own), sizeof own) != 0) return Fd();
  if (::setsockopt(socket->get(), SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof group) != 0) return Fd();
  return *std::move(socket);
}

// The thread is woken by messages of the type alone, or by all but these. Only for messages that come one a datagram;
// what a kernel that forbids filters tells all the same is passed over when it is read.
void filter_by_type(const Fd& socket, uint16_t type, bool wanted) {
  constexpr uint32_t kAll = UINT32_MAX;
  // The filter's loads take the type, which is in the host's order, for a number in the network's.
  sock_filter program[] = {BPF_STMT(BPF_LD | BPF_H | BPF_ABS, offsetof(nlmsghdr, nlmsg_type)),
                           BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htons(type), 0, 1),
                           BPF_STMT(BPF_RET | BPF_K, wanted ? kAll : 0), BPF_STMT(BPF_RET | BPF_K, wanted ? 0 : kAll)};
  const sock_fprog filter{.len = std::size(program), .filter = program};
  ::setsockopt(socket.get(), SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof filter);
}

// Each message that has come: its type and payload. True if some were lost.
template <class F>
bool read_messages(int socket, F each) {
  alignas(nlmsghdr) uint8_t buffer[65536];  // on the stack: a thread_local one is memory of every thread
  for (;;) {
    ssize_t got = ::recv(socket, buffer, sizeof buffer, MSG_DONTWAIT);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return got < 0 && errno == ENOBUFS;
    auto left = static_cast<unsigned>(got);
    for (auto* head = reinterpret_cast<nlmsghdr*>(buffer); NLMSG_OK(head, left); head = NLMSG_NEXT(head, left)) {
      each(head->nlmsg_type, Bytes{static_cast<uint8_t*>(NLMSG_DATA(head)), NLMSG_PAYLOAD(head, 0)});
    }
  }
}

// All nft messages have their table's name as the attribute of this number.
static_assert(NFTA_TABLE_NAME == 1 && NFTA_CHAIN_TABLE == 1 && NFTA_RULE_TABLE == 1 && NFTA_SET_TABLE == 1);

bool is_removal(unsigned type) {
  return type == NFT_MSG_DELTABLE || type == NFT_MSG_DELCHAIN || type == NFT_MSG_DELRULE || type == NFT_MSG_DELSET;
}

// Another firewall's chains came or went: our accepts there may be missing.
bool is_foreign_filter(unsigned type, std::string_view table) {
  return !table.starts_with("gantry-") &&
         (type == NFT_MSG_NEWCHAIN || type == NFT_MSG_DELCHAIN || type == NFT_MSG_DELRULE || type == NFT_MSG_DELTABLE);
}

}  // namespace

ChangeWatch::ChangeWatch(Options options, Function<void()> changed)
    : options_(std::move(options)),
      changed_(std::move(changed)),
      rules_(options_.table.empty() ? Fd() : subscribe(NETLINK_NETFILTER, NFNLGRP_NFTABLES)),
      links_(subscribe(NETLINK_ROUTE, RTNLGRP_LINK)),
      stop_(::eventfd(0, EFD_CLOEXEC)) {
  if ((!rules_ && !options_.table.empty()) || !links_ || !stop_) {
    log_warning("rules or bridges that another program removes will not be repaired: the kernel does not tell of it");
    return;
  }
  // Every start of a container changes interfaces some ten times, and each change is told with all that the kernel
  // knows of the interface; every change of rules ends with a message of its own that says only that.
  filter_by_type(links_, RTM_DELLINK, true);
  if (rules_) filter_by_type(rules_, NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWGEN, false);
  thread_ = std::thread([this] { listen(); });
}

ChangeWatch::~ChangeWatch() {
  if (!thread_.joinable()) return;
  uint64_t one = 1;
  (void)!::write(stop_.get(), &one, sizeof one);
  thread_.join();
}

void ChangeWatch::listen() {
  bool pending = false;
  for (;;) {
    pollfd waiting[] = {{rules_.get(), POLLIN, 0}, {links_.get(), POLLIN, 0}, {stop_.get(), POLLIN, 0}};
    const int ready = ::poll(waiting, 3, pending ? kQuietMs : -1);
    if (waiting[2].revents != 0) return;
    if (ready == 0 && pending) {
      pending = false;
      changed_();
      continue;
    }
    if (ready < 0) continue;
    const Seen rules = waiting[0].revents != 0 ? read_rules() : Seen::nothing;
    const bool links = waiting[1].revents != 0 && read_links();
    // Until our rules are back, what answers a published port goes out untranslated, and whoever gets it resets the
    // connection.
    if (rules == Seen::ours_removed) changed_();
    pending = pending || rules != Seen::nothing || links;
  }
}

ChangeWatch::Seen ChangeWatch::read_rules() {
  bool ours = false;
  bool foreign = false;
  const bool lost = read_messages(rules_.get(), [&](uint16_t type, Bytes payload) {
    const unsigned change = type & 0xff;
    if (!is_removal(change) && change != NFT_MSG_NEWCHAIN) return;
    auto table = find_attribute(behind_header(payload, sizeof(nfgenmsg)), NFTA_TABLE_NAME);
    if (!table) return;
    ours = ours || (is_removal(change) && table->text() == options_.table);
    foreign = foreign || is_foreign_filter(change, table->text());
  });
  if (ours) return Seen::ours_removed;
  return foreign || lost ? Seen::something : Seen::nothing;
}

bool ChangeWatch::read_links() {
  bool ours = false;
  const bool lost = read_messages(links_.get(), [&](uint16_t type, Bytes payload) {
    if (type != RTM_DELLINK || ours) return;
    bool bridge = false;
    bool our_group = false;
    for (const Attribute& attribute : parse_attributes(behind_header(payload, sizeof(ifinfomsg)))) {
      if (attribute.type == IFLA_GROUP) our_group = attribute.number() == options_.group;
      if (attribute.type != IFLA_LINKINFO) continue;
      auto kind = find_attribute(attribute.value, IFLA_INFO_KIND);
      bridge = kind && kind->text() == "bridge";
    }
    ours = bridge && our_group;
  });
  return ours || lost;
}

}  // namespace gantry::net
