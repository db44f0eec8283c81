// An exec of a container, from what a client asks for to its exit code: for Docker's /exec and for Gantry's own.
#pragma once

#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>

#include "base/result.h"
#include "daemon/http_server.h"
#include "daemon/waiting.h"
#include "daemon/world.h"

namespace gantry::daemon::docker {

// The body of POST /containers/{id}/exec.
Result<engine::LocalEngine::ExecRequest> parse_exec_request(const nlohmann::json& body);
// A terminal's size in cells, as requests have it.
uint16_t cells(int64_t number);

Result<engine::ExecDetails> inspect_exec(World& world, const ExecId& id);

// An exec that has been told to start: its streams, or why there are none, and then its exit code.
struct StartedExec {
  engine::ExecDetails details;
  std::shared_ptr<Pending<engine::ExecStreams>> streams = std::make_shared<Pending<engine::ExecStreams>>();
  std::shared_ptr<Pending<int>> exit_code = std::make_shared<Pending<int>>();
};
// Code::exhausted if there are no descriptors to wait for it. Any thread.
Result<StartedExec> prepare_exec();
// Both answers by one visit to the loop, so that nobody has to come again for the second. Loop thread only.
void start_exec(World& world, StartedExec& exec);

// How its output travels.
enum class Wrapping { frames, bare };

// Carries bytes both ways between the client and the exec, on the connection's thread, until its output has ended: the exit
// code, which inspect tells by then, too. Nothing if the client went, or detached itself, before; the program goes on then.
// That it could not be started is told in the stream, as its output.
Result<std::optional<int>> carry_exec(Exchange& exchange, World& world, const StartedExec& exec, Exchange::Hijacked client,
                                      Wrapping wrapping);

}  // namespace gantry::daemon::docker
