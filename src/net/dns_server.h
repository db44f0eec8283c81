// The name service of one daemon's containers: answers on sockets that live in the containers' network namespaces.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/fd.h"
#include "base/function.h"
#include "base/loop.h"
#include "base/random.h"
#include "net/dns_cache.h"
#include "net/dns_forward.h"
#include "net/dns_zone.h"
#include "net/network.h"

namespace gantry::net {

// Loop thread only.
class DnsServer {
 public:
  // `before_answer` runs between taking a query and answering it: changes that were sent before it must be in.
  DnsServer(EventLoop& loop, Random& random, DnsForwarder::Options forwarding, Function<void()> before_answer);
  ~DnsServer();

  DnsZone& zone() { return zone_; }
  // A client of that id is replaced, connections and all. `udp` is bound, `tcp` listens; both are made non-blocking.
  // `netns`, from which its own upstreams are asked, may be invalid.
  void add_client(NameService::Client client, Fd udp, Fd tcp, Fd netns = Fd());
  void update_client(NameService::Client client);  // an unknown one is no error
  void remove_client(const std::string& id);
  std::set<std::string> clients() const;
  // Asked for clients that bring no upstreams of their own; from now on.
  void set_host_upstreams(std::vector<IpAddress> upstreams);

 private:
  struct Connection;
  struct Asker;
  struct Datagrams;
  struct Question;
  using Reply = Function<void(std::vector<uint8_t>)>;

  void read_datagrams(const std::string& id);
  void accept_connections(const std::string& id);
  void serve_connection(const std::string& id, uint64_t number, int events);
  std::optional<std::vector<DnsRecord>> look_up(const NameService::Client& client, const DnsQuery& query);
  // Answers at once whatever needs no upstream. For the rest nothing is returned, and what `later` makes is called when
  // an upstream has answered, never inside this call.
  template <class MakeReply>
  std::optional<std::vector<uint8_t>> answer(Asker& asker, DnsBytes packet, DnsTransport transport, MakeReply later);
  std::optional<std::vector<uint8_t>> answer_at_once(const Question& question);
  void forward(const Question& question, Reply reply);
  void send_reply(const std::string& id, uint64_t connection, const std::vector<uint8_t>& packet);
  bool flush(Connection& connection);
  void close_connection(const std::string& id, uint64_t number);
  void restart_idle_timer(const std::string& id, Connection& connection);

  EventLoop& loop_;
  SeededRandom order_;  // of a name's addresses: nothing that has to be hard to guess
  Function<void()> before_answer_;
  DnsZone zone_;
  DnsCache cache_;
  std::vector<IpAddress> host_upstreams_;
  DnsForwarder forwarder_;
  uint64_t next_connection_ = 1;
  uint64_t next_asker_ = 1;
  std::map<std::string, std::unique_ptr<Asker>> askers_;
  std::unique_ptr<Datagrams> datagrams_;
};

}  // namespace gantry::net
