// The server's side of RFC 6455: the handshake's answer, and messages in and out of their frames. Pure; one thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/http.h"
#include "base/result.h"

namespace gantry::daemon {

// The whole head that accepts the request. Errors: it asks for no websocket, or for another version of them.
Result<std::string> websocket_answer(const http::RequestHead& request);

enum class WebsocketOpcode : uint8_t { continuation = 0, text = 1, binary = 2, close = 8, ping = 9, pong = 10 };
std::string websocket_frame(WebsocketOpcode opcode, std::string_view payload);
inline constexpr std::string_view kWebsocketNormalEnd = "\x03\xe8";  // the payload of `close`: status 1000

class WebsocketReader {
 public:
  struct Read {
    std::string payload;   // of text and binary messages, which are one stream here
    std::string replies;   // to be sent: pongs, the answer to a close
    bool ended = false;    // the client has closed, or broken the rules: nothing more is read
  };
  // Frames may come in any pieces.
  Read feed(std::string_view bytes);

 private:
  std::string held_;  // less than a frame
};

}  // namespace gantry::daemon
