// The enclaves of isolated networks: which networks share one, its address on the host's side, and the addresses inside,
// which are each enclave's own affair. Pure; the loop owns the one instance.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "engine/network_record.h"
#include "net/ipam.h"
#include "net/network.h"

namespace gantry::engine {

class EnclaveBooks {
 public:
  // The enclave of a network: that of its project, or one of its own. Fills in the record's enclave and address, which it
  // keeps if it has them. The first enclave chooses the uplink's subnet: one that overlaps none of `in_use`.
  // Errors: exhausted if no subnet or address is left.
  Result<> join(NetworkRecord& record, const std::vector<net::Subnet>& in_use);
  // The last network of an enclave gives its address back. Unknown is no error.
  void leave(const NetworkRecord& record);

  // Nothing: no network has joined it.
  net::Ipam* ipam(const std::string& enclave);
  // While there are enclaves.
  const std::optional<net::Subnet>& uplink() const { return uplink_; }
  // As it stands in books of addresses, under the id kUplink.
  static constexpr const char* kUplink = "uplink";
  static net::Ipam::Network uplink_network(const net::Subnet& subnet);

 private:
  struct Members {
    std::string address;  // as NetworkRecord::uplink
    std::unique_ptr<net::Ipam> ipam;
    std::set<NetworkId> networks;
  };
  Result<Members> open(const NetworkRecord& record, const std::vector<net::Subnet>& in_use);
  void close_unused_uplink();
  Result<> open_uplink(const NetworkRecord& record, const std::vector<net::Subnet>& in_use);

  std::optional<net::Subnet> uplink_;
  net::Ipam addresses_{std::vector<net::Ipam::Pool>{}};  // the enclaves' own, in the uplink
  std::map<std::string, Members> enclaves_;
};

// Where the record's bridge is. Nothing: on the host.
std::optional<net::Enclave> enclave_of(const NetworkRecord& record);

}  // namespace gantry::engine
