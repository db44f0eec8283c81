#include "base/http.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <memory>

#include "base/fd.h"
#include "base/rights.h"
#include "base/strings.h"

namespace gantry::http {
namespace {

constexpr size_t kReadSize = 16 * 1024;
constexpr size_t kMostReserved = 1 << 20;  // for what the other side only says will come
constexpr size_t kMaxChunkLine = 4096;  // size and extensions
constexpr size_t kMaxTrailers = 64 * 1024;
constexpr size_t kMaxFields = 1000;

bool is_token_char(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
         std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
}

bool is_token(std::string_view text) { return !text.empty() && std::all_of(text.begin(), text.end(), is_token_char); }

std::string_view next_line(std::string_view& text) {
  const size_t end = text.find('\n');
  std::string_view line = text.substr(0, end);
  text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
  return line;
}

Result<Headers> parse_fields(std::string_view text) {
  Headers headers;
  while (!text.empty()) {
    const std::string_view line = next_line(text);
    const size_t colon = line.find(':');
    // A line that starts with white space continues the one before: obsolete, and a way to smuggle (RFC 9112, 5.2).
    if (colon == std::string_view::npos || !is_token(line.substr(0, colon))) {
      return invalid("malformed HTTP header line " + gantry::quoted(line.substr(0, 100)));
    }
    if (headers.fields().size() == kMaxFields) return invalid("too many HTTP header lines");
    headers.add(std::string(line.substr(0, colon)), std::string(trim(line.substr(colon + 1))));
  }
  return headers;
}

std::optional<int> parse_version(std::string_view text) {
  if (text == "HTTP/1.1") return 1;
  if (text == "HTTP/1.0") return 0;
  return std::nullopt;
}

Result<std::optional<uint64_t>> content_length(const Headers& headers) {
  std::optional<uint64_t> length;
  for (const auto& [name, value] : headers.fields()) {
    if (!equals_ignoring_case(name, "content-length")) continue;
    const std::optional<uint64_t> number = parse_unsigned(value);
    if (!number || (length && *length != *number)) return invalid("malformed Content-Length " + gantry::quoted(value));
    length = number;
  }
  return length;
}

// Nothing: not given. True: chunked.
Result<bool> is_chunked(const Headers& headers) {
  const std::string* coding = headers.find("transfer-encoding");
  if (coding == nullptr) return false;
  if (!equals_ignoring_case(trim(*coding), "chunked"))
    return unsupported("Transfer-Encoding " + gantry::quoted(*coding));
  if (headers.find("content-length") != nullptr) return invalid("both Transfer-Encoding and Content-Length are given");
  return true;
}

Error connection_ended() { return {Code::unavailable, "the connection ended in the middle of a message"}; }

Error send_failure(int errno_value) {
  if (errno_value == EPIPE || errno_value == ECONNRESET) {
    return {Code::unavailable, "the other side has closed the connection"};
  }
  return Error::from_errno(errno_value, "send");
}

Result<> send_pieces(int fd, iovec* pieces, size_t count) {
  while (count > 0) {
    msghdr message{};
    message.msg_iov = pieces;
    message.msg_iovlen = count;
    const ssize_t sent = ::sendmsg(fd, &message, MSG_NOSIGNAL);
    if (sent < 0) {
      if (errno == EINTR) continue;
      return send_failure(errno);
    }
    auto left = static_cast<size_t>(sent);
    while (count > 0 && left >= pieces->iov_len) {
      left -= pieces->iov_len;
      ++pieces;
      --count;
    }
    if (count > 0) {
      pieces->iov_base = static_cast<char*>(pieces->iov_base) + left;
      pieces->iov_len -= left;
    }
  }
  return {};
}

// A reset reads as the end: what matters is whether the message was complete by then.
Result<size_t> receive(int fd, std::span<char> into) {
  for (;;) {
    const ssize_t got = ::recv(fd, into.data(), into.size(), 0);
    if (got >= 0) return static_cast<size_t>(got);
    if (errno == ECONNRESET) return size_t{0};
    if (errno != EINTR) return Error::from_errno(errno, "recv");
  }
}

iovec piece(std::string_view text) { return {const_cast<char*>(text.data()), text.size()}; }

}  // namespace

const std::string* Headers::find(std::string_view name) const {
  for (const auto& [field, value] : fields_) {
    if (equals_ignoring_case(field, name)) return &value;
  }
  return nullptr;
}

std::string Headers::get(std::string_view name) const {
  const std::string* value = find(name);
  return value == nullptr ? std::string() : *value;
}

bool Headers::has_token(std::string_view name, std::string_view token) const {
  for (const auto& [field, value] : fields_) {
    if (!equals_ignoring_case(field, name)) continue;
    for (const std::string& item : split(value, ',')) {
      if (equals_ignoring_case(trim(item), token)) return true;
    }
  }
  return false;
}

Result<RequestHead> parse_request_head(std::string_view text) {
  const std::string_view line = next_line(text);
  const size_t first = line.find(' ');
  const size_t last = line.rfind(' ');
  if (first == std::string_view::npos || last == first) return invalid("malformed HTTP request line");
  const std::optional<int> minor = parse_version(line.substr(last + 1));
  if (!minor) return invalid("unknown HTTP version " + gantry::quoted(line.substr(last + 1, 20)));
  Headers headers = TRY(parse_fields(text));
  RequestHead head{.method = std::string(line.substr(0, first)),
                   .target = std::string(line.substr(first + 1, last - first - 1)),
                   .minor = *minor,
                   .headers = std::move(headers)};
  if (!is_token(head.method)) return invalid("malformed HTTP method");
  const bool has_blank = std::any_of(head.target.begin(), head.target.end(), [](char c) { return c <= ' ' && c >= 0; });
  if (head.target.empty() || has_blank) return invalid("malformed HTTP request target");
  return head;
}

Result<ResponseHead> parse_response_head(std::string_view text) {
  const std::string_view line = next_line(text);
  const std::optional<int> minor = parse_version(line.substr(0, 8));
  if (!minor || line.size() < 12 || line[8] != ' ')
    return invalid("not an HTTP answer: " + gantry::quoted(line.substr(0, 80)));
  const std::optional<uint64_t> status = parse_unsigned(line.substr(9, 3));
  if (!status || *status < 100) return invalid("malformed HTTP status " + gantry::quoted(line.substr(0, 80)));
  Headers headers = TRY(parse_fields(text));
  return ResponseHead{.status = static_cast<int>(*status), .minor = *minor, .headers = std::move(headers)};
}

Result<BodyLength> request_body_length(const RequestHead& head) {
  const bool chunked = TRY(is_chunked(head.headers));
  if (chunked) return BodyLength{.kind = BodyLength::Kind::chunked};
  const std::optional<uint64_t> length = TRY(content_length(head.headers));
  if (!length || *length == 0) return BodyLength{};
  return BodyLength{.kind = BodyLength::Kind::bytes, .bytes = *length};
}

Result<BodyLength> response_body_length(const ResponseHead& head, std::string_view request_method) {
  if (request_method == "HEAD" || head.status < 200 || head.status == 204 || head.status == 304) return BodyLength{};
  const bool chunked = TRY(is_chunked(head.headers));
  if (chunked) return BodyLength{.kind = BodyLength::Kind::chunked};
  const std::optional<uint64_t> length = TRY(content_length(head.headers));
  if (!length) return BodyLength{.kind = BodyLength::Kind::until_close};
  if (*length == 0) return BodyLength{};
  return BodyLength{.kind = BodyLength::Kind::bytes, .bytes = *length};
}

Result<bool> Source::has_more() {
  if (has_buffered()) return true;
  if (!buffer_) buffer_ = std::make_unique_for_overwrite<char[]>(kReadSize);
  at_ = end_ = 0;
  end_ = TRY(receive(fd_, {buffer_.get(), kReadSize}));
  return end_ > 0;
}

Result<std::optional<std::string>> Source::read_head(size_t limit) {
  std::string head;
  for (;;) {
    const bool more = TRY(has_more());
    if (!more && head.empty()) return std::optional<std::string>();
    if (!more) return connection_ended();
    // The end is looked for line by line, so that a head which trickles in costs linear time.
    while (has_buffered()) {
      const size_t end = buffered().find('\n');
      head.append(buffered().substr(0, end == std::string::npos ? end : end + 1));
      at_ = end == std::string::npos ? end_ : at_ + end + 1;
      if (head.size() > limit) return Error(Code::exhausted, "the HTTP header is too long");
      if (end == std::string::npos) break;
      if (head == "\n" || head == "\r\n") {  // blank lines before a request line are to be ignored (RFC 9112, 2.2)
        head.clear();
        continue;
      }
      if (head.ends_with("\n\n") || head.ends_with("\n\r\n")) {
        head.erase(head.end() - (head.ends_with("\n\r\n") ? 2 : 1), head.end());
        return std::optional<std::string>(std::move(head));
      }
    }
  }
}

Result<std::string> Source::read_line(size_t limit) {
  std::string line;
  for (;;) {
    const bool more = TRY(has_more());
    if (!more) return connection_ended();
    const size_t end = buffered().find('\n');
    line.append(buffered().substr(0, end));
    at_ = end == std::string::npos ? end_ : at_ + end + 1;
    if (line.size() > limit) return Error(Code::exhausted, "a line of the HTTP message is too long");
    if (end == std::string::npos) continue;
    if (!line.empty() && line.back() == '\r') line.pop_back();
    return line;
  }
}

Result<size_t> Source::read(std::span<char> into) {
  if (into.empty()) return size_t{0};
  if (!has_buffered() && into.size() >= kReadSize) return receive(fd_, into);
  const bool more = TRY(has_more());
  if (!more) return size_t{0};
  const size_t size = std::min(into.size(), end_ - at_);
  std::memcpy(into.data(), buffer_.get() + at_, size);
  at_ += size;
  return size;
}

std::string Source::take_buffered() {
  std::string rest(buffered());
  at_ = end_ = 0;
  return rest;
}

BodyReader::BodyReader(Source& source, BodyLength length)
    : source_(source), length_(length), left_(length.bytes), ended_(length.kind == BodyLength::Kind::none) {}

Result<> BodyReader::next_chunk() {
  if (!first_chunk_) {
    const std::string chunk_end = TRY(source_.read_line(kMaxChunkLine));
    if (!chunk_end.empty()) return invalid("malformed chunk end");
  }
  first_chunk_ = false;
  const std::string line = TRY(source_.read_line(kMaxChunkLine));
  const std::string_view digits = trim(std::string_view(line).substr(0, line.find(';')));
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), left_, 16);
  if (digits.empty() || error != std::errc() || end != digits.data() + digits.size()) {
    return invalid("malformed chunk size " + gantry::quoted(digits.substr(0, 40)));
  }
  if (left_ != 0) return {};
  for (size_t trailers = 0;;) {
    const std::string trailer = TRY(source_.read_line(kMaxChunkLine));
    if (trailer.empty()) break;
    trailers += trailer.size();
    if (trailers > kMaxTrailers) return Error(Code::exhausted, "the HTTP trailer is too long");
  }
  ended_ = true;
  return {};
}

Result<size_t> BodyReader::read(std::span<char> into) {
  if (!ended_ && length_.kind == BodyLength::Kind::chunked && left_ == 0) TRY(next_chunk());
  if (ended_ || into.empty()) return size_t{0};
  if (length_.kind == BodyLength::Kind::until_close) {
    const size_t got = TRY(source_.read(into));
    ended_ = got == 0;
    return got;
  }
  const size_t got = TRY(source_.read(into.first(static_cast<size_t>(std::min<uint64_t>(into.size(), left_)))));
  if (got == 0) return connection_ended();
  left_ -= got;
  if (left_ == 0 && length_.kind == BodyLength::Kind::bytes) ended_ = true;
  return got;
}

Result<std::string> BodyReader::read_all(size_t limit) {
  std::string body;
  if (length_.kind == BodyLength::Kind::bytes) body.reserve(std::min<uint64_t>({left_, limit, kMostReserved}));
  const auto piece = std::make_unique_for_overwrite<char[]>(kReadSize);
  for (;;) {
    const size_t got = TRY(read({piece.get(), kReadSize}));
    if (got == 0) return body;
    if (body.size() + got > limit) return Error(Code::exhausted, "the HTTP body is too long");
    body.append(piece.get(), got);
  }
}

Result<> send_all(int fd, std::string_view data) {
  iovec pieces[1] = {piece(data)};
  return send_pieces(fd, pieces, data.empty() ? 0 : 1);
}

Result<> send_message(int fd, std::string_view head, std::string_view body) {
  iovec pieces[2] = {piece(head), piece(body)};
  return send_pieces(fd, pieces, body.empty() ? 1 : 2);
}

// A call that has read a message with descriptors takes no further message (unix(7), "Ancillary messages"). A reader
// that did not ask for descriptors gets none.
Result<> send_apart(int fd, std::string_view data) {
  const Fd attached(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  if (!attached) return send_all(fd, data);
  iovec pieces[1] = {piece(data)};
  msghdr message{};
  message.msg_iov = pieces;
  message.msg_iovlen = 1;
  DescriptorRoom<1> room;
  const int fds[] = {attached.get()};
  room.send(message, fds);
  const ssize_t sent = ::sendmsg(fd, &message, MSG_NOSIGNAL);
  return send_all(fd, data.substr(sent < 0 ? 0 : static_cast<size_t>(sent)));
}

Result<> send_chunk(int fd, std::string_view data) {
  if (data.empty()) return {};
  char size[24];
  const auto end = std::to_chars(size, size + sizeof size - 2, data.size(), 16).ptr;
  end[0] = '\r';
  end[1] = '\n';
  iovec pieces[3] = {piece({size, static_cast<size_t>(end + 2 - size)}), piece(data), piece("\r\n")};
  return send_pieces(fd, pieces, 3);
}

}  // namespace gantry::http
