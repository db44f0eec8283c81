#include "net/dns_server.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

namespace gantry::net {
namespace {

constexpr size_t kMaxPacket = 65535;
constexpr int kDatagramsAtOnce = 32;  // then others get their turn
constexpr size_t kConnectionsPerClient = 64;
constexpr size_t kUnsentLimit = 256 * 1024;  // of a client that asks but does not read
constexpr std::chrono::seconds kIdle{10};    // RFC 7766, 6.2.3: "a few seconds"

void make_non_blocking(int fd) { ::fcntl(fd, F_SETFL, ::fcntl(fd, F_GETFL) | O_NONBLOCK); }

// Our own address would ask us again.
std::vector<IpAddress> without_ourselves(std::vector<IpAddress> upstreams) {
  std::erase(upstreams, IpAddress::v4(0x7f00000b));
  constexpr size_t kMost = 3;  // as resolv.conf(5): MAXNS
  if (upstreams.size() > kMost) upstreams.resize(kMost);
  return upstreams;
}

}  // namespace

struct DnsServer::Connection {
  uint64_t number = 0;
  Fd socket;
  std::vector<uint8_t> input;
  std::vector<uint8_t> output;
  Scheduler::TimerId idle_timer = 0;
  std::unique_ptr<FdWatcher> watcher;  // goes before the socket
};

struct DnsServer::Asker {
  uint64_t number = 0;  // tells a replaced client's late answers from its successor's
  NameService::Client client;
  Fd udp;
  Fd tcp;
  Fd netns;
  std::unique_ptr<FdWatcher> udp_watcher;
  std::unique_ptr<FdWatcher> tcp_watcher;
  std::map<uint64_t, std::unique_ptr<Connection>> connections;
};

DnsServer::DnsServer(EventLoop& loop, Random& random, DnsForwarder::Options forwarding, Function<void()> before_answer)
    : loop_(loop), random_(random), before_answer_(std::move(before_answer)), forwarder_(loop, random, forwarding) {}

DnsServer::~DnsServer() {
  for (const std::string& id : clients()) remove_client(id);
}

void DnsServer::add_client(NameService::Client client, Fd udp, Fd tcp, Fd netns) {
  std::string id = client.id;
  remove_client(id);
  auto asker = std::make_unique<Asker>();
  asker->number = next_asker_++;
  client.upstreams = without_ourselves(std::move(client.upstreams));
  asker->client = std::move(client);
  asker->udp = std::move(udp);
  asker->tcp = std::move(tcp);
  asker->netns = std::move(netns);
  make_non_blocking(asker->udp.get());
  make_non_blocking(asker->tcp.get());
  asker->udp_watcher = std::make_unique<FdWatcher>(loop_, asker->udp.get(), FdWatcher::readable,
                                                   [this, id](int) { read_datagrams(std::string(id)); });
  asker->tcp_watcher = std::make_unique<FdWatcher>(loop_, asker->tcp.get(), FdWatcher::readable,
                                                   [this, id](int) { accept_connections(std::string(id)); });
  askers_.emplace(std::move(id), std::move(asker));
}

void DnsServer::update_client(NameService::Client client) {
  auto at = askers_.find(client.id);
  if (at == askers_.end()) return;
  client.upstreams = without_ourselves(std::move(client.upstreams));
  at->second->client = std::move(client);
}

void DnsServer::remove_client(const std::string& id) {
  auto at = askers_.find(id);
  if (at == askers_.end()) return;
  for (auto& [number, connection] : at->second->connections) loop_.cancel(connection->idle_timer);
  askers_.erase(at);
}

std::set<std::string> DnsServer::clients() const {
  std::set<std::string> ids;
  for (const auto& [id, asker] : askers_) ids.insert(id);
  return ids;
}

void DnsServer::read_datagrams(const std::string& id) {
  for (int i = 0; i < kDatagramsAtOnce; ++i) {
    auto at = askers_.find(id);
    if (at == askers_.end()) return;
    uint64_t number = at->second->number;
    uint8_t buffer[kMaxPacket];
    sockaddr_in peer{};
    socklen_t size = sizeof peer;
    ssize_t got =
        ::recvfrom(at->second->udp.get(), buffer, sizeof buffer, 0, reinterpret_cast<sockaddr*>(&peer), &size);
    if (got < 0) return;  // empty, or the error of an earlier answer that nobody waited for
    // Only after the query was taken: what was told before it was sent has arrived by now. It may remove the client.
    before_answer_();
    at = askers_.find(id);
    if (at == askers_.end() || at->second->number != number) return;
    answer(*at->second, {buffer, buffer + got}, DnsTransport::udp,
           [this, id, number, peer](std::vector<uint8_t> reply) {
             auto found = askers_.find(id);
             if (found == askers_.end() || found->second->number != number) return;
             // A full buffer drops it, as UDP does; the asker asks again.
             (void)::sendto(found->second->udp.get(), reply.data(), reply.size(), MSG_NOSIGNAL,
                            reinterpret_cast<const sockaddr*>(&peer), sizeof peer);
           });
  }
}

void DnsServer::accept_connections(const std::string& id) {
  auto at = askers_.find(id);
  if (at == askers_.end()) return;
  Asker& asker = *at->second;
  for (;;) {
    Fd socket(::accept4(asker.tcp.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!socket) return;
    if (asker.connections.size() >= kConnectionsPerClient) continue;  // closed again at once
    auto connection = std::make_unique<Connection>();
    connection->number = next_connection_++;
    connection->socket = std::move(socket);
    connection->watcher = std::make_unique<FdWatcher>(
        loop_, connection->socket.get(), FdWatcher::readable,
        [this, id, number = connection->number](int events) { serve_connection(std::string(id), number, events); });
    restart_idle_timer(id, *connection);
    asker.connections.emplace(connection->number, std::move(connection));
  }
}

void DnsServer::restart_idle_timer(const std::string& id, Connection& connection) {
  loop_.cancel(connection.idle_timer);
  connection.idle_timer =
      loop_.after(kIdle, [this, id, number = connection.number] { close_connection(std::string(id), number); });
}

void DnsServer::close_connection(const std::string& id, uint64_t number) {
  auto at = askers_.find(id);
  if (at == askers_.end()) return;
  auto found = at->second->connections.find(number);
  if (found == at->second->connections.end()) return;
  loop_.cancel(found->second->idle_timer);
  at->second->connections.erase(found);
}

void DnsServer::serve_connection(const std::string& id, uint64_t number, int events) {
  auto find = [&]() -> Connection* {
    auto at = askers_.find(id);
    if (at == askers_.end()) return nullptr;
    auto found = at->second->connections.find(number);
    return found == at->second->connections.end() ? nullptr : found->second.get();
  };
  Connection* connection = find();
  if (connection == nullptr) return;
  if ((events & FdWatcher::writable) != 0 && !flush(*connection)) return close_connection(id, number);
  if ((events & FdWatcher::readable) == 0) return;
  uint8_t buffer[16384];
  ssize_t got = ::recv(connection->socket.get(), buffer, sizeof buffer, 0);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (got <= 0) return close_connection(id, number);
  restart_idle_timer(id, *connection);
  connection->input.insert(connection->input.end(), buffer, buffer + got);
  before_answer_();  // as for datagrams
  // Queries with their length in front, any number of them (RFC 7766).
  while ((connection = find()) != nullptr && connection->input.size() >= 2) {
    auto& input = connection->input;
    size_t size = static_cast<size_t>(input[0]) << 8 | input[1];
    if (input.size() < size + 2) return;
    std::vector<uint8_t> packet(input.begin() + 2, input.begin() + 2 + static_cast<ptrdiff_t>(size));
    input.erase(input.begin(), input.begin() + 2 + static_cast<ptrdiff_t>(size));
    answer(*askers_.at(id), std::move(packet), DnsTransport::tcp,
           [this, id, number](std::vector<uint8_t> reply) { send_reply(id, number, reply); });
  }
}

void DnsServer::send_reply(const std::string& id, uint64_t number, const std::vector<uint8_t>& packet) {
  auto at = askers_.find(id);
  if (at == askers_.end()) return;
  auto found = at->second->connections.find(number);
  if (found == at->second->connections.end()) return;
  Connection& connection = *found->second;
  connection.output.push_back(static_cast<uint8_t>(packet.size() >> 8));
  connection.output.push_back(static_cast<uint8_t>(packet.size()));
  connection.output.insert(connection.output.end(), packet.begin(), packet.end());
  if (connection.output.size() > kUnsentLimit || !flush(connection)) close_connection(id, number);
}

bool DnsServer::flush(Connection& connection) {
  ssize_t sent = connection.output.empty() ? 0
                                           : ::send(connection.socket.get(), connection.output.data(),
                                                    connection.output.size(), MSG_NOSIGNAL);
  if (sent < 0 && errno != EAGAIN && errno != EINTR) return false;
  connection.output.erase(connection.output.begin(), connection.output.begin() + std::max<ssize_t>(sent, 0));
  int interest = connection.output.empty() ? FdWatcher::readable : FdWatcher::readable | FdWatcher::writable;
  connection.watcher->set_interest(interest);
  return true;
}

std::optional<std::vector<DnsRecord>> DnsServer::look_up(const NameService::Client& client, const DnsQuery& query) {
  // A link's alias stands for what it is linked to, for this client alone.
  auto link = client.links.find(query.name);
  if (link != client.links.end()) {
    if (auto records = zone_.look_up(client.networks, link->second, query.type, random_)) return records;
  }
  return zone_.look_up(client.networks, query.name, query.type, random_);
}

void DnsServer::answer(Asker& asker, std::vector<uint8_t> packet, DnsTransport transport, Reply reply) {
  auto query = parse_dns_query(packet);
  if (!query) return;
  const size_t limit = transport == DnsTransport::udp ? udp_answer_limit(*query) : kMaxPacket;
  const auto answer_with = [&](DnsCode code, const std::vector<DnsRecord>& records = {}) {
    reply(build_dns_answer(*query, code, records, limit));
  };
  if (query->problem != DnsCode::no_error) return answer_with(query->problem);
  if (auto records = look_up(asker.client, *query)) return answer_with(DnsCode::no_error, *records);
  const bool is_address = query->type == static_cast<uint16_t>(DnsType::a) ||
                          query->type == static_cast<uint16_t>(DnsType::aaaa);
  // Whoever sets ndots has search domains tried first, and a bare name is none that the world knows.
  if (asker.client.sets_ndots && is_address && query->name.find('.') == std::string::npos) {
    return answer_with(DnsCode::no_error);
  }
  forward(asker, std::move(packet), *query, transport, std::move(reply));
}

void DnsServer::forward(Asker& asker, std::vector<uint8_t> packet, const DnsQuery& query, DnsTransport transport,
                        Reply reply) {
  const size_t limit = transport == DnsTransport::udp ? udp_answer_limit(query) : kMaxPacket;
  const NameService::Client& client = asker.client;
  const auto& upstreams = client.own_upstreams || !client.upstreams.empty() ? client.upstreams : host_upstreams_;
  // A container without a way out must not get one through us. What it asks from inside gets no further than itself.
  const bool from_inside = client.own_upstreams && asker.netns;
  if (upstreams.empty() || (client.internal_only && !from_inside)) {
    return reply(build_dns_answer(query, DnsCode::server_failure, {}, limit));
  }
  std::string scope = from_inside ? client.id : "";
  for (const IpAddress& upstream : upstreams) scope += " " + upstream.to_string();
  const std::string key = DnsCache::key(scope, packet, query);
  if (auto kept = cache_.find(key, query, loop_.clock().mono()); kept && kept->size() <= limit) {
    return reply(*std::move(kept));
  }
  if (forwarder_.is_full()) return reply(build_dns_answer(query, DnsCode::refused, {}, limit));
  forwarder_.ask({.packet = std::move(packet),
                  .query = query,
                  .upstreams = upstreams,
                  .transport = transport,
                  .netns = from_inside ? asker.netns.get() : -1},
                 [this, query, limit, key, reply = std::move(reply)](std::optional<std::vector<uint8_t>> answer) mutable {
                   if (!answer) return reply(build_dns_answer(query, DnsCode::server_failure, {}, limit));
                   cache_.keep(key, query, *answer, loop_.clock().mono());
                   reply(std::move(*answer));
                 });
}

void DnsServer::set_host_upstreams(std::vector<IpAddress> upstreams) {
  host_upstreams_ = without_ourselves(std::move(upstreams));
  cache_.clear();  // another network may know the same names differently
}

}  // namespace gantry::net
