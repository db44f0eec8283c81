#include "net/port_holder.h"

#include <netinet/in.h>

#include <charconv>
#include <filesystem>
#include <set>

#include "base/fd.h"
#include "base/strings.h"

namespace gantry::net {
namespace {

// Socket states in /proc/net/tcp and udp (include/net/tcp_states.h): a listening TCP socket, a UDP socket that is
// bound.
constexpr std::string_view kListening = "0A";
constexpr std::string_view kBound = "07";

// The words of one line, which are separated by any number of spaces.
std::vector<std::string> words(std::string_view line) {
  std::vector<std::string> found;
  for (std::string& word : split(line, ' ')) {
    if (!word.empty()) found.push_back(std::move(word));
  }
  return found;
}

// Inodes of the sockets on `port`. A line reads "sl local remote state queues timer retransmits uid timeout inode …",
// addresses in hexadecimal: proc_net_tcp(5).
void collect_inodes(const char* table, std::string_view state, uint16_t port, std::set<std::string>& inodes) {
  auto text = read_file(table);
  if (!text.ok()) return;
  for (const std::string& line : split(*text, '\n')) {
    auto fields = words(line);
    if (fields.size() < 10 || fields[3] != state) continue;
    size_t colon = fields[1].rfind(':');
    if (colon == std::string::npos) continue;
    unsigned number = 0;
    const char* end = fields[1].data() + fields[1].size();
    if (std::from_chars(fields[1].data() + colon + 1, end, number, 16).ec != std::errc()) continue;
    if (number == port) inodes.insert("socket:[" + fields[9] + "]");
  }
}

bool holds_one_of(const std::filesystem::path& process, const std::set<std::string>& inodes) {
  std::error_code error;
  for (auto fds = std::filesystem::directory_iterator(process / "fd", error); !error && fds != end(fds);
       fds.increment(error)) {
    std::error_code gone;
    auto target = std::filesystem::read_symlink(fds->path(), gone);
    if (!gone && inodes.contains(target.native())) return true;
  }
  return false;
}

}  // namespace

std::string find_port_holder(uint8_t protocol, uint16_t port) {
  std::set<std::string> inodes;
  if (protocol == IPPROTO_TCP) {
    collect_inodes("/proc/net/tcp", kListening, port, inodes);
    collect_inodes("/proc/net/tcp6", kListening, port, inodes);
  } else if (protocol == IPPROTO_UDP) {
    collect_inodes("/proc/net/udp", kBound, port, inodes);
    collect_inodes("/proc/net/udp6", kBound, port, inodes);
  }
  if (inodes.empty()) return {};
  std::error_code error;
  for (auto entries = std::filesystem::directory_iterator("/proc", error); !error && entries != end(entries);
       entries.increment(error)) {
    std::string pid = entries->path().filename().native();
    if (!parse_unsigned(pid) || !holds_one_of(entries->path(), inodes)) continue;
    auto name = read_file(entries->path() / "comm", 4096);
    return (name.ok() ? std::string(trim(*name)) : "a process") + ", pid " + pid;
  }
  return {};
}

}  // namespace gantry::net
