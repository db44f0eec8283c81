// Hands a request's body, of any size, to work that reads a descriptor.
#pragma once

#include <functional>

#include "base/fd.h"
#include "base/result.h"
#include "daemon/http_server.h"

namespace gantry::daemon {

// Runs `work` with the reading end of a pipe on a thread of its own, and copies the body into the pipe meanwhile.
// Returns when both are through: the error of the body (the client has gone half way) before that of the work. Work
// that has had enough may return early; the rest of the body is then read and dropped.
Result<> with_body(Exchange& exchange, const std::function<Result<>(int)>& work);

}  // namespace gantry::daemon
