// Joining and leaving networks, in any state: a running container gets or loses an interface at once.
#include <algorithm>

#include "base/log.h"
#include "base/overwrite_file.h"
#include "engine/container/containers_access.h"
#include "engine/network_options.h"

namespace gantry::engine {
namespace {

bool means(const EndpointSpec& endpoint, const NetworkRecord& network) {
  return endpoint.network == network.spec.name || endpoint.network == network.id.str();
}

}  // namespace

void Containers::connect(const NetworkId& network, const ContainerId& id, EndpointSpec endpoint, Reply<> reply) {
  Container* container = get_or_refuse(id, reply);
  if (container == nullptr) return;
  enqueue(*container, [this, id, network, endpoint = std::move(endpoint),
                       reply = std::move(reply)](Container* found) mutable {
    if (found == nullptr) return reply(no_such_container(id.str()));
    begin_connect(*found, network, std::move(endpoint), [this, id, reply = std::move(reply)](Result<> done) mutable {
      end_operation(id);
      reply(std::move(done));
    });
  });
}

void Containers::disconnect(const NetworkId& network, const ContainerId& id, bool force, Reply<> reply) {
  Container* container = get_or_refuse(id, reply);
  if (container == nullptr) return;
  enqueue(*container, [this, id, network, force, reply = std::move(reply)](Container* found) mutable {
    if (found == nullptr) return reply(no_such_container(id.str()));
    begin_disconnect(*found, network, force, [this, id, reply = std::move(reply)](Result<> done) mutable {
      end_operation(id);
      reply(std::move(done));
    });
  });
}

Result<> Containers::may_connect(const Container& container, const NetworkRecord& network,
                                 const EndpointSpec& endpoint) const {
  const ContainerSpec& spec = container.spec;
  if (spec.network_mode.kind == NetworkMode::Kind::host || network.spec.driver == "host") {
    return Error(Code::forbidden, "container cannot be disconnected from host network or connected to host network");
  }
  if (spec.network_mode.kind == NetworkMode::Kind::container) {
    return Error(Code::forbidden, "container sharing network namespace with another container or host cannot be connected to any other network");
  }
  if (network.spec.driver == "null" || spec.network_mode.kind == NetworkMode::Kind::none) {
    return invalid("container cannot be connected to multiple networks with one of the networks in private (none) mode");
  }
  if (networks_.is_default(network.id) && !endpoint.aliases.empty()) {
    return invalid("network-scoped alias is supported only for containers in user defined networks");
  }
  TRY(check_endpoint(endpoint));
  if (endpoint_spec(container, network.id) != nullptr) {
    return Error(Code::forbidden,
                 "endpoint with name " + spec.name + " already exists in network " + network.spec.name);
  }
  if (container.status.state == ContainerState::removing) {
    return conflict("container " + spec.name + " is being removed");
  }
  return {};
}

void Containers::add_endpoint(Container& container, EndpointSpec endpoint) {
  by_network_[endpoint.network].insert(container.id);
  container.spec.endpoints.push_back(std::move(endpoint));
  save_spec(container);
}

// Within an operation.
void Containers::begin_connect(Container& container, const NetworkId& network_id, EndpointSpec endpoint,
                               Function<void(Result<>)> done) {
  if (networks_.is_default(network_id)) {
    container.working = true;
    return networks_.ensure_default([this, id = container.id, network_id, endpoint = std::move(endpoint),
                                     done = std::move(done)](Result<> made) mutable {
      get(id)->working = false;
      if (!made.ok()) return done(std::move(made));
      connect_ready(*get(id), network_id, std::move(endpoint), std::move(done));
    });
  }
  connect_ready(container, network_id, std::move(endpoint), std::move(done));
}

void Containers::connect_ready(Container& container, const NetworkId& network_id, EndpointSpec endpoint,
                               Function<void(Result<>)> done) {
  const NetworkRecord* network = networks_.get(network_id);
  if (network == nullptr) return done(not_found("network " + network_id.str() + " not found"));
  endpoint.network = network->spec.name;
  if (auto may = may_connect(container, *network, endpoint); !may.ok()) return done(std::move(may));
  const bool live = container.link != nullptr && is_up(container.status.state) && !container.ended;
  if (!live) {
    add_endpoint(container, std::move(endpoint));
    emit_network(container, network_id, "connect");
    return done({});
  }
  auto state = networks_.allocate(*network, endpoint);
  if (!state.ok()) return done(std::move(state).error());
  add_endpoint(container, std::move(endpoint));
  std::vector<EndpointState> all = container.status.endpoints;
  all.push_back(*state);
  change_endpoints(container, std::move(all),
                   [this, id = container.id, state = *state, done = std::move(done)](Result<> changed) mutable {
                     Container& found = *get(id);
                     if (!changed.ok()) {
                       networks_.release(state);
                       drop_endpoint(found, state.network);
                       return done(std::move(changed));
                     }
                     emit_network(found, state.network, "connect");
                     done({});
                   });
}

void Containers::change_endpoints(Container& container, std::vector<EndpointState> wanted,
                                  Function<void(Result<>)> done) {
  auto sockets = container.link->netns_sockets();
  if (!sockets.ok()) return done(std::move(sockets).error());
  order_endpoints(container, wanted);
  const std::vector<EndpointState>& old = container.status.endpoints;
  NetworkChange change;
  for (const EndpointState& endpoint : wanted) {
    auto was = std::find_if(old.begin(), old.end(), [&](const EndpointState& one) {
      return one.endpoint_id == endpoint.endpoint_id;
    });
    if (was != old.end() && *was == endpoint) continue;
    change.changed.push_back(start_endpoint(container, endpoint));
    if (was != old.end()) change.before.push_back(start_endpoint(container, *was));
  }
  for (const EndpointState& endpoint : old) {
    const bool stays = std::any_of(wanted.begin(), wanted.end(), [&](const EndpointState& one) {
      return one.endpoint_id == endpoint.endpoint_id;
    });
    if (!stays) change.leaving = start_endpoint(container, endpoint);
  }
  change.sockets = *std::move(sockets);
  change.dns = dns_client(container, wanted);
  change.new_dns_client = old.empty();
  change.ports = wanted_ports(container, wanted);
  change.port_owner = port_owner(container, wanted);
  container.working = true;
  context_.tasks.run(
      [tools = StartTools{context_.runtime, context_.stack, context_.names}, change = std::move(change),
       ports = std::move(container.ports)]() mutable {
        return run_network_change(tools, std::move(change), std::move(ports));
      },
      [this, id = container.id, wanted = std::move(wanted), done = std::move(done)](NetworkChanged changed) mutable {
        Container& found = *get(id);
        found.working = false;
        found.ports = std::move(changed.ports);
        if (changed.done.ok()) {
          for (const EndpointState& endpoint : found.status.endpoints) networks_.remove_member(endpoint.network, id);
          found.status.endpoints = std::move(wanted);
          for (const EndpointState& endpoint : found.status.endpoints) {
            networks_.add_member(id, found.spec.name, endpoint);
          }
          found.status.published = found.ports ? found.ports->ports() : std::vector<net::PortForward>();
          save_state(found);
          write_hosts(found);
        }
        done(std::move(changed.done));
      });
}

void Containers::drop_endpoint(Container& container, const NetworkId& network) {
  const NetworkRecord* record = networks_.get(network);
  if (record == nullptr) return;
  for (const std::string& reference : {record->spec.name, record->id.str()}) {
    auto at = by_network_.find(reference);
    if (at != by_network_.end()) at->second.erase(container.id);
  }
  std::erase_if(container.spec.endpoints, [&](const EndpointSpec& endpoint) { return means(endpoint, *record); });
  save_spec(container);
}

void Containers::begin_disconnect(Container& container, const NetworkId& network_id, bool force,
                                  Function<void(Result<>)> done) {
  const NetworkRecord* network = networks_.get(network_id);
  if (network == nullptr) return done(not_found("network " + network_id.str() + " not found"));
  if (container.spec.network_mode.kind == NetworkMode::Kind::host || network->spec.driver == "host") {
    return done(Error(Code::forbidden,
                      "container cannot be disconnected from host network or connected to host network"));
  }
  if (endpoint_spec(container, network_id) == nullptr) {
    if (force) return done({});
    return done(internal_error("container " + container.id.str() + " is not connected to the network " +
                               network->spec.name));
  }
  auto at = std::find_if(container.status.endpoints.begin(), container.status.endpoints.end(),
                         [&](const EndpointState& endpoint) { return endpoint.network == network_id; });
  const bool live = container.link != nullptr && !container.ended && at != container.status.endpoints.end();
  if (!live) {
    drop_endpoint(container, network_id);
    emit_network(container, network_id, "disconnect");
    return done({});
  }
  const EndpointState state = *at;
  std::vector<EndpointState> rest = container.status.endpoints;
  std::erase_if(rest, [&](const EndpointState& endpoint) { return endpoint.network == network_id; });
  change_endpoints(container, std::move(rest),
                   [this, id = container.id, state, done = std::move(done)](Result<> changed) mutable {
                     Container& found = *get(id);
                     if (!changed.ok()) return done(std::move(changed));
                     networks_.release(state);
                     drop_endpoint(found, state.network);
                     emit_network(found, state.network, "disconnect");
                     done({});
                   });
}

// In place, because the container has the file itself mounted.
void Containers::write_hosts(const Container& container) {
  auto text = hosts_text(container, container.status.endpoints);
  Result<> written = text.ok() ? overwrite_file(context_.paths.container(container.id) / "hosts", *text, 0644)
                               : Result<>(text.error());
  if (!written.ok()) log_warning("container " + container.spec.name + ": /etc/hosts: " + written.error().message());
}

}  // namespace gantry::engine
