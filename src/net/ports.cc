#include "net/ports.h"

#include <linux/filter.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>
#include <variant>

#include "base/fd.h"
#include "base/strings.h"
#include "net/port_holder.h"

namespace gantry::net {
namespace {

// One (protocol, address, port) as it is bound.
struct Binding {
  uint8_t protocol;
  uint16_t port;
  IpAddress address;
  friend auto operator<=>(const Binding&, const Binding&) = default;
};

bool is_any(const IpAddress& address) {
  return std::all_of(address.bytes(), address.bytes() + address.size(), [](uint8_t byte) { return byte == 0; });
}

std::string protocol_name(uint8_t protocol) {
  if (protocol == IPPROTO_UDP) return "udp";
  if (protocol == IPPROTO_SCTP) return "sctp";
  return "tcp";
}

std::string host_port(const IpAddress& address, uint16_t port) {
  std::string host = address.is_v6() ? "[" + address.to_string() + "]" : address.to_string();
  return host + ":" + std::to_string(port);
}

socklen_t fill(sockaddr_storage& storage, const IpAddress& address, uint16_t port) {
  storage = {};
  if (address.is_v6()) {
    sockaddr_in6 in{.sin6_family = AF_INET6, .sin6_port = htons(port)};
    std::memcpy(&in.sin6_addr, address.bytes(), 16);
    std::memcpy(&storage, &in, sizeof in);
    return sizeof in;
  }
  sockaddr_in in{.sin_family = AF_INET, .sin_port = htons(port)};
  std::memcpy(&in.sin_addr, address.bytes(), 4);
  std::memcpy(&storage, &in, sizeof in);
  return sizeof in;
}

uint16_t bound_port(int fd) {
  sockaddr_storage storage{};
  socklen_t size = sizeof storage;
  ::getsockname(fd, reinterpret_cast<sockaddr*>(&storage), &size);
  if (storage.ss_family == AF_INET6) return ntohs(reinterpret_cast<sockaddr_in6&>(storage).sin6_port);
  return ntohs(reinterpret_cast<sockaddr_in&>(storage).sin_port);
}

void set_option(int fd, int level, int name) {
  int on = 1;
  ::setsockopt(fd, level, name, &on, sizeof on);
}

Error bind_failure(int errno_value, const Binding& wanted) {
  std::string reason = std::strerror(errno_value);
  reason[0] = static_cast<char>(std::tolower(static_cast<unsigned char>(reason[0])));
  return Error(errno_value == EADDRINUSE ? Code::conflict : Code::internal,
               "failed to bind host port " + host_port(wanted.address, wanted.port) + "/" +
                   protocol_name(wanted.protocol) + ": " + reason);
}

bool drop_everything(int fd) {
  sock_filter drop_all[] = {BPF_STMT(BPF_RET | BPF_K, 0)};
  sock_fprog program{.len = 1, .filter = drop_all};
  return ::setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) == 0;
}

// A socket that is bound and takes nothing in. Port 0: the kernel chooses from ip_local_port_range.
// Where filters are forbidden (some sandboxes allow them to root alone) a TCP port is bound without listening. That
// keeps others out as well, but not while connections of an earlier holder are in TIME_WAIT: reuse would let them in.
Result<Fd> hold(const Binding& wanted) {
  bool connections = wanted.protocol != IPPROTO_UDP;
  Fd fd(::socket(wanted.address.is_v6() ? AF_INET6 : AF_INET, (connections ? SOCK_STREAM : SOCK_DGRAM) | SOCK_CLOEXEC,
                 wanted.protocol));
  if (!fd) return bind_failure(errno, wanted);
  bool listens = drop_everything(fd.get()) && connections;
  if (wanted.address.is_v6()) set_option(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY);
  // For UDP the option would allow two holders.
  if (listens) set_option(fd.get(), SOL_SOCKET, SO_REUSEADDR);
  sockaddr_storage storage;
  socklen_t size = fill(storage, wanted.address, wanted.port);
  if (::bind(fd.get(), reinterpret_cast<sockaddr*>(&storage), size) != 0) return bind_failure(errno, wanted);
  if (listens && ::listen(fd.get(), 1) != 0) return bind_failure(errno, wanted);
  return fd;
}

}  // namespace

struct PortTable::Shared {
  std::mutex mutex;
  std::set<Binding> held;  // guarded by mutex

  // The wildcard and any single address of the family exclude each other.
  bool is_taken(const Binding& wanted) const {
    auto same_port = [&](const Binding& b) { return b.protocol == wanted.protocol && b.port == wanted.port; };
    for (auto at = held.lower_bound({wanted.protocol, wanted.port, {}}); at != held.end() && same_port(*at); ++at) {
      if (at->address.is_v6() != wanted.address.is_v6()) continue;
      if (at->address == wanted.address || is_any(at->address) || is_any(wanted.address)) return true;
    }
    return false;
  }
};

class PortTable::Reservation final : public PortReservation {
 public:
  explicit Reservation(std::shared_ptr<Shared> shared) : shared_(std::move(shared)) {}
  ~Reservation() override {
    // The sockets first: whoever finds the port free in the table must be able to bind it.
    sockets_.clear();
    std::lock_guard lock(shared_->mutex);
    for (const Binding& binding : bindings_) shared_->held.erase(binding);
  }
  const std::vector<PortForward>& ports() const override { return ports_; }

  // The table's lock is held.
  Result<> take(const PortRequest& request) {
    IpAddress address;
    if (!request.host_ip.empty()) address = TRY(IpAddress::parse(request.host_ip));
    uint16_t last = std::max(request.host_first, request.host_last);
    std::optional<Error> first_error;
    for (uint32_t port = request.host_first; port <= last; ++port) {
      auto taken = take_one({request.protocol, static_cast<uint16_t>(port), address}, request);
      if (taken.ok()) return {};
      if (!first_error) first_error = std::move(taken).error();
    }
    if (request.host_first < last) {
      return Error(Code::internal, "no free port in " + std::to_string(request.host_first) + "-" +
                                       std::to_string(last) + ": " + first_error->message());
    }
    std::string holder;
    if (first_error->code() == Code::conflict) holder = find_port_holder(request.protocol, request.host_first);
    return Error(Code::internal, first_error->message() + (holder.empty() ? "" : " (held by " + holder + ")"));
  }

 private:
  Result<> take_one(Binding wanted, const PortRequest& request) {
    if (wanted.port != 0 && shared_->is_taken(wanted)) {
      return Error(Code::internal,
                   "Bind for " + host_port(wanted.address, wanted.port) + " failed: port is already allocated");
    }
    Fd socket = TRY(hold(wanted));
    if (wanted.port == 0) wanted.port = bound_port(socket.get());
    sockets_.push_back(std::move(socket));
    bindings_.push_back(wanted);
    shared_->held.insert(wanted);
    ports_.push_back({.protocol = request.protocol,
                      .host_ip = request.host_ip,
                      .host_port = wanted.port,
                      .container_port = request.container_port});
    return {};
  }

  std::shared_ptr<Shared> shared_;
  std::vector<Fd> sockets_;
  std::vector<Binding> bindings_;
  std::vector<PortForward> ports_;
};

PortTable::PortTable() : shared_(std::make_shared<Shared>()) {}
PortTable::~PortTable() = default;

Result<std::unique_ptr<PortReservation>> PortTable::reserve(const std::vector<PortRequest>& requests) {
  auto reservation = std::make_unique<Reservation>(shared_);
  Result<> taken;
  {
    std::lock_guard lock(shared_->mutex);
    for (const PortRequest& request : requests) {
      taken = reservation->take(request);
      if (!taken.ok()) break;
    }
  }
  if (!taken.ok()) return std::move(taken).error();  // the destructor gives back what was taken
  return std::unique_ptr<PortReservation>(std::move(reservation));
}

}  // namespace gantry::net
