// Host ports held for containers. A published port is really bound, so that other programs get EADDRINUSE; what
// reaches the socket is thrown away by a packet filter on it, because published traffic never gets there: it is
// translated on the way in. A port without rules behind it is thus silent rather than answered by the wrong program.
// Where the kernel cannot translate, the socket is one that a process serves (UserForward).
#pragma once

#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "base/result.h"
#include "net/network.h"

namespace gantry::net {

// All ports that are held by this process. Any thread. Reservations may outlive it.
class PortTable {
 public:
  PortTable();
  ~PortTable();

  // From now on every port is served by a process: nothing is translated.
  void carry_everything();

  // All or none. An empty host address means both families, under one number, if the host has IPv6. For a family in which
  // the owner is routed nothing is held: the port is listed with the number 0, "0.0.0.0" or "::" (empty: both).
  // Errors, in Docker's words: "Bind for 0.0.0.0:8099 failed: port is already allocated" (with the container that has
  // it), "failed to bind host port 0.0.0.0:8123/tcp: address already in use" (another program; its name and pid).
  Result<std::unique_ptr<PortReservation>> reserve(const std::vector<PortRequest>& requests, const PortOwner& owner);
  // As NetworkStack::check_ports.
  std::vector<std::optional<Error>> check(const std::vector<PortQuestion>& questions,
                                          const std::set<std::string>& leaving);

 private:
  struct Shared;
  class Reservation;
  std::shared_ptr<Shared> shared_;
};

}  // namespace gantry::net
