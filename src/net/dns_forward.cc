#include "net/dns_forward.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

#include "base/check.h"
#include "net/socket_address.h"

namespace gantry::net {
namespace {

// A socket stays in the namespace where it was made.
Fd socket_in(int netns, int family, int type) {
  const auto make = [&] { return Fd(::socket(family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)); };
  if (netns < 0) return make();
  static const Fd home(::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
  if (!home || ::setns(netns, CLONE_NEWNET) != 0) return Fd();
  Fd fd = make();
  CHECK(::setns(home.get(), CLONE_NEWNET) == 0);  // in a container's namespace we would serve nobody else
  return fd;
}

Fd connect_to(const IpAddress& upstream, uint16_t port, int type, int netns) {
  const SocketAddress to(upstream, port);
  Fd fd = socket_in(netns, to.family(), type);
  if (!fd || (::connect(fd.get(), to.get(), to.size) != 0 && errno != EINPROGRESS)) return Fd();
  return fd;
}

}  // namespace

// One upstream that was asked.
struct DnsForwarder::Attempt {
  uint64_t number = 0;
  uint16_t id = 0;
  DnsTransport transport = DnsTransport::udp;
  std::vector<uint8_t> output;  // TCP: what is still to be sent
  std::vector<uint8_t> input;
  Scheduler::TimerId timer = 0;
  Fd socket;
  std::unique_ptr<FdWatcher> watcher;  // goes before the socket

  enum class State { waiting, answered, failed };
  State send_rest();
  State read(const DnsQuery& query);
};

DnsForwarder::Attempt::State DnsForwarder::Attempt::send_rest() {
  ssize_t sent = ::send(socket.get(), output.data(), output.size(), MSG_NOSIGNAL);
  if (sent < 0) return errno == EAGAIN || errno == EINTR ? State::waiting : State::failed;
  output.erase(output.begin(), output.begin() + sent);
  if (output.empty()) watcher->set_interest(FdWatcher::readable);
  return State::waiting;
}

DnsForwarder::Attempt::State DnsForwarder::Attempt::read(const DnsQuery& query) {
  static uint8_t buffer[kMaxPacket];  // one loop
  ssize_t got = ::recv(socket.get(), buffer, sizeof buffer, 0);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return State::waiting;
  if (got < 0 || (got == 0 && transport == DnsTransport::tcp)) return State::failed;
  if (transport == DnsTransport::udp) {
    input.assign(buffer, buffer + got);
    // Anything else that arrives is a late or forged answer: wait on for the right one.
    return answers_dns_query(input, id, query) ? State::answered : State::waiting;
  }
  input.insert(input.end(), buffer, buffer + got);
  if (input.size() < 2) return State::waiting;
  size_t size = static_cast<size_t>(input[0]) << 8 | input[1];
  if (input.size() < size + 2) return State::waiting;
  input.erase(input.begin(), input.begin() + 2);
  input.resize(size);
  return answers_dns_query(input, id, query) ? State::answered : State::failed;
}

struct DnsForwarder::Question {
  uint64_t number = 0;
  Request request;
  Fd netns;
  size_t next_upstream = 0;
  uint64_t next_attempt = 1;
  Scheduler::TimerId head_start = 0;
  std::vector<std::unique_ptr<Attempt>> attempts;
  std::optional<std::vector<uint8_t>> refusal;  // SERVFAIL or REFUSED of one, if no other does better
  Done done;
};

DnsForwarder::DnsForwarder(EventLoop& loop, Random& random, Options options)
    : loop_(loop), random_(random), options_(options) {}

DnsForwarder::~DnsForwarder() {
  for (auto& [number, question] : asked_) {
    loop_.cancel(question->head_start);
    for (auto& attempt : question->attempts) loop_.cancel(attempt->timer);
  }
}

void DnsForwarder::ask(Request request, Done done) {
  auto question = std::make_unique<Question>();
  question->number = next_++;
  question->request = std::move(request);
  if (question->request.netns >= 0) question->netns = Fd(::fcntl(question->request.netns, F_DUPFD_CLOEXEC, 0));
  question->done = std::move(done);
  Question& added = *asked_.emplace(question->number, std::move(question)).first->second;
  ask_next(added);
}

void DnsForwarder::ask_next(Question& question) {
  loop_.cancel(std::exchange(question.head_start, 0));
  const auto& upstreams = question.request.upstreams;
  while (question.next_upstream < upstreams.size()) {
    if (!send_to(question, upstreams[question.next_upstream++])) continue;
    if (question.next_upstream == upstreams.size()) return;
    question.head_start = loop_.after(options_.head_start, [this, number = question.number] {
      auto at = asked_.find(number);
      if (at == asked_.end()) return;
      at->second->head_start = 0;
      ask_next(*at->second);
    });
    return;
  }
  if (!question.attempts.empty()) return;
  // Not from inside ask(): its caller does not expect to be called back yet.
  loop_.post([this, number = question.number] {
    auto at = asked_.find(number);
    if (at != asked_.end()) finish(number, std::move(at->second->refusal));
  });
}

bool DnsForwarder::send_to(Question& question, const IpAddress& upstream) {
  const bool udp = question.request.transport == DnsTransport::udp;
  auto attempt = std::make_unique<Attempt>();
  attempt->number = question.next_attempt++;
  attempt->transport = question.request.transport;
  if (question.request.netns >= 0 && !question.netns) return false;
  attempt->socket = connect_to(upstream, options_.port, udp ? SOCK_DGRAM : SOCK_STREAM, question.netns.get());
  if (!attempt->socket) return false;
  attempt->id = static_cast<uint16_t>(random_.below(65536));
  std::vector<uint8_t>& packet = question.request.packet;
  set_dns_id(packet, attempt->id);
  if (udp) {
    if (::send(attempt->socket.get(), packet.data(), packet.size(), MSG_NOSIGNAL) < 0) return false;
  } else {
    const auto size = static_cast<uint16_t>(packet.size());
    attempt->output = {static_cast<uint8_t>(size >> 8), static_cast<uint8_t>(size)};
    attempt->output.insert(attempt->output.end(), packet.begin(), packet.end());
  }
  const int interest = udp ? FdWatcher::readable : FdWatcher::readable | FdWatcher::writable;
  attempt->watcher = std::make_unique<FdWatcher>(
      loop_, attempt->socket.get(), interest,
      [this, number = question.number, which = attempt->number](int events) { on_ready(number, which, events); });
  attempt->timer = loop_.after(options_.patience, [this, number = question.number, which = attempt->number] {
    if (auto at = asked_.find(number); at != asked_.end()) drop(*at->second, which);
  });
  question.attempts.push_back(std::move(attempt));
  return true;
}

void DnsForwarder::drop(Question& question, uint64_t which) {
  auto at = std::find_if(question.attempts.begin(), question.attempts.end(),
                         [&](const auto& attempt) { return attempt->number == which; });
  if (at == question.attempts.end()) return;
  loop_.cancel((*at)->timer);
  question.attempts.erase(at);
  ask_next(question);
}

void DnsForwarder::on_ready(uint64_t number, uint64_t which, int events) {
  auto at = asked_.find(number);
  if (at == asked_.end()) return;
  Question& question = *at->second;
  auto found = std::find_if(question.attempts.begin(), question.attempts.end(),
                            [&](const auto& attempt) { return attempt->number == which; });
  if (found == question.attempts.end()) return;
  Attempt& attempt = **found;
  auto state = Attempt::State::waiting;
  if ((events & FdWatcher::writable) != 0 && !attempt.output.empty()) state = attempt.send_rest();
  if (state == Attempt::State::waiting && (events & FdWatcher::readable) != 0) {
    state = attempt.read(question.request.query);
  }
  if (state == Attempt::State::failed) return drop(question, which);
  if (state == Attempt::State::waiting) return;
  set_dns_id(attempt.input, question.request.query.id);
  const DnsCode code = dns_code_of(attempt.input);
  if (code == DnsCode::server_failure || code == DnsCode::refused) {
    question.refusal = std::move(attempt.input);
    return drop(question, which);
  }
  finish(number, std::move(attempt.input));
}

void DnsForwarder::finish(uint64_t number, std::optional<std::vector<uint8_t>> answer) {
  auto at = asked_.find(number);
  auto question = std::move(at->second);
  asked_.erase(at);
  loop_.cancel(question->head_start);
  for (auto& attempt : question->attempts) loop_.cancel(attempt->timer);
  question->attempts.clear();
  question->done(std::move(answer));
}

}  // namespace gantry::net
