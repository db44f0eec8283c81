// gantry daemon stop. (`gantry daemon` itself is taken by main.cc: it runs the daemon in this process.)
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

#include "cli/commands/commands.h"
#include "client/connection.h"

namespace gantry::cli {

namespace {

// A clean stop waits for requests under way; longer than this it hangs.
constexpr auto kLongestStop = std::chrono::seconds(60);

constexpr Flag kDaemonFlags[] = {
    {.name = "host",
     .letter = 'H',
     .kind = FlagKind::text,
     .value_name = "ADDRESS",
     .help = "Daemon to stop (unix://PATH)"},
    {.name = "data-root", .kind = FlagKind::text, .value_name = "DIR", .help = "The daemon with this data root"},
    {.name = "run-root", .kind = FlagKind::text, .value_name = "DIR", .help = "The daemon with this run root"},
};

// The process behind the other end of a unix socket.
Result<pid_t> peer_of(const Fd& socket) {
  ucred credentials{};
  socklen_t size = sizeof credentials;
  if (::getsockopt(socket.get(), SOL_SOCKET, SO_PEERCRED, &credentials, &size) != 0) {
    return Error::from_errno(errno, "getsockopt SO_PEERCRED");
  }
  if (credentials.pid == 1) {
    return unsupported("the daemon's socket belongs to the init system: stop it there (systemctl stop gantry.service)");
  }
  if (credentials.pid <= 0) return unsupported("the daemon is not a process of this machine's namespace");
  return credentials.pid;
}

Result<> end_process(pid_t pid) {
  const Fd process(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  if (!process && errno == ESRCH) return {};
  if (!process) return Error::from_errno(errno, "pidfd_open", std::to_string(pid));
  if (::syscall(SYS_pidfd_send_signal, process.get(), SIGTERM, nullptr, 0) != 0 && errno != ESRCH) {
    return Error::from_errno(errno, "stopping the daemon");
  }
  pollfd ended{process.get(), POLLIN, 0};
  const auto limit = std::chrono::duration_cast<std::chrono::milliseconds>(kLongestStop);
  int count = 0;
  do {
    count = ::poll(&ended, 1, static_cast<int>(limit.count()));
  } while (count < 0 && errno == EINTR);
  if (count > 0) return {};
  return Error(Code::unavailable, "the daemon (process " + std::to_string(pid) + ") did not end within " +
                                      std::to_string(kLongestStop.count()) + " seconds");
}

Result<int> daemon(Session& session, const Arguments& arguments) {
  if (arguments.positional() != std::vector<std::string>{"stop"}) {
    return invalid("options of the daemon stand behind it: gantry daemon --data-root DIR …; its only command is stop");
  }
  const Globals& globals = session.globals();
  const auto endpoint = TRY(client::Endpoint::from_environment(
      session.environment(), arguments.text("host", globals.host), arguments.text("data-root", globals.data_root),
      arguments.text("run-root", globals.run_root)));
  const auto address = TRY(client::Address::parse(endpoint.host));
  if (address.kind != client::Address::Kind::unix_socket) {
    return unsupported("only a daemon of this machine can be stopped, not " + endpoint.host);
  }
  auto socket = client::dial(address);
  if (!socket.ok() && socket.error().code() == Code::unavailable) {
    session.err.write("No daemon is running at " + endpoint.host + "\n");
    return 0;
  }
  TRY(end_process(TRY(peer_of(TRY(std::move(socket))))));
  return 0;
}

}  // namespace

const Command kEngineDaemon{.syntax = {.name = "daemon",
                                       .arguments = "[stop]",
                                       .summary = "Run the daemon; `daemon stop` ends it, and its containers go on",
                                       .flags = kDaemonFlags,
                                       .most_arguments = 1},
                            .run = daemon};

}  // namespace gantry::cli
