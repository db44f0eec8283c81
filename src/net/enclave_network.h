// Networks on the host and in enclaves. What is asked about a bridge goes to the network stack of the namespace that it lives
// in; an enclave has a stack of its own, whose calls run on threads that enter it. On the host's side an enclave is an
// endpoint of the uplink, a bridge on which enclaves don't reach each other:
//
//   client ─► host: port 8080 ─translated─► uplink address: port 8080 ─translated─► container: port 80
//   container ─► its bridge ─as the uplink address─► uplink ─as the host─► outside
//
// A namespace lives as long as it is mounted on RUN/netns/ID, so it outlives the daemon; one that is gone is made anew.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "net/bridge_network.h"
#include "net/network.h"

namespace gantry::net {

// Any thread. As BridgeNetwork it belongs to the network namespace of the threads that call it.
class EnclaveNetwork final : public NetworkStack {
 public:
  explicit EnclaveNetwork(Options options);
  ~EnclaveNetwork() override;

  Result<> set_up() override { return host_.set_up(); }
  bool translates() const override { return host_.translates(); }
  Result<> tear_down() override;
  // An enclave is made with its first bridge and removed with its last one, and so is the uplink with enclaves.
  Result<> create_bridge(const BridgeConfig& bridge) override;
  Result<> remove_bridge(const BridgeConfig& bridge) override;
  Result<std::unique_ptr<PortReservation>> reserve_ports(const std::vector<PortRequest>& ports,
                                                         const PortOwner& owner) override;
  std::vector<std::optional<Error>> check_ports(const std::vector<PortQuestion>& questions,
                                                const std::set<std::string>& leaving) override;
  Result<> attach(const EndpointConfig& endpoint, const NetnsAccess& netns) override;
  Result<bool> is_attached(const EndpointConfig& endpoint) override;
  Result<> redirect_dns(const NetnsAccess& netns, uint16_t udp_port, uint16_t tcp_port) override;
  Result<> loopback_up(const NetnsAccess& netns) override;
  Result<> detach(const EndpointConfig& endpoint, const NetnsAccess* netns) override;
  Result<> detach_ended(const EndpointConfig& endpoint) override;
  Result<> unpublish(const EndpointConfig& endpoint) override;
  Result<std::vector<Subnet>> routes_in_use() override { return host_.routes_in_use(); }
  Result<> remove_all_but(const std::vector<BridgeConfig>& bridges,
                          const std::vector<EndpointConfig>& endpoints) override;

 private:
  class Inside;

  Result<std::shared_ptr<Inside>> find(const Enclave& enclave);  // not_found: it has no bridge
  Result<std::shared_ptr<Inside>> ensure(const Enclave& enclave, bool gives_way);
  Result<std::shared_ptr<Inside>> make(const Enclave& enclave);
  Result<> remove(const Enclave& enclave);
  BridgeConfig uplink(const Enclave& enclave) const;
  EndpointConfig on_uplink(const Enclave& enclave) const;  // the enclave itself
  EndpointConfig published_on_uplink(const EndpointConfig& endpoint) const;
  std::string file_of(const std::string& enclave) const;

  const Options options_;
  BridgeNetwork host_;
  std::mutex building_;  // one enclave at a time comes or goes
  std::mutex mutex_;
  std::map<std::string, std::shared_ptr<Inside>> inside_;  // by enclave; guarded by mutex_
};

}  // namespace gantry::net
