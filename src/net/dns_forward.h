// Asking upstream name servers what is no name of ours, and handing back their answer as it came.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "base/fd.h"
#include "base/function.h"
#include "base/loop.h"
#include "base/random.h"
#include "net/address.h"
#include "net/dns_message.h"

namespace gantry::net {

enum class DnsTransport { udp, tcp };

// Loop thread only. Asks the upstreams in order, over the transport that the asker used. The next one is asked as well
// when one is silent for a while, and at once after SERVFAIL, REFUSED or a network error; the first good answer wins,
// and NXDOMAIN is one. Every question leaves from a socket, and so a port, of its own with an id of its own, which
// makes forged answers hard (RFC 5452).
class DnsForwarder {
 public:
  struct Options {
    std::chrono::milliseconds patience{4000};  // for each upstream
    std::chrono::milliseconds head_start{1000};  // then the next one is asked as well
    size_t most_at_once = 1024;
    uint16_t port = 53;
  };
  // The answer with the asker's id; nothing: no upstream answered.
  using Done = Function<void(std::optional<std::vector<uint8_t>>)>;

  DnsForwarder(EventLoop& loop, Random& random, Options options);
  ~DnsForwarder();

  bool is_full() const { return asked_.size() >= options_.most_at_once; }
  struct Request {
    std::vector<uint8_t> packet;  // the asker's whole query
    DnsQuery query;
    std::vector<IpAddress> upstreams;
    DnsTransport transport = DnsTransport::udp;
    int netns = -1;  // network namespace from which they are asked; -1: ours. Looked at in this call and kept as a copy.
  };
  // `done` comes later, never inside this call; it may not come any more once the forwarder is gone.
  void ask(Request request, Done done);

 private:
  struct Attempt;
  struct Question;
  void ask_next(Question& question);
  bool send_to(Question& question, const IpAddress& upstream);
  void on_ready(uint64_t number, uint64_t attempt, int events);
  void drop(Question& question, uint64_t attempt);  // and ask another, or give up
  void finish(uint64_t number, std::optional<std::vector<uint8_t>> answer);

  EventLoop& loop_;
  Random& random_;
  const Options options_;
  uint64_t next_ = 1;
  std::map<uint64_t, std::unique_ptr<Question>> asked_;
};

}  // namespace gantry::net
