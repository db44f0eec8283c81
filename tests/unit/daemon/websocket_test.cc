#include "daemon/websocket.h"

#include <gtest/gtest.h>

namespace gantry::daemon {
namespace {

std::string masked(WebsocketOpcode opcode, std::string_view payload, uint8_t bits = 0x80) {
  std::string frame = websocket_frame(opcode, payload);
  const size_t head = frame.size() - payload.size();
  frame[0] = static_cast<char>(bits | static_cast<uint8_t>(opcode));
  frame[1] = static_cast<char>(frame[1] | 0x80);
  const std::string mask = "mask";
  for (size_t i = 0; i < payload.size(); ++i) frame[head + i] = static_cast<char>(frame[head + i] ^ mask[i % 4]);
  return frame.insert(head, mask);
}

http::RequestHead handshake(const std::string& version) {
  return {.method = "GET",
          .target = "/",
          .minor = 1,
          .headers = {{"Upgrade", "WebSocket"}, {"Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="}, {"Sec-WebSocket-Version", version}}};
}

TEST(Websocket, AnswersTheHandshakeOfTheRfc) {
  const auto answer = websocket_answer(handshake("13"));
  ASSERT_TRUE(answer.ok());
  EXPECT_NE(answer->find("\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"), std::string::npos);
  EXPECT_EQ(websocket_answer(handshake("8")).error().message(), "missing or bad WebSocket Version");
  EXPECT_EQ(websocket_answer({.method = "GET", .target = "/", .minor = 1, .headers = {}}).error().message(),
            "not websocket protocol");
}

TEST(Websocket, FramesOfEverySizeComeBackInWhateverPieces) {
  for (const size_t size : {0, 1, 125, 126, 65535, 65536}) {
    const std::string payload(size, 'x');
    const std::string bytes = masked(WebsocketOpcode::binary, payload) + masked(WebsocketOpcode::text, "end");
    for (const size_t piece : {size_t{1}, size_t{7}, bytes.size()}) {
      WebsocketReader reader;
      std::string got;
      for (size_t at = 0; at < bytes.size(); at += piece) got += reader.feed(std::string_view(bytes).substr(at, piece)).payload;
      EXPECT_TRUE(got == payload + "end") << size << " " << piece;
    }
  }
}

TEST(Websocket, APingIsAnsweredAndACloseIsTheEnd) {
  WebsocketReader reader;
  const auto read = reader.feed(masked(WebsocketOpcode::text, "a") + masked(WebsocketOpcode::ping, "p") +
                                masked(WebsocketOpcode::close, kWebsocketNormalEnd) + masked(WebsocketOpcode::text, "b"));
  EXPECT_EQ(read.payload, "a");
  EXPECT_EQ(read.replies, "\x8a\x01p\x88\x02\x03\xe8");
  EXPECT_TRUE(read.ended);
}

TEST(Websocket, BrokenRulesEndIt) {
  const std::string unmasked = websocket_frame(WebsocketOpcode::text, "x");
  const std::string extended = masked(WebsocketOpcode::text, "x", 0xc0);
  const std::string ping_in_pieces = masked(WebsocketOpcode::ping, "x", 0);
  std::string endless("\x82\xff\x7f", 3);
  endless.append(7, '\xff').append("mask");
  for (const std::string& bytes : {unmasked, extended, ping_in_pieces, endless}) {
    WebsocketReader reader;
    const auto read = reader.feed(bytes);
    EXPECT_TRUE(read.ended);
    EXPECT_EQ(read.replies.substr(0, 2), "\x88\x02");
  }
}

}  // namespace
}  // namespace gantry::daemon
