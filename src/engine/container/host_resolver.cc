#include "engine/container/host_resolver.h"

#include "base/fd.h"

namespace gantry::engine {
namespace {

constexpr size_t kMostText = 1 << 20;
constexpr const char* kResolvedStub = "127.0.0.53";  // systemd-resolved(8)

}  // namespace

ResolverConfig host_resolver() {
  auto text = read_file("/etc/resolv.conf", kMostText);
  ResolverConfig config = parse_resolv_conf(text.ok() ? *text : "");
  if (config.nameservers.size() != 1 || config.nameservers[0].to_string() != kResolvedStub) return config;
  auto real = read_file("/run/systemd/resolve/resolv.conf", kMostText);
  return real.ok() ? parse_resolv_conf(*real) : config;
}

}  // namespace gantry::engine
