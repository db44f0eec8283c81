// The networks of one engine: their records, addresses and bridges. It knows which containers are on them only by
// what the containers' part tells it. Loop thread only; netlink work goes to workers.
//
// The default bridge network is made at its first use; "host" and "none" are names without anything behind them.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "engine/context.h"
#include "engine/enclave_books.h"
#include "engine/container/record.h"
#include "engine/local_engine.h"
#include "engine/network_record.h"
#include "net/ipam.h"

namespace gantry::engine {

inline constexpr const char* kDefaultNetwork = "bridge";

class Networks {
 public:
  Networks(Context& context, std::vector<net::Ipam::Pool> pools);

  // At start: the records from the store. Bridges are made by `bridges_to_restore`'s caller.
  Result<> load();
  std::vector<net::BridgeConfig> bridges() const;

  void create(NetworkSpec spec, Reply<NetworkId> reply);
  void remove(NetworkId network, Reply<> reply);
  // Makes the default bridge network unless it is there. `then` may run at once.
  void ensure_default(Function<void(Result<>)> then);

  // By full id, exact name, or unique id prefix: "network x not found".
  Result<NetworkId> find(const std::string& reference) const;
  const NetworkRecord* get(const NetworkId& id) const;
  bool is_default(const NetworkId& id) const { return id == default_id_; }
  bool is_predefined(const NetworkId& id) const { return id == default_id_ || id == host_id_ || id == none_id_; }
  std::vector<const NetworkRecord*> list() const;  // sorted by name
  std::vector<const NetworkRecord*> of_project(const std::string& project) const;  // sorted by name

  // A container that runs on the network.
  struct Member {
    std::string container_name;
    EndpointState endpoint;
  };
  const std::map<ContainerId, Member>& members(const NetworkId& id) const;
  void add_member(const ContainerId& container, std::string name, const EndpointState& endpoint);
  void remove_member(const NetworkId& id, const ContainerId& container);
  void rename_member(const ContainerId& container, const std::string& name);

  // Takes addresses and makes up the rest; interface and gateways are the caller's to decide. Until release() the
  // network cannot be removed.
  Result<EndpointState> allocate(const NetworkRecord& network, const EndpointSpec& spec);
  // As after a restart: exactly these addresses.
  Result<> reclaim(const EndpointState& endpoint);
  void release(const EndpointState& endpoint);

  // With `spec` complete for attaching; without it, enough for everything that comes later.
  net::EndpointConfig endpoint_config(const EndpointState& endpoint, const EndpointSpec* spec = nullptr) const;
  net::BridgeConfig bridge_config(const NetworkRecord& network) const;
  bool idle() const { return under_way_ == 0; }

 private:
  struct Network {
    NetworkRecord record;
    bool ready = false;  // false: the predefined ones that have no bridge (yet)
    std::map<ContainerId, Member> members;
    int leases = 0;  // endpoints with addresses: those of members, and of starts and build steps under way
    bool removing = false;
  };
  Result<> check(const NetworkSpec& spec) const;
  // Chooses and takes the subnets; on failure nothing is taken.
  Result<std::vector<IpamPool>> allocate_pools(const NetworkRecord& record, const std::vector<net::Subnet>& in_use);
  Result<IpamPool> allocate_pool(const NetworkRecord& record, const IpamPool& wanted);
  void give_back_pools(const NetworkRecord& record);  // and its place in the enclave
  // The books in which the network's addresses are.
  net::Ipam& ipam_of(const NetworkRecord& record);
  Error with_advice(Error error) const;
  Result<> add_to_books(NetworkRecord& record);
  Result<> join_enclave(NetworkRecord& record, std::vector<net::Subnet> in_use);
  // `then` gets the finished record, bridge made and stored.
  void make(NetworkRecord record, Function<void(Result<>)> then);
  void choose_and_make(NetworkRecord record, int tries, Function<void(Result<>)> then);
  void made(NetworkRecord record, Result<> bridge, Function<void(Result<>)> then);
  void give_back(const EndpointState& endpoint);
  void emit(const NetworkRecord& network, const char* action);

  Context& context_;
  net::Ipam ipam_;
  EnclaveBooks enclaves_;
  std::map<NetworkId, Network> networks_;
  std::map<std::string, NetworkId> by_name_;
  std::map<std::string, std::set<NetworkId>> by_project_;
  std::set<std::string> names_being_made_;
  NetworkId default_id_;
  NetworkId host_id_;
  NetworkId none_id_;
  bool default_being_made_ = false;
  std::vector<Function<void(Result<>)>> waiting_for_default_;
  int under_way_ = 0;
};

}  // namespace gantry::engine
