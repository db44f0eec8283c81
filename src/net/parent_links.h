// Interfaces upon one of the host's (macvlan, ipvlan), and what they hang on if it has to be made first. Blocking, any
// thread; the sockets decide the namespace, as in links.h.
#pragma once

#include <optional>
#include <string>

#include "base/result.h"
#include "net/netlink.h"
#include "net/network.h"

namespace gantry::net {

struct ParentWanted {
  ParentLink link;
  std::string private_name;  // of the one to make when link.interface is empty
  uint32_t group = 0;        // marks what we make
  std::string alias;
};
// Makes what is missing: VLAN 50 of eth0 for "eth0.50", a private interface for none. Errors: not_found if the host has
// no such interface; unsupported if the kernel cannot make one.
Result<> ensure_parent(int route, const ParentWanted& wanted);
// Removes what ensure_parent made, and only that.
Result<> remove_parent(int route, const ParentWanted& wanted);
Result<int> index_of_parent(int route, const ParentWanted& wanted);

struct LinkOnParent {
  ParentLink link;
  int parent = 0;  // index
  std::string name;
  int netns = -1;   // where it is made
  MacAddress mac;   // macvlan's; an ipvlan interface has its parent's
  std::optional<unsigned> mtu;
};
void add_link_on_parent(NetlinkBatch& batch, const LinkOnParent& wanted);

}  // namespace gantry::net
