#include "daemon/websocket.h"

#include <openssl/evp.h>

#include <optional>

#include "base/strings.h"

namespace gantry::daemon {
namespace {

constexpr std::string_view kSalt = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";  // section 1.3
// Clients send what is typed; nobody needs a frame that is larger.
constexpr uint64_t kMaxFrame = 16 << 20;
constexpr uint64_t kMaxControlFrame = 125;
constexpr std::string_view kProtocolError = "\x03\xea";  // status 1002
constexpr std::string_view kTooBig = "\x03\xf1";         // status 1009

struct Head {
  WebsocketOpcode opcode{};
  bool is_allowed = false;  // its bits are those that a client may send
  uint64_t size = 0;
  size_t head_size = 0;  // with the mask
};

// Nothing: there is less than a head.
std::optional<Head> parse_head(std::string_view bytes) {
  if (bytes.size() < 2) return std::nullopt;
  const auto byte = [&](size_t at) { return static_cast<uint8_t>(bytes[at]); };
  const uint8_t length = byte(1) & 0x7f;
  const size_t more = length == 126 ? 2 : length == 127 ? 8 : 0;
  Head head{.opcode = static_cast<WebsocketOpcode>(byte(0) & 0x0f), .size = length, .head_size = 2 + more + 4};
  const bool is_masked = (byte(1) & 0x80) != 0;
  const bool has_extensions = (byte(0) & 0x70) != 0;
  const bool is_control = (byte(0) & 0x08) != 0;
  const bool is_whole = (byte(0) & 0x80) != 0;
  head.is_allowed = is_masked && !has_extensions && !(is_control && (!is_whole || length > kMaxControlFrame));
  if (bytes.size() < head.head_size) return head.is_allowed ? std::nullopt : std::optional(head);
  if (more > 0) head.size = 0;
  for (size_t i = 0; i < more; ++i) head.size = head.size << 8 | byte(2 + i);
  return head;
}

std::string unmasked(std::string_view mask, std::string_view payload) {
  std::string plain(payload);
  for (size_t i = 0; i < plain.size(); ++i) plain[i] = static_cast<char>(plain[i] ^ mask[i % 4]);
  return plain;
}

}  // namespace

Result<std::string> websocket_answer(const http::RequestHead& request) {
  const std::string key = request.headers.get("sec-websocket-key");
  if (!request.headers.has_token("upgrade", "websocket") || key.empty()) return invalid("not websocket protocol");
  if (request.headers.get("sec-websocket-version") != "13") return invalid("missing or bad WebSocket Version");
  const std::string salted = key + std::string(kSalt);
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  if (::EVP_Digest(salted.data(), salted.size(), digest, &size, ::EVP_sha1(), nullptr) != 1) {
    return internal_error("SHA-1 is not to be had");
  }
  return "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " +
         base64_encode({reinterpret_cast<const char*>(digest), size}) + "\r\n\r\n";
}

std::string websocket_frame(WebsocketOpcode opcode, std::string_view payload) {
  std::string frame(1, static_cast<char>(0x80 | static_cast<uint8_t>(opcode)));
  const size_t more = payload.size() < 126 ? 0 : payload.size() <= 0xffff ? 2 : 8;
  frame += static_cast<char>(more == 0 ? payload.size() : more == 2 ? 126 : 127);
  for (size_t i = more; i > 0; --i) frame += static_cast<char>(payload.size() >> (8 * (i - 1)) & 0xff);
  return frame.append(payload);
}

WebsocketReader::Read WebsocketReader::feed(std::string_view bytes) {
  Read read;
  held_ += bytes;
  std::string_view rest = held_;
  const auto end = [&](std::string_view status) {
    read.replies += websocket_frame(WebsocketOpcode::close, status);
    read.ended = true;
  };
  while (!read.ended) {
    const std::optional<Head> head = parse_head(rest);
    if (!head) break;
    if (!head->is_allowed) {
      end(kProtocolError);
    } else if (head->size > kMaxFrame) {
      end(kTooBig);
    } else {
      if (rest.size() - head->head_size < head->size) break;
      const std::string payload = unmasked(rest.substr(head->head_size - 4, 4), rest.substr(head->head_size, head->size));
      rest.remove_prefix(head->head_size + head->size);
      switch (head->opcode) {
        case WebsocketOpcode::continuation:
        case WebsocketOpcode::text:
        case WebsocketOpcode::binary:
          read.payload += payload;
          break;
        case WebsocketOpcode::close:
          end(std::string_view(payload).substr(0, 2));
          break;
        case WebsocketOpcode::ping:
          read.replies += websocket_frame(WebsocketOpcode::pong, payload);
          break;
        case WebsocketOpcode::pong:
          break;
        default:
          end(kProtocolError);
      }
    }
  }
  held_.erase(0, held_.size() - rest.size());
  return read;
}

}  // namespace gantry::daemon
