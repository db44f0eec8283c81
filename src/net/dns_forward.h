// Asking upstream name servers what is no name of ours, and handing back their answer as it came.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "base/function.h"
#include "base/loop.h"
#include "base/random.h"
#include "net/address.h"
#include "net/dns_message.h"

namespace gantry::net {

enum class DnsTransport { udp, tcp };

// Loop thread only. Asks each upstream in turn, over the transport that the asker used; goes on to the next one on
// silence, SERVFAIL, REFUSED or a network error. NXDOMAIN is an answer. Every question leaves from a socket, and so a
// port, of its own with an id of its own, which makes forged answers hard (RFC 5452).
class DnsForwarder {
 public:
  struct Options {
    std::chrono::milliseconds patience{4000};  // per upstream
    size_t most_at_once = 1024;
    uint16_t port = 53;
  };
  // The answer with the asker's id; nothing: no upstream answered.
  using Done = Function<void(std::optional<std::vector<uint8_t>>)>;

  DnsForwarder(EventLoop& loop, Random& random, Options options);
  ~DnsForwarder();

  bool is_full() const { return asked_.size() >= options_.most_at_once; }
  // `packet` is the asker's whole query. `done` comes later, never inside this call; it may not come any more once
  // the forwarder is gone.
  void ask(std::vector<uint8_t> packet, const DnsQuery& query, std::vector<IpAddress> upstreams, DnsTransport transport,
           Done done);

 private:
  struct Question;
  void try_next(uint64_t number);
  bool send_to(Question& question, const IpAddress& upstream);
  void on_ready(uint64_t number, int events);
  bool send_rest(Question& question);
  // Reads what is there. True: the whole answer is in `input`.
  bool read_answer(Question& question, bool& failed);
  void finish(uint64_t number, std::optional<std::vector<uint8_t>> answer);

  EventLoop& loop_;
  Random& random_;
  const Options options_;
  uint64_t next_ = 1;
  std::map<uint64_t, std::unique_ptr<Question>> asked_;
};

}  // namespace gantry::net
