#include "net/ports.h"

#include <linux/filter.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <iterator>
#include <map>
#include <optional>
#include <set>

#include "base/fd.h"
#include "base/strings.h"
#include "net/bpf.h"
#include "net/port_holder.h"
#include "net/socket_address.h"

namespace gantry::net {
namespace {

constexpr int kBacklog = 1024;        // of ports that a process serves
constexpr int kTriesForBothFamilies = 10;  // an ephemeral number that is free in one may be taken in the other

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

// For all sockets one program: a filter of the older kind would be compiled for each of them. None where bpf(2) is
// forbidden.
const Fd& dropping_program() {
  static const Fd program = [] {
    auto loaded = load_program({.type = BPF_PROG_TYPE_SOCKET_FILTER,
                                .instructions = {{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0},
                                                 {.code = BPF_JMP | BPF_EXIT}}});
    return loaded.ok() ? *std::move(loaded) : Fd();
  }();
  return program;
}

bool drop_everything(int fd) {
  const int program_fd = dropping_program().get();
  if (::setsockopt(fd, SOL_SOCKET, SO_ATTACH_BPF, &program_fd, sizeof program_fd) == 0) return true;
  sock_filter drop_all[] = {BPF_STMT(BPF_RET | BPF_K, 0)};
  sock_fprog program{.len = 1, .filter = drop_all};
  return ::setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) == 0;
}

// What becomes of packets that reach the socket.
enum class Purpose { drop, serve };

// A socket that is bound. Port 0: the kernel chooses from ip_local_port_range, past the reserved ones.
// Where filters are forbidden (some sandboxes allow them to root alone) a TCP port is bound without listening. That
// keeps others out as well, but not while connections of an earlier holder are in TIME_WAIT: reuse would let them in.
// Nothing: the kernel does not know the protocol (SCTP is often left out), so that nobody else can take the port.
Result<Fd> hold(const Binding& wanted, Purpose purpose) {
  const bool connections = wanted.protocol != IPPROTO_UDP;
  const SocketAddress address(wanted.address, wanted.port);
  Fd fd(::socket(address.family(), (connections ? SOCK_STREAM : SOCK_DGRAM) | SOCK_CLOEXEC, wanted.protocol));
  if (!fd && errno == EPROTONOSUPPORT && wanted.protocol == IPPROTO_SCTP && wanted.port != 0) return Fd();
  if (!fd) return bind_failure(errno, wanted);
  const bool listens = (purpose == Purpose::serve || drop_everything(fd.get())) && connections;
  if (wanted.address.is_v6()) set_option(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY);
  // For UDP the option would allow two holders.
  if (listens) set_option(fd.get(), SOL_SOCKET, SO_REUSEADDR);
  if (::bind(fd.get(), address.get(), address.size) != 0) return bind_failure(errno, wanted);
  if (listens && ::listen(fd.get(), purpose == Purpose::serve ? kBacklog : 1) != 0) return bind_failure(errno, wanted);
  return fd;
}

bool host_has_ipv6() {
  Fd fd(::socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  const SocketAddress any(IpAddress::v6({}), 0);
  return fd && ::bind(fd.get(), any.get(), any.size) == 0;
}

struct HostKind {
  bool carries_all = false;  // nothing is translated
  bool has_ipv6 = false;
};

// How one address of the host leads to the container.
struct Way {
  IpAddress host;
  std::optional<IpAddress> carried_to;  // by a process; nothing: translated by the kernel
};

// An IPv6 wildcard is always carried as well: the kernel translates what comes from outside before it gets to the
// socket, but not connections to [::1] or from link-local addresses.
std::vector<Way> ways_of(const PortRequest& request, const PortOwner& owner, const std::optional<IpAddress>& host,
                         HostKind kind) {
  const auto& v4 = owner.address4;
  const auto& v6 = owner.address6;
  const auto is_routed = [&](const std::optional<IpAddress>& to) {
    return to && (to->is_v6() ? owner.routed6 : owner.routed4);
  };
  const bool can_carry = request.protocol != IPPROTO_SCTP;
  std::vector<Way> ways;
  if (!host || host->is_v4()) {
    Way way{.host = host.value_or(IpAddress()), .carried_to = {}};
    if (can_carry && (kind.carries_all || (!v4 && v6))) way.carried_to = v4 ? v4 : v6;
    if ((can_carry || !kind.carries_all) && !is_routed(v4 ? v4 : v6)) ways.push_back(way);
  }
  const bool any = !host || (host->is_v6() && is_any(*host));
  if (host ? host->is_v6() : kind.has_ipv6) {
    Way way{.host = host.value_or(IpAddress::v6({})), .carried_to = {}};
    const bool loopback = host && host->to_string() == "::1";
    if (can_carry && (any || loopback || !v6 || kind.carries_all)) way.carried_to = v6 ? v6 : v4;
    if ((can_carry || (v6 && !kind.carries_all)) && !is_routed(v6 ? v6 : v4)) ways.push_back(way);
  }
  return ways;
}

// What a port of an enclave leads to.
struct Passage {
  std::string id;
  std::string name;
  uint16_t container_port = 0;
};

// The families of a request for that address of the host (none: both) in which the container's own address is open:
// "0.0.0.0", "::", empty for both. Nothing: none.
std::optional<std::string> open_at(const PortOwner& owner, const std::optional<IpAddress>& host) {
  const bool v4 = owner.routed4 && owner.address4 && (!host || host->is_v4());
  const bool v6 = owner.routed6 && owner.address6 && (!host || host->is_v6());
  if (v4 && v6) return "";
  if (v4) return "0.0.0.0";
  if (v6) return "::";
  return std::nullopt;
}

}  // namespace

struct PortTable::Shared {
  struct Holder {
    std::string id;
    std::string name;
  };
  std::atomic<bool> carry_all = false;
  std::mutex mutex;
  std::map<Binding, Holder> held;  // guarded by mutex
  std::map<Binding, Passage> passages;  // by enclaves' addresses; guarded by mutex

  // Who has it, if anybody. The wildcard and any single address of the family exclude each other.
  std::vector<const Holder*> holders_of(const Binding& wanted) const {
    std::vector<const Holder*> found;
    auto same_port = [&](const Binding& b) { return b.protocol == wanted.protocol && b.port == wanted.port; };
    for (auto at = held.lower_bound({wanted.protocol, wanted.port, {}}); at != held.end() && same_port(at->first);
         ++at) {
      const IpAddress& address = at->first.address;
      if (address.is_v6() != wanted.address.is_v6()) continue;
      if (address == wanted.address || is_any(address) || is_any(wanted.address)) found.push_back(&at->second);
    }
    return found;
  }
};

class PortTable::Reservation final : public PortReservation {
 public:
  Reservation(std::shared_ptr<Shared> shared, PortOwner owner) : shared_(std::move(shared)), owner_(std::move(owner)) {}
  ~Reservation() override {
    if (held_.empty() && passages_.empty()) return;
    // The sockets first: whoever finds the port free in the table must be able to bind it.
    std::vector<Binding> bindings;
    for (Held& one : held_) bindings.push_back(one.binding);
    held_.clear();
    std::lock_guard lock(shared_->mutex);
    for (const Binding& binding : bindings) shared_->held.erase(binding);
    for (const Binding& passage : passages_) shared_->passages.erase(passage);
  }
  // For a check: what they hold counts as free. They must outlive this.
  void let_go(const std::set<std::string>& leaving) { leaving_ = &leaving; }
  // The table's lock is held.
  void give_back_all() { give_back(0); }
  const std::vector<PortForward>& ports() const override { return ports_; }
  std::vector<Carried> carried() const override {
    std::vector<Carried> list;
    for (const Held& one : held_) {
      if (!one.carried_to) continue;
      list.push_back({.forward = {.protocol = one.binding.protocol,
                                  .host = one.binding.address,
                                  .host_port = one.binding.port,
                                  .target = *one.carried_to,
                                  .target_port = keeps_number(*one.carried_to) ? one.binding.port : one.container_port},
                      .socket = one.socket.get()});
    }
    return list;
  }

  bool lead_to(const PortOwner& owner) override {
    if (owner.routed4 != owner_.routed4 || owner.routed6 != owner_.routed6) return false;
    if (owner.enclave4 != owner_.enclave4 || (owner.enclave4 && owner.address4 != owner_.address4)) return false;
    for (Held& one : held_) {
      if (!one.carried_to) continue;
      const bool prefers_v4 = one.binding.address.is_v4() && owner.address4;
      const auto& other = owner.address6 && !prefers_v4 ? owner.address6 : owner.address4;
      if (other) one.carried_to = other;
    }
    return true;
  }

  // The table's lock is held.
  Result<> take(const PortRequest& request) {
    std::optional<IpAddress> host;
    if (!request.host_ip.empty()) host = TRY(IpAddress::parse(request.host_ip));
    const bool carry_all = shared_->carry_all;
    // Found out with a socket: once for all the ports of a container.
    if (!host && !has_ipv6_) has_ipv6_ = host_has_ipv6();
    const std::vector<Way> ways =
        ways_of(request, owner_, host, {.carries_all = carry_all, .has_ipv6 = has_ipv6_.value_or(false)});
    const std::optional<std::string> open = open_at(owner_, host);
    const auto list_open = [&]() -> Result<> {
      if (open) ports_.push_back(port_forward(request, *open, 0));
      return {};
    };
    if (ways.empty() && open) return list_open();
    if (ways.empty() && carry_all) return unsupported("sctp cannot be published: nftables cannot be used");
    if (ways.empty()) return unsupported("sctp cannot be published on an IPv6 address of a container without one");
    const uint16_t last = std::max(request.host_first, request.host_last);
    std::optional<Error> first_error;
    for (uint32_t port = request.host_first; port <= last; ++port) {
      auto taken = take_number(static_cast<uint16_t>(port), request, ways);
      if (taken.ok()) return list_open();
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
  struct Held {
    Binding binding;
    Fd socket;
    std::optional<IpAddress> carried_to;
    uint16_t container_port = 0;
  };

  bool keeps_number(const IpAddress& target) const { return owner_.enclave4 && target.is_v4(); }

  static PortForward port_forward(const PortRequest& request, std::string host_ip, uint16_t host_port) {
    return {.protocol = request.protocol,
            .host_ip = std::move(host_ip),
            .host_port = host_port,
            .container_port = request.container_port};
  }

  // The same number in all ways.
  Result<> take_number(uint16_t wanted, const PortRequest& request, const std::vector<Way>& ways) {
    Result<> taken;
    for (int tries = wanted == 0 ? kTriesForBothFamilies : 1; tries > 0; --tries) {
      const size_t before = held_.size();
      uint16_t port = wanted;
      taken = {};
      for (const Way& way : ways) {
        taken = take_one({request.protocol, port, way.host}, request, way.carried_to);
        if (!taken.ok()) break;
        port = held_.back().binding.port;
      }
      if (taken.ok()) {
        // With the other family routed an empty host address would say too much.
        const bool all = ways.size() > 1 || !request.host_ip.empty() || !(owner_.routed4 || owner_.routed6);
        ports_.push_back(port_forward(request, all ? request.host_ip : ways[0].host.to_string(), port));
        return {};
      }
      give_back(before);
    }
    return taken;
  }

  Result<> take_one(Binding wanted, const PortRequest& request, const std::optional<IpAddress>& carried_to) {
    const auto holders = wanted.port == 0 ? std::vector<const Shared::Holder*>() : shared_->holders_of(wanted);
    for (const Shared::Holder* holder : holders) {
      if (leaving_ != nullptr && leaving_->contains(holder->id)) continue;
      return Error(Code::internal, "Bind for " + host_port(wanted.address, wanted.port) +
                                       " failed: port is already allocated" +
                                       (holder->name.empty() ? "" : " (held by container " + holder->name + ")"));
    }
    if (!holders.empty()) {
      borrowed_.insert(wanted);
      held_.push_back({wanted, Fd(), carried_to, request.container_port});
      return {};
    }
    auto socket = hold(wanted, carried_to ? Purpose::serve : Purpose::drop);
    // The process that serves the port has outlived an earlier daemon.
    const bool served = !socket.ok() && socket.error().code() == Code::conflict && owner_.again && carried_to;
    if (!socket.ok() && !served) return std::move(socket).error();
    Fd fd = served ? Fd() : *std::move(socket);
    if (wanted.port == 0) wanted.port = local_address(fd.get()).port();
    if (auto led = lead_through_enclave(wanted, request); !led.ok()) return led;
    held_.push_back({wanted, std::move(fd), carried_to, request.container_port});
    shared_->held.emplace(wanted, Shared::Holder{.id = owner_.id, .name = owner_.name});
    return {};
  }

  // An enclave has one port of a number for all addresses of the host, and it leads to one port of one container.
  Result<> lead_through_enclave(const Binding& wanted, const PortRequest& request) {
    if (!owner_.enclave4) return {};
    const Binding inside{.protocol = wanted.protocol, .port = wanted.port, .address = *owner_.address4};
    const auto [at, added] = shared_->passages.try_emplace(inside, Passage{owner_.id, owner_.name, request.container_port});
    if (added) passages_.push_back(inside);
    if (at->second.id == owner_.id && at->second.container_port == request.container_port) return {};
    if (leaving_ != nullptr && leaving_->contains(at->second.id)) return {};
    return Error(Code::internal, "Bind for " + host_port(wanted.address, wanted.port) +
                                     " failed: port is already allocated on another address of the host (held by container " +
                                     at->second.name + "), which networks with com.gantry.isolated cannot tell apart");
  }

  void give_back(size_t from) {
    for (size_t i = from; i < held_.size(); ++i) {
      if (borrowed_.erase(held_[i].binding) == 0) shared_->held.erase(held_[i].binding);
    }
    held_.erase(held_.begin() + static_cast<ptrdiff_t>(from), held_.end());
    std::erase_if(passages_, [&](const Binding& passage) {
      const bool used = std::any_of(held_.begin(), held_.end(), [&](const Held& one) {
        return one.binding.protocol == passage.protocol && one.binding.port == passage.port;
      });
      if (!used) shared_->passages.erase(passage);
      return !used;
    });
  }

  std::shared_ptr<Shared> shared_;
  const PortOwner owner_;
  const std::set<std::string>* leaving_ = nullptr;
  std::optional<bool> has_ipv6_;  // the host; nothing: not asked yet
  std::set<Binding> borrowed_;  // of held_: what those who leave still have
  std::vector<Held> held_;
  std::vector<Binding> passages_;  // of the shared ones
  std::vector<PortForward> ports_;
};

PortTable::PortTable() : shared_(std::make_shared<Shared>()) {}
PortTable::~PortTable() = default;

void PortTable::carry_everything() { shared_->carry_all = true; }

Result<std::unique_ptr<PortReservation>> PortTable::reserve(const std::vector<PortRequest>& requests,
                                                            const PortOwner& owner) {
  auto reservation = std::make_unique<Reservation>(shared_, owner);
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

std::vector<std::optional<Error>> PortTable::check(const std::vector<PortQuestion>& questions,
                                                   const std::set<std::string>& leaving) {
  std::vector<std::optional<Error>> answers(questions.size());
  std::map<std::string, std::vector<size_t>> groups;
  for (size_t i = 0; i < questions.size(); ++i) {
    const std::string& group = questions[i].group;
    groups[group.empty() ? "/" + std::to_string(i) : group].push_back(i);  // a group's name has no slash
  }
  std::lock_guard lock(shared_->mutex);
  for (const auto& [name, members] : groups) {
    std::vector<std::unique_ptr<Reservation>> taken;
    for (size_t i : members) {
      taken.push_back(std::make_unique<Reservation>(shared_, questions[i].owner));
      taken.back()->let_go(leaving);
      for (const PortRequest& request : questions[i].ports) {
        auto done = taken.back()->take(request);
        if (!done.ok() && !answers[i]) answers[i] = std::move(done).error();
      }
    }
    for (auto& reservation : taken) reservation->give_back_all();
  }
  return answers;
}

}  // namespace gantry::net
