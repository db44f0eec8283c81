// The daemon's HTTP/1.1 server: blocking sockets, a thread a connection. Written by hand because its answers are
// streams that live for hours, connections are handed over to attach and exec, bodies are tars of any size, and a
// client that goes away must be noticed while nothing is written; a library that owns the socket does none of these.
//
// It knows sockets and messages, not routes: one handler gets every request, on its connection's thread.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/fd.h"
#include "base/http.h"
#include "base/result.h"

namespace gantry::daemon {

// One request and its answer. The connection's thread only; gone when the handler returns.
class Exchange {
 public:
  Exchange(int socket, http::Source& source, http::RequestHead head, http::BodyLength length);

  const http::RequestHead& request() const { return head_; }
  int socket() const { return socket_; }  // to wait on; not to be read or written

  // The request's body: at least one byte, 0 at its end. Answers "Expect: 100-continue" first.
  Result<size_t> read(std::span<char> into);
  Result<std::string> read_body(size_t limit);  // Code::exhausted if it is longer
  bool has_body() const { return length_.kind != http::BodyLength::Kind::none; }

  // The answer: either one send(), or begin() and any number of write() and end(). An error means that the client
  // has gone. Extra headers are added to those that every answer carries.
  void add_header(std::string name, std::string value) { extra_.add(std::move(name), std::move(value)); }
  Result<> send(int status, std::string_view body, std::string_view content_type);
  Result<> begin(int status, std::string_view content_type);  // chunked; the head goes out at once
  Result<> write(std::string_view data);
  Result<> end();
  bool answered() const { return state_ != State::open; }
  bool hijacked() const { return state_ == State::hijacked; }

  // Takes the connection over: 101 if the client asked for an upgrade, else a raw 200 that ends with the connection.
  // The socket stays owned by the server; `read_ahead` belongs to the stream. Call read_body() before.
  struct Hijacked {
    int socket = -1;
    std::string read_ahead;
  };
  Result<Hijacked> hijack(std::string_view content_type);
  // As hijack(), with a status line of its own and nothing else: for errors that clients read raw.
  Result<> send_raw_error(std::string_view status_line, std::string_view text);

  // For the server: whether the connection may carry another request.
  bool finish();

 private:
  enum class State { open, streaming, complete, hijacked };
  std::string extra_lines() const;
  std::string head_of(int status, std::string_view content_type) const;

  int socket_;
  http::Source& source_;
  http::RequestHead head_;
  http::BodyLength length_;
  http::BodyReader body_;
  http::Headers extra_;
  bool expects_continue_;
  bool keep_alive_;
  bool chunked_ = false;
  State state_ = State::open;
};

class HttpServer {
 public:
  using Handler = std::function<void(Exchange&)>;
  explicit HttpServer(Handler handler);
  ~HttpServer();  // as stop()

  // Accepts from this listening socket, a blocking one, until stop(). Any number of sockets. Any thread.
  Result<> serve(Fd listening);
  // No new connections; those that exist are shut down, so that their handlers see the client gone; waits for all
  // handlers to return. Not from a handler.
  void stop();
  unsigned connections() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// A listening unix socket at `path`, which a dead predecessor may have left there. Mode 0660; the group is `group` if
// the system has it. The caller holds a lock that no living predecessor can hold.
Result<Fd> listen_unix(const std::string& path, const std::string& group);

// Sent with every answer.
void set_common_headers(http::Headers headers);

}  // namespace gantry::daemon
