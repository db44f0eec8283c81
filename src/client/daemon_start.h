// Starts the local daemon when nobody listens on its socket. Two commands at once start one daemon: a lock file in
// the run root makes the second one wait and then find the first one's daemon.
#pragma once

#include <filesystem>
#include <string>

#include "base/fd.h"
#include "base/result.h"
#include "base/roots.h"
#include "client/connection.h"

namespace gantry::client {

struct DaemonStart {
  Roots roots;
  Address address;  // where it has to listen: a unix socket
};

// Returns a connection to the daemon, which runs in a session of its own and writes its log to DATA_ROOT/daemon.log.
// Waits, without polling, on a pipe that the daemon writes to when it is ready.
// Errors: what the daemon said if it could not start; Code::forbidden if the roots cannot be made.
Result<Fd> start_daemon(const DaemonStart& start);

}  // namespace gantry::client
