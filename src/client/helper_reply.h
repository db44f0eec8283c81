// What gantry-tls says to the client that started it: one message over a SOCK_SEQPACKET pair. Both ends are of one
// installation, so the form is nobody else's business.
#pragma once

#include "base/fd.h"
#include "base/result.h"

namespace gantry::client {

// The descriptor at which gantry-tls finds its end.
inline constexpr int kHelperChannel = 3;

// `outcome`: the connection that was asked for; none, where only success matters.
Result<> send_reply(int channel, const Result<Fd>& outcome);

// Blocks. Errors: the other side's, with its code and text; internal if it ended without a word.
Result<Fd> receive_reply(int channel);

}  // namespace gantry::client
