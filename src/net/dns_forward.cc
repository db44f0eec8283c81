#include "net/dns_forward.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

namespace gantry::net {
namespace {

constexpr size_t kMaxPacket = 65535;

Fd connect_to(const IpAddress& upstream, uint16_t port, int type) {
  Fd fd(::socket(upstream.is_v6() ? AF_INET6 : AF_INET, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return fd;
  int done;
  if (upstream.is_v6()) {
    sockaddr_in6 to{.sin6_family = AF_INET6, .sin6_port = htons(port)};
    std::memcpy(&to.sin6_addr, upstream.bytes(), 16);
    done = ::connect(fd.get(), reinterpret_cast<sockaddr*>(&to), sizeof to);
  } else {
    sockaddr_in to{.sin_family = AF_INET, .sin_port = htons(port)};
    std::memcpy(&to.sin_addr, upstream.bytes(), 4);
    done = ::connect(fd.get(), reinterpret_cast<sockaddr*>(&to), sizeof to);
  }
  if (done != 0 && errno != EINPROGRESS) return Fd();
  return fd;
}

}  // namespace

struct DnsForwarder::Question {
  uint64_t number = 0;
  std::vector<uint8_t> packet;
  DnsQuery query;
  std::vector<IpAddress> upstreams;
  size_t next_upstream = 0;
  DnsTransport transport = DnsTransport::udp;
  Done done;

  uint16_t id = 0;              // of the attempt
  std::vector<uint8_t> output;  // TCP: what is still to be sent
  std::vector<uint8_t> input;
  std::optional<std::vector<uint8_t>> refusal;  // SERVFAIL or REFUSED of one, if no other does better
  Scheduler::TimerId timer = 0;
  Fd socket;
  std::unique_ptr<FdWatcher> watcher;  // goes before the socket
};

DnsForwarder::DnsForwarder(EventLoop& loop, Random& random, Options options)
    : loop_(loop), random_(random), options_(options) {}

DnsForwarder::~DnsForwarder() {
  for (auto& [number, question] : asked_) loop_.cancel(question->timer);
}

void DnsForwarder::ask(std::vector<uint8_t> packet, const DnsQuery& query, std::vector<IpAddress> upstreams,
                       DnsTransport transport, Done done) {
  auto question = std::make_unique<Question>();
  question->number = next_++;
  question->packet = std::move(packet);
  question->query = query;
  question->upstreams = std::move(upstreams);
  question->transport = transport;
  question->done = std::move(done);
  uint64_t number = question->number;
  asked_.emplace(number, std::move(question));
  try_next(number);
}

void DnsForwarder::try_next(uint64_t number) {
  Question& question = *asked_.at(number);
  question.watcher.reset();
  question.socket.reset();
  loop_.cancel(question.timer);
  while (question.next_upstream < question.upstreams.size()) {
    if (!send_to(question, question.upstreams[question.next_upstream++])) continue;
    question.timer = loop_.after(options_.patience, [this, number] { try_next(number); });
    return;
  }
  question.timer = 0;
  // Not from inside ask(): its caller does not expect to be called back yet.
  loop_.post([this, number] {
    auto at = asked_.find(number);
    if (at != asked_.end()) finish(number, std::move(at->second->refusal));
  });
}

bool DnsForwarder::send_to(Question& question, const IpAddress& upstream) {
  bool udp = question.transport == DnsTransport::udp;
  question.socket = connect_to(upstream, options_.port, udp ? SOCK_DGRAM : SOCK_STREAM);
  if (!question.socket) return false;
  question.id = static_cast<uint16_t>(random_.below(65536));
  set_dns_id(question.packet, question.id);
  question.input.clear();
  question.output.clear();
  if (udp) {
    if (::send(question.socket.get(), question.packet.data(), question.packet.size(), MSG_NOSIGNAL) < 0) return false;
  } else {
    auto size = static_cast<uint16_t>(question.packet.size());
    question.output = {static_cast<uint8_t>(size >> 8), static_cast<uint8_t>(size)};
    question.output.insert(question.output.end(), question.packet.begin(), question.packet.end());
  }
  int interest = udp ? FdWatcher::readable : FdWatcher::readable | FdWatcher::writable;
  question.watcher =
      std::make_unique<FdWatcher>(loop_, question.socket.get(), interest,
                                  [this, number = question.number](int events) { on_ready(number, events); });
  return true;
}

bool DnsForwarder::send_rest(Question& question) {
  ssize_t sent = ::send(question.socket.get(), question.output.data(), question.output.size(), MSG_NOSIGNAL);
  if (sent < 0) return errno == EAGAIN || errno == EINTR;
  question.output.erase(question.output.begin(), question.output.begin() + sent);
  if (question.output.empty()) question.watcher->set_interest(FdWatcher::readable);
  return true;
}

bool DnsForwarder::read_answer(Question& question, bool& failed) {
  uint8_t buffer[kMaxPacket];
  ssize_t got = ::recv(question.socket.get(), buffer, sizeof buffer, 0);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return false;
  if (got < 0 || (got == 0 && question.transport == DnsTransport::tcp)) {
    failed = true;
    return false;
  }
  if (question.transport == DnsTransport::udp) {
    question.input.assign(buffer, buffer + got);
    // Anything else that arrives is a late or forged answer: wait on for the right one.
    return answers_dns_query(question.input, question.id, question.query);
  }
  question.input.insert(question.input.end(), buffer, buffer + got);
  if (question.input.size() < 2) return false;
  size_t size = static_cast<size_t>(question.input[0]) << 8 | question.input[1];
  if (question.input.size() < size + 2) return false;
  question.input.erase(question.input.begin(), question.input.begin() + 2);
  question.input.resize(size);
  failed = !answers_dns_query(question.input, question.id, question.query);
  return !failed;
}

void DnsForwarder::on_ready(uint64_t number, int events) {
  auto at = asked_.find(number);
  if (at == asked_.end()) return;
  Question& question = *at->second;
  bool failed = false;
  if ((events & FdWatcher::writable) != 0 && !question.output.empty()) failed = !send_rest(question);
  bool complete = !failed && (events & FdWatcher::readable) != 0 && read_answer(question, failed);
  if (failed) return try_next(number);
  if (!complete) return;
  set_dns_id(question.input, question.query.id);
  DnsCode code = dns_code_of(question.input);
  if (code == DnsCode::server_failure || code == DnsCode::refused) {
    question.refusal = std::move(question.input);
    return try_next(number);
  }
  finish(number, std::move(question.input));
}

void DnsForwarder::finish(uint64_t number, std::optional<std::vector<uint8_t>> answer) {
  auto at = asked_.find(number);
  auto question = std::move(at->second);
  asked_.erase(at);
  loop_.cancel(question->timer);
  question->watcher.reset();
  question->done(std::move(answer));
}

}  // namespace gantry::net
