#include "net/datagram_forward.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "net/socket_address.h"

namespace gantry::net {
namespace {

constexpr size_t kMaxDatagram = 65535;
constexpr int kDatagramsOfATurn = 32;  // then others get their turn

union ControlBuffer {
  cmsghdr align;
  char bytes[CMSG_SPACE(sizeof(in6_pktinfo))];
};

// The address that a datagram was sent to.
IpAddress asked_address(msghdr& header) {
  for (cmsghdr* part = CMSG_FIRSTHDR(&header); part != nullptr; part = CMSG_NXTHDR(&header, part)) {
    if (part->cmsg_level == IPPROTO_IPV6 && part->cmsg_type == IPV6_PKTINFO) {
      in6_pktinfo info;
      std::memcpy(&info, CMSG_DATA(part), sizeof info);
      std::array<uint8_t, 16> bytes;
      std::memcpy(bytes.data(), &info.ipi6_addr, bytes.size());
      return IpAddress::v6(bytes);
    }
    if (part->cmsg_level == IPPROTO_IP && part->cmsg_type == IP_PKTINFO) {
      in_pktinfo info;
      std::memcpy(&info, CMSG_DATA(part), sizeof info);
      return IpAddress::v4(ntohl(info.ipi_addr.s_addr));
    }
  }
  return {};
}

template <class Info>
void put_source(msghdr& header, ControlBuffer& control, int level, int type, const Info& info) {
  header.msg_control = control.bytes;
  header.msg_controllen = CMSG_SPACE(sizeof info);
  cmsghdr* part = CMSG_FIRSTHDR(&header);
  part->cmsg_level = level;
  part->cmsg_type = type;
  part->cmsg_len = CMSG_LEN(sizeof info);
  std::memcpy(CMSG_DATA(part), &info, sizeof info);
}

void set_source(msghdr& header, ControlBuffer& control, const IpAddress& source, uint32_t zone) {
  if (source.is_v6()) {
    in6_pktinfo info{};
    std::memcpy(&info.ipi6_addr, source.bytes(), 16);
    info.ipi6_ifindex = zone;
    return put_source(header, control, IPPROTO_IPV6, IPV6_PKTINFO, info);
  }
  in_pktinfo info{};
  std::memcpy(&info.ipi_spec_dst, source.bytes(), 4);
  put_source(header, control, IPPROTO_IP, IP_PKTINFO, info);
}

}  // namespace

struct DatagramForward::Peer {
  PeerKey key;
  SocketAddress address;
  Fd socket;  // connected to the target
  MonoTime heard;
  std::list<PeerKey>::iterator place;
  std::unique_ptr<FdWatcher> watcher;  // goes before the socket
};

DatagramForward::DatagramForward(EventLoop& loop, Fd bound, Target target)
    : DatagramForward(loop, std::move(bound), target, Options{}) {}

DatagramForward::DatagramForward(EventLoop& loop, Fd bound, Target target, Options options)
    : loop_(loop), bound_(std::move(bound)), target_(target), options_(options) {
  ::fcntl(bound_.get(), F_SETFL, ::fcntl(bound_.get(), F_GETFL) | O_NONBLOCK);
  int on = 1;
  if (local_address(bound_.get()).family() == AF_INET6) {
    ::setsockopt(bound_.get(), IPPROTO_IPV6, IPV6_RECVPKTINFO, &on, sizeof on);
  } else {
    ::setsockopt(bound_.get(), IPPROTO_IP, IP_PKTINFO, &on, sizeof on);
  }
  watcher_ = std::make_unique<FdWatcher>(loop_, bound_.get(), FdWatcher::readable, [this](int) { read_all(); });
}

DatagramForward::~DatagramForward() { loop_.cancel(timer_); }

void DatagramForward::set_target(Target target) {
  target_ = target;
  peers_.clear();
  by_silence_.clear();
}

void DatagramForward::read_all() {
  static uint8_t buffer[kMaxDatagram];  // one loop, and too large for every stack
  for (int i = 0; i < kDatagramsOfATurn; ++i) {
    SocketAddress from;
    ControlBuffer control;
    iovec part{.iov_base = buffer, .iov_len = sizeof buffer};
    msghdr header{.msg_name = from.get(), .msg_namelen = sizeof from.storage, .msg_iov = &part, .msg_iovlen = 1};
    header.msg_control = control.bytes;
    header.msg_controllen = sizeof control.bytes;
    ssize_t got = ::recvmsg(bound_.get(), &header, 0);
    if (got < 0) return;
    from.size = header.msg_namelen;
    PeerKey key{.address = from.address(), .port = from.port(), .asked = asked_address(header)};
    if (from.family() == AF_INET6) key.zone = reinterpret_cast<sockaddr_in6&>(from.storage).sin6_scope_id;
    Peer* peer = find_or_add(key);
    if (peer == nullptr) continue;
    peer->address = from;
    // A full buffer drops it, as UDP does. An earlier datagram's error (nobody listens) is taken off by the call.
    if (::send(peer->socket.get(), buffer, static_cast<size_t>(got), MSG_NOSIGNAL) < 0 && errno == ECONNREFUSED) {
      (void)::send(peer->socket.get(), buffer, static_cast<size_t>(got), MSG_NOSIGNAL);
    }
  }
}

DatagramForward::Peer* DatagramForward::find_or_add(const PeerKey& key) {
  auto at = peers_.find(key);
  if (at == peers_.end()) {
    SocketAddress to(target_.address, target_.port);
    Fd socket(::socket(to.family(), SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!socket || ::connect(socket.get(), to.get(), to.size) != 0) return nullptr;
    if (peers_.size() >= options_.most_peers) {
      peers_.erase(by_silence_.front());
      by_silence_.pop_front();
    }
    auto peer = std::make_unique<Peer>();
    peer->key = key;
    peer->socket = std::move(socket);
    peer->place = by_silence_.insert(by_silence_.end(), key);
    peer->watcher = std::make_unique<FdWatcher>(loop_, peer->socket.get(), FdWatcher::readable,
                                                [this, key](int) { read_answers(PeerKey(key)); });
    at = peers_.emplace(key, std::move(peer)).first;
  }
  Peer& peer = *at->second;
  peer.heard = loop_.clock().mono();
  by_silence_.splice(by_silence_.end(), by_silence_, peer.place);
  if (timer_ == 0) timer_ = loop_.after(options_.idle, [this] { forget_silent(); });
  return &peer;
}

void DatagramForward::read_answers(const PeerKey& key) {
  static uint8_t buffer[kMaxDatagram];
  for (int i = 0; i < kDatagramsOfATurn; ++i) {
    auto at = peers_.find(key);
    if (at == peers_.end()) return;
    Peer& peer = *at->second;
    ssize_t got = ::recv(peer.socket.get(), buffer, sizeof buffer, 0);
    if (got < 0) return;  // empty, or nobody listens at the target, which UDP does not tell
    peer.heard = loop_.clock().mono();
    by_silence_.splice(by_silence_.end(), by_silence_, peer.place);
    answer(peer, buffer, static_cast<size_t>(got));
  }
}

void DatagramForward::answer(const Peer& peer, const uint8_t* data, size_t size) {
  ControlBuffer control{};
  SocketAddress to = peer.address;
  iovec part{.iov_base = const_cast<uint8_t*>(data), .iov_len = size};
  msghdr header{.msg_name = to.get(), .msg_namelen = to.size, .msg_iov = &part, .msg_iovlen = 1};
  set_source(header, control, peer.key.asked, peer.key.zone);
  (void)::sendmsg(bound_.get(), &header, MSG_NOSIGNAL);
}

void DatagramForward::forget_silent() {
  timer_ = 0;
  const auto now = loop_.clock().mono();
  while (!by_silence_.empty()) {
    auto at = peers_.find(by_silence_.front());
    const auto left = at->second->heard + options_.idle - now;
    if (left.count() > 0) {
      timer_ = loop_.after(left, [this] { forget_silent(); });
      return;
    }
    peers_.erase(at);
    by_silence_.pop_front();
  }
}

}  // namespace gantry::net
