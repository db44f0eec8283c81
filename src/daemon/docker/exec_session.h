// An exec of a container, from what a client asks for to its exit code: for Docker's /exec and for Gantry's own.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>

#include "base/result.h"
#include "daemon/http_server.h"
#include "daemon/world.h"

namespace gantry::daemon::docker {

// The body of POST /containers/{id}/exec.
Result<engine::LocalEngine::ExecRequest> parse_exec_request(const nlohmann::json& body);
// A terminal's size in cells, as requests have it.
uint16_t cells(int64_t number);

Result<engine::ExecDetails> inspect_exec(World& world, const ExecId& id);
Result<engine::ExecStreams> start_exec(Exchange& exchange, World& world, const ExecId& id, bool detach);

// How its output travels.
enum class Wrapping { frames, bare };

// Starts the exec and carries bytes both ways, on the connection's thread, until its output has ended: the exit code, which
// inspect tells by then, too. Nothing if the client went, or detached itself, before; the program goes on then. That it
// could not be started is told in the stream, as its output.
Result<std::optional<int>> carry_exec(Exchange& exchange, World& world, const engine::ExecDetails& exec,
                                      Exchange::Hijacked client, Wrapping wrapping);

}  // namespace gantry::daemon::docker
