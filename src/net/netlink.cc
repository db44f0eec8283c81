#include "net/netlink.h"

#include <arpa/inet.h>
#include <endian.h>
#include <linux/netlink.h>
#include <poll.h>
#include <sys/socket.h>

#include <atomic>
#include <cerrno>

#include "base/check.h"

namespace gantry::net {
namespace {

// Unique in the process, so that sockets that are handed around never see another's answer as theirs.
uint32_t take_sequence(uint32_t count) {
  static std::atomic<uint32_t> next{1};
  return next.fetch_add(count);
}

Result<> send_all(int fd, Bytes bytes) {
  sockaddr_nl kernel{.nl_family = AF_NETLINK};
  for (;;) {
    ssize_t sent = ::sendto(fd, bytes.data(), bytes.size(), 0, reinterpret_cast<sockaddr*>(&kernel), sizeof kernel);
    if (sent >= 0) return {};
    if (errno != EINTR) return Error::from_errno(errno, "send to netlink");
  }
}

// Netlink dumps fill at most 32 KiB each (netlink(7): "use a large buffer"). On the stack and with whatever is there:
// to clear it would take longer than most exchanges.
struct Room {
  alignas(nlmsghdr) uint8_t bytes[65536];
};

// One datagram of answers.
Result<Bytes> receive(int fd, Room& room) {
  for (;;) {
    ssize_t got = ::recv(fd, room.bytes, sizeof room.bytes, 0);
    if (got >= 0) return Bytes(room.bytes, static_cast<size_t>(got));
    if (errno == EINTR) continue;
    if (errno != EAGAIN) return Error::from_errno(errno, "receive from netlink");
    pollfd waiting{.fd = fd, .events = POLLIN};
    ::poll(&waiting, 1, -1);
  }
}

// The kernel's own words about an error, if it sent them (NETLINK_EXT_ACK).
std::string explanation(const nlmsghdr& header, Bytes payload) {
  if ((header.nlmsg_flags & NLM_F_ACK_TLVS) == 0) return {};
  size_t skip = sizeof(nlmsgerr);
  auto error = read_header<nlmsgerr>(payload);
  if (error && (header.nlmsg_flags & NLM_F_CAPPED) == 0) skip += error->msg.nlmsg_len - sizeof(nlmsghdr);
  auto text = find_attribute(behind_header(payload, skip), NLMSGERR_ATTR_MSG);
  return text ? " (" + std::string(text->text()) + ")" : std::string();
}

Error failure(const std::string& what, int errno_value, const nlmsghdr& header, Bytes payload) {
  Error error = Error::from_errno(errno_value, what);
  std::string more = explanation(header, payload);
  if (more.empty()) return error;
  Error with_text = Error::from_errno(errno_value, what + more);
  return with_text;
}

// Calls `each(header, payload)` for every message in a datagram until it returns false.
template <class F>
bool for_each_message(Bytes datagram, F each) {
  while (datagram.size() >= sizeof(nlmsghdr)) {
    nlmsghdr header;
    std::memcpy(&header, datagram.data(), sizeof header);
    if (header.nlmsg_len < sizeof header || header.nlmsg_len > datagram.size()) return true;
    if (!each(header, datagram.subspan(NLMSG_HDRLEN, header.nlmsg_len - NLMSG_HDRLEN))) return false;
    datagram = datagram.subspan(std::min<size_t>(NLMSG_ALIGN(header.nlmsg_len), datagram.size()));
  }
  return true;
}

}  // namespace

void NetlinkBatch::begin(uint16_t type, uint16_t flags, std::string what) {
  close_message();
  messages_.push_back({buffer_.size(), std::move(what)});
  raw(bytes_of(nlmsghdr{.nlmsg_type = type, .nlmsg_flags = static_cast<uint16_t>(flags | NLM_F_REQUEST)}));
}

void NetlinkBatch::raw(Bytes value) {
  buffer_.insert(buffer_.end(), value.begin(), value.end());
  buffer_.resize(NLMSG_ALIGN(buffer_.size()));
}

void NetlinkBatch::attribute(uint16_t type, Bytes value) {
  CHECK(value.size() <= UINT16_MAX - NLA_HDRLEN);
  raw(bytes_of(nlattr{.nla_len = static_cast<uint16_t>(NLA_HDRLEN + value.size()), .nla_type = type}));
  raw(value);
}

void NetlinkBatch::attribute(uint16_t type, std::string_view text) {
  std::string terminated(text);
  attribute(type, Bytes(reinterpret_cast<const uint8_t*>(terminated.c_str()), terminated.size() + 1));
}

void NetlinkBatch::big_endian32(uint16_t type, uint32_t value) { number(type, htonl(value)); }
void NetlinkBatch::big_endian16(uint16_t type, uint16_t value) { number(type, htons(value)); }
void NetlinkBatch::big_endian64(uint16_t type, uint64_t value) { number(type, htobe64(value)); }

NetlinkBatch::Nest NetlinkBatch::nest(uint16_t type) {
  size_t start = buffer_.size();
  raw(bytes_of(nlattr{.nla_len = 0, .nla_type = static_cast<uint16_t>(type | NLA_F_NESTED)}));
  return Nest(this, start);
}

NetlinkBatch::Nest::~Nest() {
  if (batch_ == nullptr) return;
  size_t length = batch_->buffer_.size() - start_;
  CHECK(length <= UINT16_MAX);
  auto value = static_cast<uint16_t>(length);
  std::memcpy(batch_->buffer_.data() + start_ + offsetof(nlattr, nla_len), &value, sizeof value);
}

void NetlinkBatch::close_message() {
  if (messages_.empty()) return;
  size_t start = messages_.back().start;
  auto length = static_cast<uint32_t>(buffer_.size() - start);
  std::memcpy(buffer_.data() + start + offsetof(nlmsghdr, nlmsg_len), &length, sizeof length);
}

uint32_t NetlinkBatch::seal() {
  CHECK(!messages_.empty());
  close_message();
  uint32_t first = take_sequence(static_cast<uint32_t>(messages_.size()));
  for (size_t i = 0; i < messages_.size(); ++i) {
    uint32_t sequence = first + static_cast<uint32_t>(i);
    std::memcpy(buffer_.data() + messages_[i].start + offsetof(nlmsghdr, nlmsg_seq), &sequence, sizeof sequence);
  }
  return first;
}

Result<Fd> open_netlink(int protocol) {
  Fd fd(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol));
  if (!fd) return Error::from_errno(errno, "open netlink socket");
  return fd;
}

Result<> exchange(int fd, NetlinkBatch& batch, const std::function<void(uint16_t, Bytes)>& each) {
  uint32_t first = batch.seal();
  auto count = static_cast<uint32_t>(batch.messages_.size());
  // The transaction's end marker of nfnetlink is not a request and gets no answer: the one before it does.
  size_t last = count - 1;
  auto type_of = [&](size_t i) {
    uint16_t type;
    std::memcpy(&type, batch.buffer_.data() + batch.messages_[i].start + offsetof(nlmsghdr, nlmsg_type), sizeof type);
    return type;
  };
  if (last > 0 && type_of(last) < NLMSG_MIN_TYPE + 2 && type_of(last) >= NLMSG_MIN_TYPE) --last;
  uint16_t flags;
  uint8_t* place = batch.buffer_.data() + batch.messages_[last].start + offsetof(nlmsghdr, nlmsg_flags);
  std::memcpy(&flags, place, sizeof flags);
  flags |= NLM_F_ACK;
  std::memcpy(place, &flags, sizeof flags);

  int on = 1;
  ::setsockopt(fd, SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof on);
  ::setsockopt(fd, SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof on);
  TRY(send_all(fd, batch.bytes()));

  Room room;
  std::optional<Error> first_error;
  uint32_t first_failed = count;
  bool done = false;
  while (!done) {
    Bytes datagram = TRY(receive(fd, room));
    for_each_message(datagram, [&](const nlmsghdr& header, Bytes payload) {
      uint32_t index = header.nlmsg_seq - first;
      if (index >= count) return true;
      auto error = read_header<nlmsgerr>(payload);
      if (header.nlmsg_type != NLMSG_ERROR || !error) {
        if (each) each(header.nlmsg_type, payload);
        return true;
      }
      if (error->error != 0 && index < first_failed) {
        first_failed = index;
        first_error = failure(batch.messages_[index].what, -error->error, header, payload);
      }
      // An error for the transaction's frame means that nothing behind it was looked at.
      bool refused = error->error != 0 && type_of(index) >= NLMSG_MIN_TYPE && type_of(index) < NLMSG_MIN_TYPE + 2;
      done = done || index == last || refused;
      return true;
    });
  }
  if (first_error) return *std::move(first_error);
  return {};
}

Result<> dump(int fd, NetlinkBatch& request, const std::function<void(uint16_t, Bytes)>& each) {
  CHECK(request.size() == 1);
  uint32_t sequence = request.seal();
  uint16_t flags;
  uint8_t* place = request.buffer_.data() + offsetof(nlmsghdr, nlmsg_flags);
  std::memcpy(&flags, place, sizeof flags);
  bool whole_table = (flags & NLM_F_DUMP) == NLM_F_DUMP;
  if (!whole_table) flags |= NLM_F_ACK;
  std::memcpy(place, &flags, sizeof flags);
  TRY(send_all(fd, request.bytes()));

  Room room;
  std::optional<Error> error;
  bool done = false;
  while (!done) {
    Bytes datagram = TRY(receive(fd, room));
    for_each_message(datagram, [&](const nlmsghdr& header, Bytes payload) {
      if (header.nlmsg_seq != sequence) return true;
      if (header.nlmsg_type == NLMSG_DONE || header.nlmsg_type == NLMSG_ERROR) {
        auto code = read_header<int32_t>(payload);
        if (code && *code != 0) error = failure(request.messages_[0].what, -*code, header, payload);
        done = true;
        return false;
      }
      each(header.nlmsg_type, payload);
      return true;
    });
  }
  if (error) return *std::move(error);
  return {};
}

uint32_t Attribute::number() const {
  uint32_t result = 0;
  if (value.size() <= sizeof result) std::memcpy(&result, value.data(), value.size());
  return result;
}

uint32_t Attribute::big_endian() const {
  uint32_t result = 0;
  for (uint8_t byte : value.first(std::min<size_t>(value.size(), 4))) result = result << 8 | byte;
  return result;
}

std::string_view Attribute::text() const {
  std::string_view all(reinterpret_cast<const char*>(value.data()), value.size());
  return all.substr(0, all.find('\0'));
}

std::vector<Attribute> parse_attributes(Bytes payload) {
  std::vector<Attribute> found;
  while (payload.size() >= sizeof(nlattr)) {
    nlattr head;
    std::memcpy(&head, payload.data(), sizeof head);
    if (head.nla_len < NLA_HDRLEN || head.nla_len > payload.size()) break;
    found.push_back(
        {static_cast<uint16_t>(head.nla_type & NLA_TYPE_MASK), payload.subspan(NLA_HDRLEN, head.nla_len - NLA_HDRLEN)});
    payload = payload.subspan(std::min<size_t>(NLA_ALIGN(head.nla_len), payload.size()));
  }
  return found;
}

std::optional<Attribute> find_attribute(Bytes payload, uint16_t type) {
  for (const Attribute& attribute : parse_attributes(payload)) {
    if (attribute.type == type) return attribute;
  }
  return std::nullopt;
}

Bytes behind_header(Bytes payload, size_t header_size) {
  return payload.subspan(std::min<size_t>(NLMSG_ALIGN(header_size), payload.size()));
}

}  // namespace gantry::net
