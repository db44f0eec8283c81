// The daemon's orders to the name service: one connection at a time, over a unix socket in the run directory.
#pragma once

#include <array>
#include <memory>
#include <set>
#include <string>

#include "base/fd.h"
#include "base/function.h"
#include "base/loop.h"
#include "net/dns_protocol.h"
#include "net/dns_server.h"
#include "net/forwarder.h"

namespace gantry::dns {

// Loop thread only.
class Control {
 public:
  // `listening`: a SOCK_SEQPACKET socket that listens as dns.sock in `run_directory` (kept open as well).
  // `done` is called once, when the service is not needed any more: no daemon, no clients and no ports to carry, or another takes over.
  Control(EventLoop& loop, net::DnsServer& server, net::Forwarder& forwarder, Fd run_directory, Fd listening,
          Function<void()> done);
  ~Control();

  // Carries out what has arrived. Called before queries are answered, so that they see it.
  void drain();

 private:
  void accept_daemon();
  bool receive_one();  // false: nothing more now
  void carry_out(net::DnsRequest request, std::array<Fd, 3> fds);
  void reply_version();
  void forget_unconfirmed();
  void hang_up();
  void end_if_unneeded();
  void end();

  EventLoop& loop_;
  net::DnsServer& server_;
  net::Forwarder& forwarder_;
  Fd run_directory_;
  Fd listening_;
  Fd daemon_;
  std::unique_ptr<FdWatcher> listening_watcher_;
  std::unique_ptr<FdWatcher> daemon_watcher_;
  Function<void()> done_;
  bool ended_ = false;
  Scheduler::TimerId unneeded_timer_ = 0;
  // Known from an earlier daemon and not yet told by this one.
  std::set<std::string> unconfirmed_clients_;
  std::set<std::string> unconfirmed_keys_;
  std::set<std::string> unconfirmed_forwards_;
};

}  // namespace gantry::dns
