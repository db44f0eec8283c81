#include "net/endpoint_sysctls.h"

#include <sched.h>

#include <algorithm>
#include <cerrno>
#include <thread>

#include "base/fd.h"
#include "base/strings.h"

namespace gantry::net {
namespace {

// Dots separate directories, and a slash stands for a dot in one's name: sysctl(8).
std::string path_of(std::string name) {
  for (char& c : name) c = c == '.' ? '/' : c == '/' ? '.' : c;
  return "/proc/sys/" + name;
}

Result<> write_inside(int netns, const std::vector<std::pair<std::string, std::string>>& settings) {
  if (::setns(netns, CLONE_NEWNET) != 0) return Error::from_errno(errno, "enter the container's network");
  for (const auto& [name, value] : settings) {
    TRY(write_file(path_of(name), value).within("setting " + name + "=" + value));
  }
  return {};
}

bool is_plain(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](unsigned char c) {
    return std::isalnum(c) != 0 || c == '_' || c == '-';
  });
}

}  // namespace

Result<> apply_sysctls(int netns, const std::vector<std::pair<std::string, std::string>>& settings) {
  if (settings.empty()) return {};
  Result<> done;
  std::thread([&] { done = write_inside(netns, settings); }).join();
  return done;
}

Result<std::vector<std::pair<std::string, std::string>>> parse_endpoint_sysctls(std::string_view text,
                                                                                const std::string& interface) {
  std::vector<std::pair<std::string, std::string>> settings;
  for (const std::string& one : split(text, ',')) {
    const size_t equals = one.find('=');
    const auto parts = split(one.substr(0, equals), '.');
    const bool good = equals != std::string::npos && parts.size() == 5 && parts[0] == "net" && is_plain(parts[1]) &&
                      (parts[2] == "conf" || parts[2] == "neigh") && parts[3] == "IFNAME" && is_plain(parts[4]);
    if (!good) {
      return invalid("invalid endpoint sysctl " + gantry::quoted(one) +
                     ": it must look like net.ipv4.conf.IFNAME.log_martians=1, with IFNAME as it is written here");
    }
    std::string name = interface;
    std::replace(name.begin(), name.end(), '.', '/');
    settings.emplace_back("net." + parts[1] + "." + parts[2] + "." + name + "." + parts[4], one.substr(equals + 1));
  }
  return settings;
}

}  // namespace gantry::net
