// The published ports that a process carries because the kernel cannot translate them (see UserForward).
#pragma once

#include <map>
#include <set>
#include <string>
#include <variant>

#include "base/fd.h"
#include "base/loop.h"
#include "net/datagram_forward.h"
#include "net/network.h"
#include "net/stream_forward.h"

namespace gantry::net {

// Loop thread only.
class Forwarder {
 public:
  explicit Forwarder(EventLoop& loop) : loop_(loop) {}

  // Carried already: takes the new target and leaves the socket. Without a socket an unknown one is ignored.
  void carry(const UserForward& forward, Fd socket);
  void stop(const std::string& key);  // unknown is no error
  std::set<std::string> keys() const;
  bool empty() const { return carried_.empty(); }

 private:
  using Carrier = std::variant<std::unique_ptr<StreamForward>, std::unique_ptr<DatagramForward>>;
  EventLoop& loop_;
  std::map<std::string, Carrier> carried_;
};

}  // namespace gantry::net
