// HTTP/1.1 messages on blocking stream sockets: the framing that client and daemon share (RFC 9112).
//
// Everything that the other side sends is bounded: heads by the caller's limit, chunk lines here. No thread is
// implied; an object belongs to one thread at a time.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace gantry::http {

// Header fields in the order in which they came. Names compare without regard to case.
class Headers {
 public:
  Headers() = default;
  Headers(std::initializer_list<std::pair<std::string, std::string>> fields) : fields_(fields) {}

  void add(std::string name, std::string value) { fields_.emplace_back(std::move(name), std::move(value)); }
  const std::string* find(std::string_view name) const;  // the first of that name
  std::string get(std::string_view name) const;          // "" if missing
  // Whether the comma lists of all fields of that name hold the token: "Connection: keep-alive, Upgrade".
  bool has_token(std::string_view name, std::string_view token) const;
  const std::vector<std::pair<std::string, std::string>>& fields() const { return fields_; }

 private:
  std::vector<std::pair<std::string, std::string>> fields_;
};

struct RequestHead {
  std::string method;
  std::string target;  // as sent: path and query
  int minor = 1;       // of HTTP/1.x
  Headers headers;
};

struct ResponseHead {
  int status = 0;
  int minor = 1;
  Headers headers;
};

// `text`: the head without the blank line that ends it. Errors: Code::invalid.
Result<RequestHead> parse_request_head(std::string_view text);
Result<ResponseHead> parse_response_head(std::string_view text);

struct BodyLength {
  enum class Kind { none, bytes, chunked, until_close };
  Kind kind = Kind::none;
  uint64_t bytes = 0;
};
// Refuses what could be read in two ways (RFC 9112 section 6.3): Content-Length beside Transfer-Encoding, two
// different lengths, codings other than chunked.
Result<BodyLength> request_body_length(const RequestHead& head);
Result<BodyLength> response_body_length(const ResponseHead& head, std::string_view request_method);

// Buffered reading from a socket that somebody else owns.
class Source {
 public:
  explicit Source(int fd) : fd_(fd) {}

  // The next head, without its blank line; nothing if the stream ended before its first byte.
  // Errors: Code::exhausted if it is longer than `limit`, Code::unavailable if the stream ends within it.
  Result<std::optional<std::string>> read_head(size_t limit);
  // One line without its end. Errors as above.
  Result<std::string> read_line(size_t limit);
  // At least one byte, 0 at the end of the stream. Large reads go past the buffer.
  Result<size_t> read(std::span<char> into);
  // What was read ahead, for whoever takes over the socket.
  std::string take_buffered();
  bool has_buffered() const { return at_ < end_; }

 private:
  Result<bool> has_more();  // false at the end of the stream
  std::string_view buffered() const { return {buffer_.get() + at_, end_ - at_}; }

  int fd_;
  std::unique_ptr<char[]> buffer_;  // what nothing was read into stays untouched: zeros would cost page faults
  size_t at_ = 0;
  size_t end_ = 0;
};

// A message's body, taken out of its framing.
class BodyReader {
 public:
  BodyReader(Source& source, BodyLength length);

  // At least one byte; 0 at the end of the body. Code::unavailable if the stream ends before the body does.
  Result<size_t> read(std::span<char> into);
  Result<std::string> read_all(size_t limit);  // Code::exhausted if it is longer
  bool at_end() const { return ended_; }

 private:
  Result<> next_chunk();

  Source& source_;
  BodyLength length_;
  uint64_t left_ = 0;  // of the body, or of the current chunk
  bool first_chunk_ = true;
  bool ended_ = false;
};

// Sends everything, never raising SIGPIPE. Code::unavailable if the other side has gone.
Result<> send_all(int fd, std::string_view data);
// A head with the body behind it, as one message.
Result<> send_message(int fd, std::string_view head, std::string_view body);
// As send_all, to a unix socket: what the other side reads `data` with returns nothing that is sent later. Some clients
// (docker-py) take the head of an answer through a buffer and the stream behind it from the socket itself, and would lose
// what comes together with the head.
Result<> send_apart(int fd, std::string_view data);
// `data` as one chunk in one system call. Empty data sends nothing: an empty chunk would end the body.
Result<> send_chunk(int fd, std::string_view data);
inline constexpr std::string_view kLastChunk = "0\r\n\r\n";

}  // namespace gantry::http
