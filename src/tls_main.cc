// gantry-tls: connects, or makes certificates, for the client that started it; see client/tls_program.h.
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "base/tls.h"
#include "client/certificates.h"
#include "client/helper_reply.h"
#include "client/resolve.h"
#include "client/tcp.h"
#include "client/tls_program.h"

namespace {

using gantry::Fd;
using gantry::Result;
using gantry::TlsContext;
using Words = std::vector<std::string>;

// Connecting can take minutes, and is for nobody once the client has gone.
std::atomic<bool> answered = false;

void end_with_client_until_answered() {
  std::thread([] {
    pollfd client{gantry::client::kHelperChannel, 0, 0};
    ::poll(&client, 1, -1);
    if (!answered) ::_exit(1);
  }).detach();
}

int answer(const Result<Fd>& outcome) {
  answered = true;
  const bool sent = gantry::client::send_reply(gantry::client::kHelperChannel, outcome).ok();
  return sent && outcome.ok() ? 0 : 1;
}

Result<Fd> connect(const std::string& host, const std::string& port) {
  const std::string where = "tcp://" + host + ":" + port;
  return gantry::client::connect_tcp(TRY(gantry::client::resolve(host, port, where)), where);
}

Result<std::unique_ptr<TlsContext::Session>> connect_with_tls(const Words& words) {
  Fd socket = TRY(connect(words[1], words[2]));
  const gantry::TlsFiles files{.ca = words[4], .cert = words[5], .key = words[6]};
  const auto context = TRY(TlsContext::client(files, words[3] == "verify"));
  return context->handshake(std::move(socket), words[1]);
}

// Nothing of the client's is held from here on: neither where its messages go, nor its directory.
void let_go_of_client() {
  const Fd nowhere(::open("/dev/null", O_RDWR | O_CLOEXEC));
  ::dup2(nowhere.get(), STDERR_FILENO);
  (void)!::chdir("/");
}

int carry(const Words& words) {
  const auto session = connect_with_tls(words);
  if (!session.ok()) return answer(session.error());
  auto pair = gantry::make_socket_pair(SOCK_STREAM);
  if (!pair.ok()) return answer(pair.error());
  let_go_of_client();
  const Fd plain = std::move(pair->second);
  if (answer(std::move(pair->first)) != 0) return 1;
  (*session)->pump(plain.get());
  return 0;
}

Result<Fd> make_certificates(const Words& words) {
  TRY(gantry::client::make_certificates({.directory = words[1],
                                         .hosts = Words(words.begin() + 4, words.end()),
                                         .client = words[2],
                                         .days = std::atoi(words[3].c_str())}));
  return Fd();
}

}  // namespace

int main(int count, char** arguments) {
  const Words words(arguments + std::min(1, count), arguments + count);
  const std::string what = words.empty() ? "" : words[0];
  if (::fcntl(gantry::client::kHelperChannel, F_GETFD) >= 0) {
    end_with_client_until_answered();
    if (what == gantry::client::kConnectByName && words.size() == 3) return answer(connect(words[1], words[2]));
    if (what == gantry::client::kConnectWithTls && words.size() == 7) return carry(words);
    if (what == gantry::client::kMakeCertificates && words.size() >= 4) return answer(make_certificates(words));
  }
  std::fputs("gantry-tls: a part of gantry, which starts it\n", stderr);
  return 2;
}
