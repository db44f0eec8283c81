// One UDP port carried by this process. Each peer has a socket of its own to the target, so that answers find their way
// back, and gets them from the very address that it asked. A peer that is silent for a while is forgotten.
#pragma once

#include <chrono>
#include <cstdint>
#include <list>
#include <map>
#include <memory>

#include "base/fd.h"
#include "base/loop.h"
#include "net/address.h"

namespace gantry::net {

// Loop thread only.
class DatagramForward {
 public:
  struct Target {
    IpAddress address;
    uint16_t port = 0;
  };
  struct Options {
    std::chrono::seconds idle{90};
    size_t most_peers = 1024;  // above, the one that has been silent longest makes room
  };
  // `bound` is made non-blocking.
  DatagramForward(EventLoop& loop, Fd bound, Target target);
  DatagramForward(EventLoop& loop, Fd bound, Target target, Options options);
  ~DatagramForward();

  // All peers go to the new one.
  void set_target(Target target);

 private:
  struct PeerKey {
    IpAddress address;
    uint16_t port = 0;
    uint32_t zone = 0;  // of a link-local address
    IpAddress asked;    // our address
    friend auto operator<=>(const PeerKey&, const PeerKey&) = default;
  };
  struct Peer;
  void read_all();
  Peer* find_or_add(const PeerKey& key);
  void read_answers(const PeerKey& key);
  void answer(const Peer& peer, const uint8_t* data, size_t size);
  void forget_silent();

  EventLoop& loop_;
  Fd bound_;
  Target target_;
  const Options options_;
  std::map<PeerKey, std::unique_ptr<Peer>> peers_;
  std::list<PeerKey> by_silence_;  // the longest first
  Scheduler::TimerId timer_ = 0;
  std::unique_ptr<FdWatcher> watcher_;
};

}  // namespace gantry::net
