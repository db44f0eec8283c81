#include "net/host_nameservers.h"

#include <sys/inotify.h>
#include <unistd.h>

#include <filesystem>

#include "base/strings.h"

namespace gantry::net {
namespace {

constexpr size_t kMostText = 1 << 20;
constexpr size_t kMostServers = 3;  // MAXNS of resolv.h
constexpr const char* kResolvedFile = "/run/systemd/resolve/resolv.conf";

bool is_resolved_stub(const IpAddress& address) { return address == IpAddress::v4(0x7f000035); }

}  // namespace

std::vector<IpAddress> parse_nameservers(std::string_view resolv_conf) {
  std::vector<IpAddress> servers;
  for (const std::string& line : split(resolv_conf, '\n')) {
    std::string_view rest = trim(line);
    constexpr std::string_view kKeyword = "nameserver";
    if (!rest.starts_with(kKeyword)) continue;
    rest.remove_prefix(kKeyword.size());
    if (rest.empty() || (rest[0] != ' ' && rest[0] != '\t')) continue;
    rest = trim(rest);
    rest = rest.substr(0, rest.find_first_of(" \t%"));  // zones mean nothing elsewhere
    if (auto address = IpAddress::parse(rest); address.ok()) servers.push_back(*address);
  }
  return servers;
}

std::vector<IpAddress> host_nameservers(const std::string& path) {
  auto text = read_file(path, kMostText);
  std::vector<IpAddress> servers = parse_nameservers(text.ok() ? *text : "");
  if (servers.size() == 1 && is_resolved_stub(servers[0])) {
    if (auto real = read_file(kResolvedFile, kMostText); real.ok()) servers = parse_nameservers(*real);
  }
  if (servers.size() > kMostServers) servers.resize(kMostServers);
  return servers;
}

NameserverWatch::NameserverWatch(EventLoop& loop, std::string path, Function<void()> changed)
    : path_(std::move(path)), changed_(std::move(changed)), inotify_(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK)) {
  if (!inotify_) return;
  watch_all();
  watcher_ = std::make_unique<FdWatcher>(loop, inotify_.get(), FdWatcher::readable, [this](int) { drain(); });
}

NameserverWatch::~NameserverWatch() = default;

// The file itself (written in place), its directory (replaced by a rename), and the same where a link leads.
void NameserverWatch::watch_all() {
  constexpr uint32_t kInPlace = IN_CLOSE_WRITE | IN_MODIFY | IN_MOVE_SELF | IN_DELETE_SELF | IN_ATTRIB;
  constexpr uint32_t kReplaced = IN_MOVED_TO | IN_CREATE | IN_DELETE;
  std::error_code error;
  std::filesystem::path real = std::filesystem::weakly_canonical(path_, error);
  for (const std::filesystem::path& file : {std::filesystem::path(path_), real, std::filesystem::path(kResolvedFile)}) {
    if (file.empty()) continue;
    ::inotify_add_watch(inotify_.get(), file.c_str(), kInPlace);
    ::inotify_add_watch(inotify_.get(), file.parent_path().c_str(), kReplaced | IN_ONLYDIR);
  }
}

void NameserverWatch::drain() {
  alignas(inotify_event) char buffer[4096];
  while (::read(inotify_.get(), buffer, sizeof buffer) > 0) {
  }
  watch_all();  // the file may be another one now
  changed_();
}

}  // namespace gantry::net
