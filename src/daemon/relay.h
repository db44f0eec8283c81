// Carries bytes both ways between a client whose connection was taken over and a program's streams, on the
// connection's thread, until the program's output ends or the client is gone.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/fd.h"
#include "base/result.h"
#include "daemon/websocket.h"

namespace gantry::daemon {

// Docker's multiplexed stream: an 8-byte head (stream, 0, 0, 0, length in network order), then the payload.
// The last one is Gantry's own (POST /gantry/v1/containers/{id}/exec): the exit code in decimal, as the last frame.
enum class Stream : uint8_t { in = 0, out = 1, err = 2, exit_code = 4 };
using FrameHead = std::array<char, 8>;
FrameHead frame_head(Stream stream, size_t size);
std::string frame(Stream stream, std::string_view payload);

// Takes the frames of streams that nobody wants out of a multiplexed stream; frames may come in any pieces.
class FrameFilter {
 public:
  enum class Heads { kept, dropped };
  FrameFilter(bool out, bool err, Heads heads = Heads::kept) : out_(out), err_(err), heads_(heads) {}
  std::string pass(std::string_view bytes);

 private:
  bool out_;
  bool err_;
  Heads heads_;
  std::string head_;  // of the current frame, up to 8 bytes
  size_t left_ = 0;   // of its payload
  bool wanted_ = false;
};

// Finds the keys that end a session ("ctrl-p,ctrl-q") in what the user types.
class DetachKeys {
 public:
  // "" stands for the default. "Invalid detach keys (x) provided".
  static Result<DetachKeys> parse(const std::string& text);
  // What goes to the program; true in `detached` when the keys were typed. A prefix of the keys is held back until
  // it is clear that the rest does not follow.
  std::string pass(std::string_view typed, bool& detached);

 private:
  std::string keys_;
  size_t matched_ = 0;
};

struct Relay {
  struct Output {
    int fd = -1;
    std::function<std::string(std::string_view)> transform;  // of what is read; none: as it is
  };
  int client = -1;                    // socket
  std::string read_ahead;             // what the client has sent already
  std::vector<Output> outputs;        // made non-blocking
  int input = -1;                     // where the client's bytes go, made non-blocking; -1: they are dropped
  std::function<void()> end_input;    // the client has sent its last byte
  bool end_with_input = false;        // …and that is the end for it: a session without a program that waits for EOF
  DetachKeys* detach_keys = nullptr;  // none: every key goes to the program
  WebsocketReader* websocket = nullptr;  // what the client sends comes in frames; `outputs` make them on their own

  enum class End { output_ended, client_gone, detached };
  End run();
};

}  // namespace gantry::daemon
