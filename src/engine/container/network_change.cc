// The blocking part of joining and leaving networks with a container that runs.
#include "base/fault.h"
#include "base/log.h"
#include "engine/container/start_job.h"

namespace gantry::engine {
namespace {

class Change {
 public:
  Change(StartTools tools, NetworkChange& change, std::unique_ptr<net::PortReservation> ports)
      : tools_(tools),
        change_(change),
        ports_(std::move(ports)),
        access_{change.sockets.route.get(), change.sockets.netfilter.get(), change.sockets.netns.get()} {}

  Result<> run() {
    service_ = TRY(tools_.names.get());
    if (change_.leaving) TRY(leave());
    TRY(lead_ports());
    for (StartEndpoint& endpoint : change_.changed) {
      if (ports_) endpoint.config.ports = ports_->ports();
      TRY(tools_.stack.attach(endpoint.config, access_));
      fault_point("network joined");
    }
    TRY(carry_ports(*service_, ports_.get()));
    TRY(tell_names());
    fault_point("network change told");
    return {};
  }

  // After a failure: what was added goes, what gave the default route and the ports does so again.
  void undo() {
    const auto report = [](const Result<>& undone) {
      if (!undone.ok()) log_warning("undoing a change of networks: " + undone.error().message());
    };
    for (const StartEndpoint& endpoint : change_.changed) {
      if (is_new(endpoint)) report(tools_.stack.detach(endpoint.config, &access_));
      if (is_new(endpoint) && service_ != nullptr) report(service_->withdraw(endpoint.key));
    }
    for (StartEndpoint& endpoint : change_.before) {
      if (ports_) endpoint.config.ports = ports_->ports();
      report(tools_.stack.attach(endpoint.config, access_));
    }
  }
  std::unique_ptr<net::PortReservation> take_ports() { return std::move(ports_); }

 private:
  bool is_new(const StartEndpoint& endpoint) const {
    for (const StartEndpoint& old : change_.before) {
      if (old.key == endpoint.key) return false;
    }
    return true;
  }

  Result<> leave() {
    StartEndpoint& leaving = *change_.leaving;
    if (ports_) leaving.config.ports = ports_->ports();
    if (leaving.record) TRY(service_->withdraw(leaving.key));
    return tools_.stack.detach(leaving.config, &access_);
  }

  // The ports follow the default route.
  Result<> lead_ports() {
    if (change_.ports.empty()) {
      TRY(stop_carrying_ports(tools_.names, ports_.get()));
      ports_.reset();
      return {};
    }
    if (ports_ && ports_->lead_to(change_.port_owner)) return {};
    if (ports_) TRY(give_back_ports());
    ports_ = TRY(tools_.stack.reserve_ports(change_.ports, change_.port_owner)
                     .within("driver failed programming external connectivity on endpoint " + change_.port_owner.name));
    return {};
  }

  // From a network whose ports are translated to a routed one, or back: what was held and ruled is of no use any more.
  Result<> give_back_ports() {
    for (StartEndpoint endpoint : change_.before) {
      endpoint.config.ports = ports_->ports();
      TRY(tools_.stack.unpublish(endpoint.config));
    }
    TRY(stop_carrying_ports(tools_.names, ports_.get()));
    ports_.reset();
    return {};
  }

  Result<> tell_names() {
    NetnsSockets& sockets = change_.sockets;
    if (change_.new_dns_client) {
      TRY(tools_.stack.redirect_dns(access_, local_port(sockets.dns_udp.get()), local_port(sockets.dns_tcp.get())));
      Fd netns = change_.dns.own_upstreams ? std::move(sockets.netns) : Fd();
      TRY(service_->add_client(change_.dns, std::move(sockets.dns_udp), std::move(sockets.dns_tcp), std::move(netns)));
    } else {
      TRY(service_->update_client(change_.dns));
    }
    for (const StartEndpoint& endpoint : change_.changed) {
      if (endpoint.record) TRY(service_->publish(endpoint.key, *endpoint.record));
    }
    return {};
  }

  StartTools tools_;
  NetworkChange& change_;
  std::unique_ptr<net::PortReservation> ports_;
  net::NetnsAccess access_;
  net::NameService* service_ = nullptr;
};

}  // namespace

NetworkChanged run_network_change(StartTools tools, NetworkChange change, std::unique_ptr<net::PortReservation> ports) {
  Change work(tools, change, std::move(ports));
  Result<> done = work.run();
  if (!done.ok()) work.undo();
  return {.done = std::move(done), .ports = work.take_ports()};
}

}  // namespace gantry::engine
