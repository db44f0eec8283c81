#include "net/forwarder.h"

#include <netinet/in.h>

namespace gantry::net {

std::string UserForward::key() const {
  std::string address = host.is_v6() ? "[" + host.to_string() + "]" : host.to_string();
  return (protocol == IPPROTO_UDP ? "udp " : "tcp ") + address + ":" + std::to_string(host_port);
}

void Forwarder::carry(const UserForward& forward, Fd socket) {
  const std::string key = forward.key();
  if (auto at = carried_.find(key); at != carried_.end()) {
    if (auto* stream = std::get_if<std::unique_ptr<StreamForward>>(&at->second)) {
      (*stream)->set_target({forward.target, forward.target_port});
    } else {
      std::get<std::unique_ptr<DatagramForward>>(at->second)->set_target({forward.target, forward.target_port});
    }
    return;
  }
  if (!socket) return;
  if (forward.protocol == IPPROTO_UDP) {
    carried_.emplace(key, std::make_unique<DatagramForward>(
                              loop_, std::move(socket), DatagramForward::Target{forward.target, forward.target_port}));
  } else {
    carried_.emplace(key, std::make_unique<StreamForward>(loop_, std::move(socket),
                                                          StreamForward::Target{forward.target, forward.target_port}));
  }
}

void Forwarder::stop(const std::string& key) { carried_.erase(key); }

std::set<std::string> Forwarder::keys() const {
  std::set<std::string> keys;
  for (const auto& [key, carrier] : carried_) keys.insert(key);
  return keys;
}

}  // namespace gantry::net
