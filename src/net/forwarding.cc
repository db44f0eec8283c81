#include "net/forwarding.h"

#include <filesystem>

#include "base/fd.h"
#include "base/strings.h"

namespace gantry::net {
namespace {

const char* file_of(bool ipv6) {
  return ipv6 ? "/proc/sys/net/ipv6/conf/all/forwarding" : "/proc/sys/net/ipv4/ip_forward";
}

void keep_router_advertisements() {
  std::error_code error;
  for (auto entries = std::filesystem::directory_iterator("/proc/sys/net/ipv6/conf", error);
       !error && entries != end(entries); entries.increment(error)) {
    auto file = entries->path() / "accept_ra";
    auto value = read_file(file);
    // Best effort: the interface may go this moment, and most machines have no router to listen to.
    if (value.ok() && trim(*value) == "1") (void)write_file(file, "2");
  }
}

}  // namespace

Result<bool> is_forwarding(bool ipv6) {
  std::string value = TRY(read_file(file_of(ipv6)));
  return trim(value) != "0";
}

Result<> set_forwarding(bool ipv6, bool on) {
  if (ipv6 && on) keep_router_advertisements();
  return write_file(file_of(ipv6), on ? "1" : "0");
}

}  // namespace gantry::net
