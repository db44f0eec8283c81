// Netlink as bytes: building requests, several in one send, and reading what the kernel answers
// (netlink(7), rtnetlink(7), linux/netlink.h). Nothing here knows what the messages mean.
//
// A batch belongs to one thread. A socket serves one exchange at a time: answers are matched by sequence
// number, and whoever shares a socket between threads holds a lock around `exchange` and `dump`.
#pragma once

#include <cstdint>
#include <cstring>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/fd.h"
#include "base/result.h"

namespace gantry::net {

using Bytes = std::span<const uint8_t>;
inline Bytes as_bytes(std::string_view text) { return {reinterpret_cast<const uint8_t*>(text.data()), text.size()}; }

template <class T>
Bytes bytes_of(const T& value) {
  static_assert(std::is_trivially_copyable_v<T>);
  return {reinterpret_cast<const uint8_t*>(&value), sizeof value};
}

// Requests to be sent in one go. begin() opens a message; what follows is appended to it until the next begin().
class NetlinkBatch {
 public:
  // `what` is for people: "make bridge br-1" in "make bridge br-1: Operation not permitted".
  void begin(uint16_t type, uint16_t flags, std::string what);

  template <class Header>
  void header(const Header& value) {
    raw(bytes_of(value));
  }
  void attribute(uint16_t type, Bytes value);
  void attribute(uint16_t type, std::string_view text);  // with a terminating zero
  void flag(uint16_t type) { attribute(type, Bytes{}); }
  template <class T>
  requires std::is_arithmetic_v<T>
  void number(uint16_t type, T value) { attribute(type, bytes_of(value)); }
  void big_endian32(uint16_t type, uint32_t value);
  void big_endian16(uint16_t type, uint16_t value);
  void big_endian64(uint16_t type, uint64_t value);

  // Attributes appended while it lives are inside it.
  class [[nodiscard]] Nest {
   public:
    Nest(Nest&& other) noexcept : batch_(std::exchange(other.batch_, nullptr)), start_(other.start_) {}
    Nest(const Nest&) = delete;
    ~Nest();

   private:
    friend class NetlinkBatch;
    Nest(NetlinkBatch* batch, size_t start) : batch_(batch), start_(start) {}
    NetlinkBatch* batch_;
    size_t start_;
  };
  Nest nest(uint16_t type);

  bool empty() const { return messages_.empty(); }
  size_t size() const { return messages_.size(); }
  Bytes bytes() const { return {buffer_.data(), buffer_.size()}; }

 private:
  friend Result<> exchange(int fd, NetlinkBatch& batch, const std::function<void(uint16_t, Bytes)>& each);
  friend Result<> dump(int fd, NetlinkBatch& request, const std::function<void(uint16_t, Bytes)>& each);
  struct Message {
    size_t start;
    std::string what;
  };
  void raw(Bytes value);
  void close_message();
  // Numbers the messages; the last one is asked for an acknowledgement. Returns the first number.
  uint32_t seal();

  std::vector<uint8_t> buffer_;
  std::vector<Message> messages_;
};

// Netlink socket of `protocol` (NETLINK_ROUTE, NETLINK_NETFILTER) in the caller's network namespace.
Result<Fd> open_netlink(int protocol);

// Sends all and waits for the last one's acknowledgement. The error is that of the first message that failed, with
// its `what` and the kernel's own explanation where it gives one; errno_value() is the kernel's. In rtnetlink the
// other messages took effect nevertheless; an nftables transaction does all or nothing.
// What the kernel answers besides, to questions among them and to NLM_F_ECHO, goes to `each`: type and payload (behind
// the netlink header).
Result<> exchange(int fd, NetlinkBatch& batch, const std::function<void(uint16_t, Bytes)>& each = {});

// Sends the one request and hands each answer's type and payload (behind the netlink header) to `each`, for requests
// with NLM_F_DUMP until the end of the dump, for others until the acknowledgement.
Result<> dump(int fd, NetlinkBatch& request, const std::function<void(uint16_t, Bytes)>& each);

// Reading. Lengths are checked against the span: the kernel is trusted, truncated buffers are not.
struct Attribute {
  uint16_t type;  // without the nested and byte-order bits
  Bytes value;

  uint32_t number() const;  // host order, of at most four bytes
  uint32_t big_endian() const;
  std::string_view text() const;  // up to a terminating zero
};
std::vector<Attribute> parse_attributes(Bytes payload);
std::optional<Attribute> find_attribute(Bytes payload, uint16_t type);
// The attributes behind a fixed header of `header_size` bytes.
Bytes behind_header(Bytes payload, size_t header_size);

template <class Header>
std::optional<Header> read_header(Bytes payload) {
  if (payload.size() < sizeof(Header)) return std::nullopt;
  Header header;
  std::memcpy(&header, payload.data(), sizeof header);
  return header;
}

}  // namespace gantry::net
