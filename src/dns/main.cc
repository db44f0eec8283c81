// gantry-dns: answers the containers' name queries at 127.0.0.11 and carries the published ports that the kernel cannot
// translate. One process a daemon, started by it, outliving it: names resolve while the daemon is restarted. Ends when no daemon is connected and no container is left.
//
// Usage: gantry-dns RUN-DIRECTORY. Returns when it is ready, and goes on in the background.
#include <fcntl.h>
#include <linux/close_range.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>

#include "base/fd.h"
#include "base/loop.h"
#include "base/random.h"
#include "dns/control.h"
#include "net/dns_protocol.h"
#include "net/dns_server.h"
#include "net/forwarder.h"
#include "net/host_nameservers.h"

namespace gantry::dns {
namespace {

Result<Fd> listen_in(int run_directory) {
  ::unlinkat(run_directory, net::kDnsSocketName, 0);  // of a service that was killed
  Fd fd(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return Error::from_errno(errno, "open socket");
  sockaddr_un address = net::dns_socket_address(run_directory);
  if (::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
    return Error::from_errno(errno, "bind", net::kDnsSocketName);
  }
  if (::listen(fd.get(), 4) != 0) return Error::from_errno(errno, "listen", net::kDnsSocketName);
  return fd;
}

// Two sockets a container, and one an upstream question: as many as we may have.
void raise_descriptor_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

// The parent ends here, which tells whoever started it that the socket listens.
Result<> go_into_background() {
  pid_t child = ::fork();
  if (child < 0) return Error::from_errno(errno, "fork");
  if (child > 0) ::_exit(0);
  ::setsid();
  if (::chdir("/") != 0) return Error::from_errno(errno, "chdir");
  Fd null = TRY(open_file("/dev/null", O_RDWR));
  for (int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) ::dup2(null.get(), fd);
  return {};
}

Result<> serve(const char* directory) {
  ::syscall(SYS_close_range, 3, ~0U, 0);  // nothing that was inherited by mistake is kept alive
  ::umask(077);
  std::signal(SIGPIPE, SIG_IGN);
  raise_descriptor_limit();
  Fd run_directory = TRY(open_file(directory, O_PATH | O_DIRECTORY));
  Fd listening = TRY(listen_in(run_directory.get()));
  TRY(go_into_background());

  EventLoop loop;
  SystemRandom random;
  {
    constexpr const char* kResolvConf = "/etc/resolv.conf";
    Control* control = nullptr;
    net::DnsServer server(loop, random, {}, [&control] { control->drain(); });
    server.set_host_upstreams(net::host_nameservers(kResolvConf));
    net::NameserverWatch host(loop, kResolvConf,
                              [&server] { server.set_host_upstreams(net::host_nameservers(kResolvConf)); });
    net::Forwarder forwarder(loop);
    Control orders(loop, server, forwarder, std::move(run_directory), std::move(listening), [&loop] { loop.stop(); });
    control = &orders;
    loop.run();
  }
  return {};
}

}  // namespace
}  // namespace gantry::dns

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: gantry-dns RUN-DIRECTORY (it is started by the gantry daemon)\n");
    return 2;
  }
  auto served = gantry::dns::serve(argv[1]);
  if (served.ok()) return 0;
  std::fprintf(stderr, "gantry-dns: %s\n", served.error().message().c_str());
  return 1;
}
