#include "base/tls.h"

#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>

namespace gantry {
namespace {

constexpr size_t kPiece = 32 << 10;
constexpr int kLastWordsMilliseconds = 10'000;  // for what a client that is gone has said
constexpr int kHandshakeSeconds = 20;  // a peer that says nothing must not hold a thread for ever

std::string reason() {
  std::string text;
  while (const unsigned long code = ::ERR_get_error()) {
    const char* words = ::ERR_reason_error_string(code);
    if (text.empty()) text = words != nullptr ? words : "unknown error";
  }
  return text.empty() ? "the connection was closed" : text;
}

// OpenSSL writes with write(), which raises SIGPIPE when the other side is gone: not the end of the program here.
class WithoutSigpipe {
 public:
  WithoutSigpipe() {
    ::sigemptyset(&pipe_);
    ::sigaddset(&pipe_, SIGPIPE);
    ::pthread_sigmask(SIG_BLOCK, &pipe_, &before_);
  }
  WithoutSigpipe(const WithoutSigpipe&) = delete;
  WithoutSigpipe& operator=(const WithoutSigpipe&) = delete;
  ~WithoutSigpipe() {
    const timespec now{};
    if (::sigismember(&before_, SIGPIPE) == 0) {
      while (::sigtimedwait(&pipe_, nullptr, &now) == SIGPIPE) {  // one that came meanwhile
      }
    }
    ::pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  }

 private:
  sigset_t pipe_;
  sigset_t before_;
};

struct FreeContext {
  void operator()(SSL_CTX* context) const { ::SSL_CTX_free(context); }
};
struct FreeSession {
  void operator()(SSL* session) const { ::SSL_free(session); }
};

Error file_problem(const std::string& path, const char* what) {
  const std::string why = reason();
  if (::access(path.c_str(), R_OK) != 0) return Error::from_errno(errno, what, path);
  return invalid(std::string(what) + " " + path + ": " + why);
}

class PumpedSession final : public TlsContext::Session {
 public:
  // `ends_with_plain`: a session of a client's, which is for nobody once the plain side's other end is closed.
  PumpedSession(std::unique_ptr<SSL, FreeSession> session, Fd socket, bool ends_with_plain)
      : session_(std::move(session)), socket_(std::move(socket)), ends_with_plain_(ends_with_plain) {}

  void pump(int plain) override {
    const WithoutSigpipe quiet;
    ::fcntl(socket_.get(), F_SETFL, ::fcntl(socket_.get(), F_GETFL) | O_NONBLOCK);
    ::fcntl(plain, F_SETFL, ::fcntl(plain, F_GETFL) | O_NONBLOCK);
    plain_ = plain;
    while (turn()) {
    }
  }

  void interrupt() override { ::shutdown(socket_.get(), SHUT_RDWR); }

 private:
  // Both directions as far as they go without waiting, then one wait. False: over.
  bool turn() {
    wants_ = 0;
    bool moved = true;
    while (moved && !broken_) {
      moved = false;
      moved = from_network() || moved;
      moved = to_plain() || moved;
      moved = from_plain() || moved;
      moved = to_network() || moved;
    }
    announce_end();
    if (broken_ || is_over()) return false;
    short plain_events = 0;
    if (!to_plain_.empty()) plain_events |= POLLOUT;
    if (!plain_ended_ && to_network_.empty()) plain_events |= POLLIN;
    short network_events = wants_;
    if (!network_ended_ && !plain_gone_ && to_plain_.empty()) network_events |= POLLIN;
    const bool watches_plain = plain_events != 0 || (ends_with_plain_ && !plain_gone_);
    pollfd ready[] = {{watches_plain ? plain_ : -1, plain_events, 0}, {socket_.get(), network_events, 0}};
    const int count = ::poll(ready, 2, plain_gone_ ? kLastWordsMilliseconds : -1);
    if (count == 0 || (count < 0 && errno != EINTR)) return false;
    if (count < 0) return true;
    // Our side is gone altogether: nobody would read what still comes.
    if ((ready[0].revents & (POLLERR | POLLNVAL)) != 0) return false;
    if ((ready[1].revents & (POLLERR | POLLNVAL)) != 0 && network_events == 0) return false;
    if (ends_with_plain_ && (ready[0].revents & POLLHUP) != 0) leave_plain();
    return true;
  }

  bool is_over() const {
    return (network_ended_ || plain_gone_) && to_plain_.empty() && plain_ended_ && to_network_.empty() && !end_is_due_;
  }

  // What was said on the plain side before is still sent.
  void leave_plain() {
    plain_gone_ = true;
    to_plain_.clear();
  }

  // What to wait for after a call of OpenSSL; true: it worked.
  bool settled(int result) {
    if (result > 0) return true;
    const int error = ::SSL_get_error(session_.get(), result);
    if (error == SSL_ERROR_WANT_READ) wants_ |= POLLIN;
    else if (error == SSL_ERROR_WANT_WRITE) wants_ |= POLLOUT;
    else if (error == SSL_ERROR_ZERO_RETURN) network_ended_ = true;
    else broken_ = true;
    return false;
  }

  bool from_network() {
    if (network_ended_ || plain_gone_ || !to_plain_.empty()) return false;
    ::ERR_clear_error();
    const int got = ::SSL_read(session_.get(), buffer_, sizeof buffer_);
    if (settled(got)) {
      to_plain_.assign(buffer_, static_cast<size_t>(got));
      return true;
    }
    if (network_ended_) ::shutdown(plain_, SHUT_WR);
    return false;
  }

  bool to_plain() {
    if (to_plain_.empty()) return false;
    const ssize_t sent = ::send(plain_, to_plain_.data(), to_plain_.size(), MSG_NOSIGNAL);
    if (sent > 0) {
      to_plain_.erase(0, static_cast<size_t>(sent));
      return true;
    }
    if (errno != EAGAIN && errno != EINTR) broken_ = true;
    return false;
  }

  bool from_plain() {
    if (plain_ended_ || !to_network_.empty()) return false;
    const ssize_t got = ::recv(plain_, buffer_, sizeof buffer_, 0);
    if (got > 0) {
      to_network_.assign(buffer_, static_cast<size_t>(got));
      return true;
    }
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return false;
    plain_ended_ = true;
    end_is_due_ = true;
    return false;
  }

  // Sends close_notify, now or when the network takes more; the other side may go on.
  void announce_end() {
    if (!end_is_due_ || broken_) return;
    ::ERR_clear_error();
    const int done = ::SSL_shutdown(session_.get());
    end_is_due_ = done < 0 && ::SSL_get_error(session_.get(), done) == SSL_ERROR_WANT_WRITE;
    if (end_is_due_) wants_ |= POLLOUT;
  }

  bool to_network() {
    if (to_network_.empty()) return false;
    ::ERR_clear_error();
    const int sent = ::SSL_write(session_.get(), to_network_.data(), static_cast<int>(to_network_.size()));
    if (!settled(sent)) return false;
    to_network_.erase(0, static_cast<size_t>(sent));
    return true;
  }

  std::unique_ptr<SSL, FreeSession> session_;
  Fd socket_;
  int plain_ = -1;
  std::string to_plain_;
  std::string to_network_;
  bool network_ended_ = false;
  bool plain_ended_ = false;
  const bool ends_with_plain_;
  bool plain_gone_ = false;  // with ends_with_plain_: nobody holds its other end
  bool end_is_due_ = false;  // our side has ended, and the other has not been told
  bool broken_ = false;
  short wants_ = 0;
  char buffer_[kPiece];
};

class OpenSslContext final : public TlsContext {
 public:
  OpenSslContext(SSL_CTX* context, bool is_server, bool verify) : context_(context), is_server_(is_server), verify_(verify) {}

  Result<> load(const TlsFiles& files) {
    SSL_CTX* context = context_.get();
    ::ERR_clear_error();
    ::SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
    ::SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    if (!files.ca.empty()) {
      if (::SSL_CTX_load_verify_locations(context, files.ca.c_str(), nullptr) != 1) return file_problem(files.ca, "CA certificate");
    } else if (verify_) {
      ::SSL_CTX_set_default_verify_paths(context);
    }
    if (!files.cert.empty()) {
      if (::SSL_CTX_use_certificate_chain_file(context, files.cert.c_str()) != 1) return file_problem(files.cert, "certificate");
      if (::SSL_CTX_use_PrivateKey_file(context, files.key.c_str(), SSL_FILETYPE_PEM) != 1) return file_problem(files.key, "key");
      if (::SSL_CTX_check_private_key(context) != 1) return invalid("key " + files.key + " does not belong to certificate " + files.cert);
    }
    const int mode = is_server_ ? SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT : verify_ ? SSL_VERIFY_PEER : SSL_VERIFY_NONE;
    ::SSL_CTX_set_verify(context, mode, nullptr);
    // Sessions that are resumed would not show a certificate that has been withdrawn meanwhile.
    ::SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    ::SSL_CTX_set_options(context, SSL_OP_NO_TICKET);
    return {};
  }

  Result<std::unique_ptr<Session>> handshake(Fd socket, const std::string& host) override {
    const WithoutSigpipe quiet;
    const timeval limit{kHandshakeSeconds, 0};
    ::setsockopt(socket.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    ::setsockopt(socket.get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    ::ERR_clear_error();
    std::unique_ptr<SSL, FreeSession> session(::SSL_new(context_.get()));
    if (session == nullptr || ::SSL_set_fd(session.get(), socket.get()) != 1) return internal_error("TLS: " + reason());
    if (!is_server_) name_peer(session.get(), host);
    const int done = is_server_ ? ::SSL_accept(session.get()) : ::SSL_connect(session.get());
    if (done != 1) {
      const long verified = ::SSL_get_verify_result(session.get());
      std::string why = reason();
      if (!is_server_ && verified != X509_V_OK) why = ::X509_verify_cert_error_string(verified);
      return Error(Code::unauthorized, "TLS handshake" + (host.empty() ? "" : " with " + host) + ": " + why);
    }
    return std::unique_ptr<Session>(std::make_unique<PumpedSession>(std::move(session), std::move(socket), !is_server_));
  }

 private:
  void name_peer(SSL* session, const std::string& host) const {
    if (!verify_) return;
    X509_VERIFY_PARAM* parameters = ::SSL_get0_param(session);
    if (::X509_VERIFY_PARAM_set1_ip_asc(parameters, host.c_str()) == 1) return;
    ::SSL_set_tlsext_host_name(session, host.c_str());
    ::X509_VERIFY_PARAM_set1_host(parameters, host.c_str(), host.size());
  }

  std::unique_ptr<SSL_CTX, FreeContext> context_;
  bool is_server_;
  bool verify_;
};

Result<std::shared_ptr<TlsContext>> make(const SSL_METHOD* method, bool is_server, const TlsFiles& files, bool verify) {
  // Not cleaned up at the end of the process: a thread that still pumps a connection then would use what is gone.
  ::OPENSSL_init_ssl(OPENSSL_INIT_NO_ATEXIT, nullptr);
  SSL_CTX* raw = ::SSL_CTX_new(method);
  if (raw == nullptr) return internal_error("TLS: " + reason());
  auto context = std::make_shared<OpenSslContext>(raw, is_server, verify);
  TRY(context->load(files));
  return std::shared_ptr<TlsContext>(std::move(context));
}

}  // namespace

Result<std::shared_ptr<TlsContext>> TlsContext::server(const TlsFiles& files) {
  return make(::TLS_server_method(), true, files, true);
}

Result<std::shared_ptr<TlsContext>> TlsContext::client(const TlsFiles& files, bool verify) {
  return make(::TLS_client_method(), false, files, verify);
}

}  // namespace gantry
