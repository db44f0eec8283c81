// The host's own name servers, now and when they change (resolv.conf(5); DHCP clients and VPNs rewrite it).
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/fd.h"
#include "base/function.h"
#include "base/loop.h"
#include "net/address.h"

namespace gantry::net {

// Malformed lines are skipped, as the C library does.
std::vector<IpAddress> parse_nameservers(std::string_view resolv_conf);
// Of the file, at most three; where it names only systemd-resolved's stub, those that resolved asks.
std::vector<IpAddress> host_nameservers(const std::string& path = "/etc/resolv.conf");

// Tells when the file, or what it is a link to, was written or replaced. Loop thread only. Where the kernel has no
// inotify left it tells nothing.
class NameserverWatch {
 public:
  NameserverWatch(EventLoop& loop, std::string path, Function<void()> changed);
  ~NameserverWatch();

 private:
  void watch_all();
  void drain();

  const std::string path_;
  Function<void()> changed_;
  Fd inotify_;
  std::unique_ptr<FdWatcher> watcher_;  // goes before the descriptor
};

}  // namespace gantry::net
