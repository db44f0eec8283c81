#include "client/daemon_start.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <vector>

#include "base/executable.h"
#include "base/strings.h"

extern char** environ;

namespace gantry::client {
namespace {

constexpr int kReadyFd = 3;

Result<> make_directory(const std::filesystem::path& path, std::filesystem::perms mode) {
  std::error_code error;
  if (std::filesystem::create_directories(path, error)) std::filesystem::permissions(path, mode, error);
  if (!error) return {};
  const Code code = error == std::errc::permission_denied ? Code::forbidden : Code::internal;
  return Error(code, "cannot start the Gantry daemon: directory " + gantry::quoted(path.native()) + ": " +
                         error.message() +
                         (code == Code::forbidden ? "; run as root, or choose --data-root and --run-root" : ""));
}

Result<Fd> lock_start(const Roots& roots) {
  Fd lock = TRY(open_file(roots.run / "start.lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  while (::flock(lock.get(), LOCK_EX) != 0) {
    if (errno != EINTR) return Error::from_errno(errno, "flock", (roots.run / "start.lock").native());
  }
  return lock;
}

// The daemon gets nothing of ours but the pipe's end: no terminal, no descriptors, no blocked signals.
Result<> spawn(const DaemonStart& start, const std::filesystem::path& executable, int ready) {
  const std::string log = (start.roots.data / "daemon.log").native();
  std::vector<std::string> words = {executable.native(),
                                    "daemon",
                                    "--data-root",
                                    start.roots.data.native(),
                                    "--run-root",
                                    start.roots.run.native(),
                                    "--host",
                                    "unix://" + start.address.path,
                                    "--log-file",
                                    log,
                                    "--ready-fd",
                                    std::to_string(kReadyFd)};
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);

  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, ready, kReadyFd);
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
  posix_spawn_file_actions_addopen(&actions, 2, log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0640);
  posix_spawn_file_actions_addclosefrom_np(&actions, kReadyFd + 1);
  posix_spawn_file_actions_addchdir_np(&actions, "/");
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t none;
  sigset_t all;
  sigemptyset(&none);
  sigfillset(&all);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setsigdefault(&attributes, &all);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  pid_t pid = 0;
  const int failure = ::posix_spawn(&pid, executable.c_str(), &actions, &attributes, arguments.data(), environ);
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  if (failure != 0) return Error::from_errno(failure, "starting the Gantry daemon", executable.native());
  return {};
}

// "ready\n", or "error: WHY\n", or the end without a word.
Result<> await_ready(const Fd& ready, const Roots& roots) {
  const std::string said = TRY(read_all(ready.get(), 1 << 20));
  if (said == "ready\n") return {};
  if (said.starts_with("error: ")) {
    return Error(Code::unavailable, "the Gantry daemon could not start: " + std::string(trim(said.substr(7))));
  }
  return Error(Code::unavailable,
               "the Gantry daemon ended before it was ready; see " + (roots.data / "daemon.log").native());
}

}  // namespace

Result<Fd> start_daemon(const DaemonStart& start) {
  using std::filesystem::perms;
  TRY(make_directory(start.roots.run, perms(0711)));
  TRY(make_directory(start.roots.data, perms(0710)));
  const Fd lock = TRY(lock_start(start.roots));
  Result<Fd> found = dial(start.address);  // somebody else may have started it while we waited for the lock
  if (found.ok() || found.error().code() != Code::unavailable) return found;

  const std::filesystem::path executable = TRY(find_program("gantry-daemon"));
  Pipe ready = TRY(make_pipe());
  TRY(spawn(start, executable, ready.write.get()));
  ready.write.reset();
  TRY(await_ready(ready.read, start.roots));
  return dial(start.address);
}

}  // namespace gantry::client
