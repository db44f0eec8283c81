// The short way for the host's own programs to TCP ports that are published at 127.0.0.0/8: the kernel exchanges the address as
// they connect (connect_program.h), so that packets go straight to the container. Otherwise each would be sent by the loopback
// interface's measure, translated and routed anew. A container sees the bridge's address either way.
//
// It replaces nothing: the firewall's rules stand, and serve UDP, other addresses of the host, sockets that are bound, connections
// made while there is no daemon (the programs end with its descriptors), and kernels without BPF, without a mounted v2 tree of
// cgroups, or that keep it from us.
//
// Blocking, any thread (locks inside), of one network namespace.
#pragma once

#include <map>
#include <mutex>
#include <vector>

#include "base/fd.h"
#include "net/connect_program.h"
#include "net/network.h"

namespace gantry::net {

// What an endpoint's published ports put into the map `targets`. Pure. Host addresses that do not parse are left out.
std::map<ConnectPlace, ConnectPlace> connect_targets(const EndpointConfig& endpoint);

class ConnectRedirect {
 public:
  // The first port that is published brings the programs into the kernel.
  void publish(const EndpointConfig& endpoint);
  // Only what leads to this endpoint still.
  void withdraw(const EndpointConfig& endpoint);
  // Makes these the only ones.
  void replace_all(const std::vector<EndpointConfig>& endpoints);

 private:
  struct Kernel {
    Fd targets, connected;
    std::vector<Fd> links;
  };
  static Result<Kernel> bring_in();
  bool is_ready();
  void put(const ConnectPlace& from, const ConnectPlace& to);
  void erase(const ConnectPlace& from);

  std::mutex mutex_;  // all below
  bool tried_ = false;
  Kernel kernel_;  // without links: it cannot be had
  std::map<ConnectPlace, ConnectPlace> targets_;
};

}  // namespace gantry::net
