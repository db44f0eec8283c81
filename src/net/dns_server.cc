#include "net/dns_server.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

namespace gantry::net {
namespace {

constexpr unsigned kQueriesOfATurn = 32;  // then others get their turn
// Of each container's socket: a thousand questions, or answers that are not fetched yet. The default holds some 250.
constexpr int kSocketRoom = 1 << 20;
constexpr size_t kConnectionsPerClient = 64;
constexpr size_t kUnsentLimit = 256 * 1024;  // of a client that asks but does not read
constexpr std::chrono::seconds kIdle{10};    // RFC 7766, 6.2.3: "a few seconds"

void make_room(int fd) {
  for (int option : {SO_RCVBUFFORCE, SO_SNDBUFFORCE})
    ::setsockopt(fd, SOL_SOCKET, option, &kSocketRoom, sizeof kSocketRoom);
}

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

// What one system call takes from a socket, and another gives back.
struct DnsServer::Datagrams {
  uint8_t bytes[kQueriesOfATurn][kMaxPacket];
  sockaddr_in peers[kQueriesOfATurn];
  mmsghdr received[kQueriesOfATurn];
  iovec parts[kQueriesOfATurn];
  std::vector<uint8_t> replies[kQueriesOfATurn];
  mmsghdr to_send[kQueriesOfATurn];
  iovec reply_parts[kQueriesOfATurn];
  unsigned waiting = 0;  // replies

  unsigned receive(int socket) {
    for (unsigned i = 0; i < kQueriesOfATurn; ++i) {
      parts[i] = {.iov_base = bytes[i], .iov_len = sizeof bytes[i]};
      received[i] = {};
      received[i].msg_hdr = {
          .msg_name = &peers[i], .msg_namelen = sizeof peers[i], .msg_iov = &parts[i], .msg_iovlen = 1};
    }
    const int got = ::recvmmsg(socket, received, kQueriesOfATurn, MSG_DONTWAIT, nullptr);
    return got < 0 ? 0 : static_cast<unsigned>(got);  // empty, or the error of an earlier answer that nobody waited for
  }
  DnsBytes packet(unsigned index) const { return {bytes[index], received[index].msg_len}; }

  void reply(unsigned index, std::vector<uint8_t> packet) {
    replies[waiting] = std::move(packet);
    reply_parts[waiting] = {.iov_base = replies[waiting].data(), .iov_len = replies[waiting].size()};
    to_send[waiting] = {};
    to_send[waiting].msg_hdr = {.msg_name = &peers[index],
                                .msg_namelen = sizeof peers[index],
                                .msg_iov = &reply_parts[waiting],
                                .msg_iovlen = 1};
    ++waiting;
  }
  // One that cannot be sent is dropped, as UDP does; its asker asks again.
  void send(int socket) {
    for (unsigned at = 0; at < waiting;) {
      const int sent = ::sendmmsg(socket, to_send + at, waiting - at, MSG_NOSIGNAL);
      at += sent > 0 ? static_cast<unsigned>(sent) : 1;
    }
    waiting = 0;
  }
};

// One query on its way to an answer.
struct DnsServer::Question {
  Asker& asker;
  DnsBytes packet;
  const DnsQuery& query;
  DnsTransport transport;
  size_t limit;  // of the answer, in bytes

  const NameService::Client& client() const { return asker.client; }
  const std::vector<IpAddress>& upstreams(const std::vector<IpAddress>& of_host) const {
    return client().own_upstreams || !client().upstreams.empty() ? client().upstreams : of_host;
  }
  // A container without a way out must not get one through us. What it asks from inside gets no further than itself.
  bool from_inside() const { return client().own_upstreams && asker.netns; }
  std::string cache_key(const std::vector<IpAddress>& asked) const {
    std::string scope = from_inside() ? client().id : "";
    for (const IpAddress& upstream : asked) scope += " " + upstream.to_string();
    return DnsCache::key(scope, packet, query);
  }
  std::vector<uint8_t> answer(DnsCode code, const std::vector<DnsRecord>& records = {}) const {
    return build_dns_answer(query, code, records, limit);
  }
};

DnsServer::DnsServer(EventLoop& loop, Random& random, DnsForwarder::Options forwarding, Function<void()> before_answer)
    : loop_(loop),
      order_(random.below(UINT64_MAX)),
      before_answer_(std::move(before_answer)),
      forwarder_(loop, random, forwarding),
      datagrams_(new Datagrams) {}

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
  make_room(asker->udp.get());
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
  auto at = askers_.find(id);
  if (at == askers_.end()) return;
  const uint64_t number = at->second->number;
  const unsigned got = datagrams_->receive(at->second->udp.get());
  if (got == 0) return;
  // Only after the queries were taken: what was told before they were sent has arrived by now. It may remove the
  // client.
  before_answer_();
  at = askers_.find(id);
  if (at == askers_.end() || at->second->number != number) return;
  Asker& asker = *at->second;
  for (unsigned i = 0; i < got; ++i) {
    auto reply = answer(asker, datagrams_->packet(i), DnsTransport::udp, [&, peer = datagrams_->peers[i]] {
      return [this, id, number, peer](std::vector<uint8_t> late) {
        auto found = askers_.find(id);
        if (found == askers_.end() || found->second->number != number) return;
        (void)::sendto(found->second->udp.get(), late.data(), late.size(), MSG_NOSIGNAL,
                       reinterpret_cast<const sockaddr*>(&peer), sizeof peer);
      };
    });
    if (reply) datagrams_->reply(i, *std::move(reply));
  }
  datagrams_->send(asker.udp.get());
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
    const auto later = [&] {
      return [this, id, number](std::vector<uint8_t> reply) { send_reply(id, number, reply); };
    };
    if (auto reply = answer(*askers_.at(id), packet, DnsTransport::tcp, later)) send_reply(id, number, *reply);
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
    if (auto records = zone_.look_up(client.networks, link->second, query.type, order_)) return records;
  }
  return zone_.look_up(client.networks, query.name, query.type, order_);
}

template <class MakeReply>
std::optional<std::vector<uint8_t>> DnsServer::answer(Asker& asker, DnsBytes packet, DnsTransport transport,
                                                      MakeReply later) {
  auto query = parse_dns_query(packet);
  if (!query) return std::nullopt;
  const size_t limit = transport == DnsTransport::udp ? udp_answer_limit(*query) : kMaxPacket;
  const Question question{.asker = asker, .packet = packet, .query = *query, .transport = transport, .limit = limit};
  auto reply = answer_at_once(question);
  if (!reply) forward(question, later());
  return reply;
}

std::optional<std::vector<uint8_t>> DnsServer::answer_at_once(const Question& question) {
  const DnsQuery& query = question.query;
  const NameService::Client& client = question.client();
  if (query.problem != DnsCode::no_error) return question.answer(query.problem);
  if (auto records = look_up(client, query)) return question.answer(DnsCode::no_error, *records);
  const bool is_address =
      query.type == static_cast<uint16_t>(DnsType::a) || query.type == static_cast<uint16_t>(DnsType::aaaa);
  // Whoever sets ndots has search domains tried first, and a bare name is none that the world knows.
  if (client.sets_ndots && is_address && query.name.find('.') == std::string::npos) {
    return question.answer(DnsCode::no_error);
  }
  const auto& upstreams = question.upstreams(host_upstreams_);
  if (upstreams.empty() || (client.internal_only && !question.from_inside())) {
    return question.answer(DnsCode::server_failure);
  }
  auto kept = cache_.find(question.cache_key(upstreams), query, loop_.clock().mono());
  if (kept && kept->size() <= question.limit) return kept;
  if (forwarder_.is_full()) return question.answer(DnsCode::refused);
  return std::nullopt;
}

void DnsServer::forward(const Question& question, Reply reply) {
  const auto& upstreams = question.upstreams(host_upstreams_);
  forwarder_.ask({.packet = {question.packet.begin(), question.packet.end()},
                  .query = question.query,
                  .upstreams = upstreams,
                  .transport = question.transport,
                  .netns = question.from_inside() ? question.asker.netns.get() : -1},
                 [this, query = question.query, limit = question.limit, key = question.cache_key(upstreams),
                  reply = std::move(reply)](std::optional<std::vector<uint8_t>> answer) mutable {
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
