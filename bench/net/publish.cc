// What joining a network and publishing ten ports adds to the start of a container, with 1, 100 and 1,000 ports published
// before: medians of many joins, in milliseconds, as time that passes and as time of the processor, which other work on
// the machine hardly changes. Joins with and without ports alternate, so that what else the machine does hits both alike.
// Run by net.py, in a network namespace that ends with it.
#include <arpa/inet.h>
#include <linux/netlink.h>
#include <sched.h>
#include <sys/socket.h>
#include <time.h>

#include <algorithm>
#include <cstdio>
#include <thread>
#include <vector>

#include "base/check.h"
#include "base/fd.h"
#include "base/random.h"
#include "net/network.h"

using namespace gantry;
using namespace gantry::net;

namespace {

constexpr int kJoins = 100;  // with ports, and as many without
constexpr uint16_t kPorts = 10;

// A container's namespace with the sockets that are made in it.
struct Inside {
  Fd netns, route, netfilter;
  Inside() {
    std::thread([this] {
      CHECK(::unshare(CLONE_NEWNET) == 0);
      netns = *open_file("/proc/thread-self/ns/net", O_RDONLY);
      route = Fd(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
      netfilter = Fd(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER));
    }).join();
  }
  NetnsAccess access() const { return {.route = route.get(), .netfilter = netfilter.get(), .netns = netns.get()}; }
};

BridgeConfig bridge() {
  return {.network_id = std::string(64, 'b'),
          .bridge_name = "br-bench",
          .subnet4 = *Subnet::parse("10.89.0.0/16"),
          .gateway4 = *IpAddress::parse("10.89.0.1")};
}

EndpointConfig endpoint(uint64_t number) {
  static SeededRandom random(7);
  const BridgeConfig in = bridge();
  return {.network_id = in.network_id,
          .bridge_name = in.bridge_name,
          .host_interface = "veth" + std::to_string(100000 + number),
          .container_interface = "eth0",
          .mac = MacAddress::random_local(random),
          .address4 = in.subnet4->address().plus(number + 2),
          .subnet4 = in.subnet4,
          .gateway4 = in.gateway4};
}

std::vector<PortRequest> ports(uint16_t first, uint16_t count) {
  std::vector<PortRequest> list;
  for (uint16_t i = 0; i < count; ++i) {
    const auto port = static_cast<uint16_t>(first + i);
    list.push_back({.host_ip = "127.0.0.1", .host_first = port, .host_last = port, .container_port = port});
  }
  return list;
}

template <class T>
T value(Result<T> result) {
  if (!result.ok()) std::fprintf(stderr, "%s\n", result.error().message().c_str());
  CHECK(result.ok());
  return *std::move(result);
}
void done(const Result<>& result) {
  if (!result.ok()) std::fprintf(stderr, "%s\n", result.error().message().c_str());
  CHECK(result.ok());
}

struct Cost {
  double passed_ms;
  double cpu_ms;
};

double milliseconds(clockid_t clock) {
  timespec now{};
  CHECK(::clock_gettime(clock, &now) == 0);
  return static_cast<double>(now.tv_sec) * 1e3 + static_cast<double>(now.tv_nsec) / 1e6;
}

// Of one join with `count` ports.
Cost join(NetworkStack& stack, uint64_t number, uint16_t count) {
  Inside inside;
  EndpointConfig config = endpoint(number);
  const Cost begin{milliseconds(CLOCK_MONOTONIC), milliseconds(CLOCK_THREAD_CPUTIME_ID)};
  auto held = value(stack.reserve_ports(ports(40000, count), {.name = "bench", .address4 = config.address4}));
  config.ports = held->ports();
  done(stack.attach(config, inside.access()));
  const Cost end{milliseconds(CLOCK_MONOTONIC), milliseconds(CLOCK_THREAD_CPUTIME_ID)};
  done(stack.detach(config));
  return {end.passed_ms - begin.passed_ms, end.cpu_ms - begin.cpu_ms};
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

struct Costs {
  std::vector<double> passed, cpu;
  void add(Cost one) {
    passed.push_back(one.passed_ms);
    cpu.push_back(one.cpu_ms);
  }
};

}  // namespace

int main() {
  auto stack = make_network_stack({.table_name = "gantry-bench0"});
  done(stack->set_up());
  done(stack->create_bridge(bridge()));
  std::vector<std::unique_ptr<PortReservation>> held;
  std::vector<std::unique_ptr<Inside>> holders;
  uint16_t published = 0;
  uint64_t number = 0;
  for (uint16_t before : {uint16_t{1}, uint16_t{100}, uint16_t{1000}}) {
    holders.push_back(std::make_unique<Inside>());
    EndpointConfig holder = endpoint(number++);
    held.push_back(value(stack->reserve_ports(ports(static_cast<uint16_t>(20000 + published),
                                                    static_cast<uint16_t>(before - published)),
                                              {.name = "holder", .address4 = holder.address4})));
    holder.ports = held.back()->ports();
    done(stack->attach(holder, holders.back()->access()));
    published = before;
    Costs without, with;
    for (int i = 0; i < kJoins; ++i) {
      without.add(join(*stack, number++, 0));
      with.add(join(*stack, number++, kPorts));
    }
    const double passed = median(without.passed), cpu = median(without.cpu);
    std::printf("%u %.3f %.3f %.3f %.3f\n", before, passed, median(with.passed) - passed, cpu, median(with.cpu) - cpu);
  }
  return 0;
}
