#include "net/parent_links.h"

#include <linux/if.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <sys/socket.h>

#include <cerrno>

#include "base/strings.h"
#include "net/links.h"

namespace gantry::net {
namespace {

constexpr unsigned kMostVlans = 4094;

std::string name_of(const ParentWanted& wanted) {
  return wanted.link.interface.empty() ? wanted.private_name : wanted.link.interface;
}

void begin_new_link(NetlinkBatch& batch, const std::string& what) {
  batch.begin(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, what);
  batch.header(ifinfomsg{.ifi_family = AF_UNSPEC});
}

void add_label_and_up(NetlinkBatch& batch, const std::string& name, const std::string& alias) {
  batch.begin(RTM_SETLINK, 0, "bring up interface " + name);
  batch.header(ifinfomsg{.ifi_family = AF_UNSPEC, .ifi_flags = IFF_UP, .ifi_change = IFF_UP});
  batch.attribute(IFLA_IFNAME, name);
  if (!alias.empty()) batch.attribute(IFLA_IFALIAS, alias);
}

bool is_unknown_kind(const Result<>& made) {
  return !made.ok() && (made.error().errno_value() == EOPNOTSUPP || made.error().errno_value() == ENODEV);
}

Result<> make_vlan(int route, const ParentWanted& wanted) {
  const std::string& name = wanted.link.interface;
  const size_t dot = name.rfind('.');
  const std::string base = name.substr(0, dot);
  const auto id = dot == std::string::npos ? std::nullopt : parse_unsigned(name.substr(dot + 1));
  if (!id || *id == 0 || *id > kMostVlans) {
    return not_found("parent interface " + gantry::quoted(name) + " does not exist on this host");
  }
  auto below = TRY(find_link(route, base));
  if (!below) return not_found("parent interface " + gantry::quoted(base) + " does not exist on this host");
  NetlinkBatch batch;
  begin_new_link(batch, "make VLAN interface " + name);
  batch.attribute(IFLA_IFNAME, name);
  batch.number(IFLA_LINK, below->index);
  batch.number(IFLA_GROUP, wanted.group);
  {
    auto info = batch.nest(IFLA_LINKINFO);
    batch.attribute(IFLA_INFO_KIND, std::string_view("vlan"));
    auto data = batch.nest(IFLA_INFO_DATA);
    batch.number(IFLA_VLAN_ID, static_cast<uint16_t>(*id));
  }
  add_label_and_up(batch, name, wanted.alias);
  auto made = exchange(route, batch);
  if (is_unknown_kind(made)) return unsupported("this kernel has no VLAN interfaces: " + made.error().message());
  return made;
}

// A dummy interface; where the kernel has none, one end of a veth pair whose other end is used by nobody.
Result<> make_private(int route, const ParentWanted& wanted) {
  const std::string& name = wanted.private_name;
  NetlinkBatch dummy;
  begin_new_link(dummy, "make interface " + name);
  dummy.attribute(IFLA_IFNAME, name);
  dummy.number(IFLA_GROUP, wanted.group);
  {
    auto info = dummy.nest(IFLA_LINKINFO);
    dummy.attribute(IFLA_INFO_KIND, std::string_view("dummy"));
  }
  add_label_and_up(dummy, name, wanted.alias);
  auto made = exchange(route, dummy);
  if (!is_unknown_kind(made)) return made;

  const std::string other = "x" + name.substr(1);
  NetlinkBatch pair;
  begin_new_link(pair, "make interface " + name);
  pair.attribute(IFLA_IFNAME, name);
  pair.number(IFLA_GROUP, wanted.group);
  {
    auto info = pair.nest(IFLA_LINKINFO);
    pair.attribute(IFLA_INFO_KIND, std::string_view("veth"));
    auto data = pair.nest(IFLA_INFO_DATA);
    auto peer = pair.nest(VETH_INFO_PEER);
    pair.header(ifinfomsg{.ifi_family = AF_UNSPEC});
    pair.attribute(IFLA_IFNAME, other);
    pair.number(IFLA_GROUP, wanted.group);
  }
  add_label_and_up(pair, name, wanted.alias);
  add_label_and_up(pair, other, "");
  return exchange(route, pair);
}

uint32_t macvlan_mode(const std::string& mode) {
  if (mode == "private") return MACVLAN_MODE_PRIVATE;
  if (mode == "vepa") return MACVLAN_MODE_VEPA;
  if (mode == "passthru") return MACVLAN_MODE_PASSTHRU;
  return MACVLAN_MODE_BRIDGE;
}

uint16_t ipvlan_mode(const std::string& mode) {
  if (mode == "l3") return IPVLAN_MODE_L3;
  if (mode == "l3s") return IPVLAN_MODE_L3S;
  return IPVLAN_MODE_L2;
}

uint16_t ipvlan_flag(const std::string& flag) {
  if (flag == "private") return IPVLAN_F_PRIVATE;
  if (flag == "vepa") return IPVLAN_F_VEPA;
  return 0;
}

}  // namespace

Result<> ensure_parent(int route, const ParentWanted& wanted) {
  auto existing = TRY(find_link(route, name_of(wanted)));
  if (!existing) return wanted.link.interface.empty() ? make_private(route, wanted) : make_vlan(route, wanted);
  if (existing->up) return {};
  NetlinkBatch batch;
  add_label_and_up(batch, existing->name, "");
  return exchange(route, batch);
}

Result<> remove_parent(int route, const ParentWanted& wanted) {
  auto link = TRY(find_link(route, name_of(wanted)));
  if (!link || link->group != wanted.group) return {};
  return delete_link(route, link->name);
}

Result<int> index_of_parent(int route, const ParentWanted& wanted) {
  auto link = TRY(find_link(route, name_of(wanted)));
  if (!link) return not_found("parent interface " + gantry::quoted(name_of(wanted)) + " does not exist on this host");
  return link->index;
}

void add_link_on_parent(NetlinkBatch& batch, const LinkOnParent& wanted) {
  const bool macvlan = wanted.link.kind == ParentLink::Kind::macvlan;
  const std::string kind = macvlan ? "macvlan" : "ipvlan";
  begin_new_link(batch, "make " + kind + " interface " + wanted.name);
  batch.attribute(IFLA_IFNAME, wanted.name);
  batch.number(IFLA_LINK, wanted.parent);
  batch.number(IFLA_NET_NS_FD, wanted.netns);
  if (macvlan) batch.attribute(IFLA_ADDRESS, bytes_of(wanted.mac.bytes));
  if (wanted.mtu) batch.number(IFLA_MTU, uint32_t{*wanted.mtu});
  auto info = batch.nest(IFLA_LINKINFO);
  batch.attribute(IFLA_INFO_KIND, std::string_view(kind));
  auto data = batch.nest(IFLA_INFO_DATA);
  if (macvlan) {
    batch.number(IFLA_MACVLAN_MODE, macvlan_mode(wanted.link.mode));
  } else {
    batch.number(IFLA_IPVLAN_MODE, ipvlan_mode(wanted.link.mode));
    batch.number(IFLA_IPVLAN_FLAGS, ipvlan_flag(wanted.link.flag));
  }
}

}  // namespace gantry::net
