#include "net/forwarding.h"

#include <filesystem>
#include <string_view>

#include "base/fd.h"
#include "base/strings.h"

namespace gantry::net {
namespace {

const char* file_of(bool ipv6) {
  return ipv6 ? "/proc/sys/net/ipv6/conf/all/forwarding" : "/proc/sys/net/ipv4/ip_forward";
}

const std::filesystem::path kSettings6 = "/proc/sys/net/ipv6/conf";

// Best effort: the interface may go this moment, and most machines have no router to listen to. True if it was `from`.
bool change_accept_ra(const std::string& interface, std::string_view from, std::string_view to) {
  const auto file = kSettings6 / interface / "accept_ra";
  auto value = read_file(file);
  return value.ok() && trim(*value) == from && write_file(file, to).ok();
}

}  // namespace

Result<bool> is_forwarding(bool ipv6) {
  std::string value = TRY(read_file(file_of(ipv6)));
  return trim(value) != "0";
}

Result<> set_forwarding(bool ipv6, bool on) { return write_file(file_of(ipv6), on ? "1" : "0"); }

Result<> forward_nothing_from(const std::string& interface) {
  return write_file("/proc/sys/net/ipv4/conf/" + interface + "/forwarding", "0");
}

std::vector<std::string> keep_router_advertisements() {
  std::vector<std::string> kept;
  std::error_code error;
  for (auto entries = std::filesystem::directory_iterator(kSettings6, error); !error && entries != end(entries);
       entries.increment(error)) {
    std::string name = entries->path().filename().native();
    if (change_accept_ra(name, "1", "2")) kept.push_back(std::move(name));
  }
  return kept;
}

void forget_router_advertisements(const std::vector<std::string>& interfaces) {
  for (const std::string& name : interfaces) change_accept_ra(name, "2", "1");
}

}  // namespace gantry::net
