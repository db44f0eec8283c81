#include "client/tls_program.h"

#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <string>
#include <thread>
#include <vector>

#include "base/executable.h"
#include "client/helper_reply.h"

namespace gantry::client {
namespace {

using Words = std::vector<std::string>;

// A ^C of the user's is for us to handle, and of our descriptors it gets its channel and standard error alone: it may
// live a moment longer than we do, and nobody should wait for that.
Result<pid_t> start(const std::filesystem::path& program, Words words, int channel) {
  words.insert(words.begin(), program.native());
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_adddup2(&actions, channel, kHelperChannel);
  ::posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  ::posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
  ::posix_spawn_file_actions_addclosefrom_np(&actions, kHelperChannel + 1);
  posix_spawnattr_t attributes;
  ::posix_spawnattr_init(&attributes);
  sigset_t none;
  sigset_t all;
  sigemptyset(&none);
  sigfillset(&all);
  ::posix_spawnattr_setsigmask(&attributes, &none);
  ::posix_spawnattr_setsigdefault(&attributes, &all);
  ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  pid_t pid = 0;
  const int failure = ::posix_spawn(&pid, program.c_str(), &actions, &attributes, arguments.data(), environ);
  ::posix_spawnattr_destroy(&attributes);
  ::posix_spawn_file_actions_destroy(&actions);
  if (failure != 0) return Error::from_errno(failure, "start", program.native());
  return pid;
}

// Its end may be long after its answer.
void reap_some_day(pid_t pid) {
  std::thread([pid] {
    while (::waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {
    }
  }).detach();
}

Result<Fd> ask(Words words) {
  const std::filesystem::path program = TRY(find_program("gantry-tls"));
  auto [ours, theirs] = TRY(make_socket_pair(SOCK_SEQPACKET));
  const pid_t pid = TRY(start(program, std::move(words), theirs.get()));
  reap_some_day(pid);
  theirs.reset();  // so that its end ends our waiting
  return receive_reply(ours.get());
}

}  // namespace

Result<Fd> connect_by_name(const Address& address) { return ask({kConnectByName, address.host, address.port}); }

Result<Fd> connect_with_tls(const Address& address, const TlsWish& tls) {
  return ask({kConnectWithTls, address.host, address.port, tls.verify ? "verify" : "trust", tls.files.ca,
              tls.files.cert, tls.files.key});
}

Result<> make_certificates_elsewhere(const CertificateRequest& request) {
  Words words = {kMakeCertificates, request.directory.native(), request.client, std::to_string(request.days)};
  words.insert(words.end(), request.hosts.begin(), request.hosts.end());
  TRY(ask(std::move(words)));
  return {};
}

}  // namespace gantry::client
