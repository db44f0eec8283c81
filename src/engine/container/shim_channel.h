// Packets between the daemon and a shim: shim/protocol.h over one SOCK_SEQPACKET socket, descriptors included.
// One thread a socket at a time.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/fd.h"
#include "base/result.h"
#include "engine/container/runtime.h"
#include "shim/protocol.h"

namespace gantry::engine {

struct ShimPacket {
  shim::MessageType type{};
  std::string body;
  std::vector<Fd> fds;
};

// `packet` as of shim::packet(). Never blocks. Errors: unavailable, the shim is gone or has not read for long.
Result<> send_to_shim(int channel, const std::string& packet, const std::vector<int>& fds = {});
// Waits for one packet, unless the socket is non-blocking. No value: the shim is gone. Errors: with errno EAGAIN if
// there is nothing yet.
Result<std::optional<ShimPacket>> receive_from_shim(int channel);
// Until there is something to receive (or the shim is gone). Errors: unavailable after `patience`.
Result<> wait_for_shim(int channel, std::chrono::milliseconds patience);

// A sealed memfd with `content`: how large things travel.
Result<Fd> make_blob(std::string_view content);

// What packets carry, in the engine's types.
Result<NetnsSockets> take_sockets(std::vector<Fd>& fds);  // none or all five
ExitReport to_report(const shim::Exit& exit);
WallTime wall_time(int64_t ns);

}  // namespace gantry::engine
