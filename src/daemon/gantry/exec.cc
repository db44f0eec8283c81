// /gantry/v1/containers/{id}/exec: Docker's three requests of an attached exec (make, start, ask for the exit code) as one.
#include <nlohmann/json.hpp>

#include "daemon/docker/answers.h"
#include "daemon/docker/exec_session.h"
#include "daemon/gantry/routes.h"
#include "daemon/relay.h"

namespace gantry::daemon::api {
namespace {

// By one visit to the loop: it is started while the client is told of its id.
Result<docker::StartedExec> make_and_start(World& world, const std::string& container,
                                           engine::LocalEngine::ExecRequest request) {
  docker::StartedExec exec = TRY(docker::prepare_exec());
  return world.loop.ask([&]() -> Result<docker::StartedExec> {
    const ContainerId id = TRY(world.engine.find_container(container));
    exec.details = TRY(world.engine.inspect_exec(TRY(world.engine.create_exec(id, std::move(request)))));
    docker::start_exec(world, exec);
    return exec;
  });
}

Result<> exec(Exchange& exchange, const Call& call, World& world) {
  const nlohmann::json body = TRY(docker::read_json(exchange));
  const docker::StartedExec exec = TRY(make_and_start(world, call["id"], TRY(docker::parse_exec_request(body))));
  exchange.add_header("Gantry-Exec", exec.details.id.str());
  Exchange::Hijacked client = TRY(exchange.hijack("application/vnd.docker.multiplexed-stream"));
  const int socket = client.socket;
  const std::optional<int> exit_code =
      TRY(docker::carry_exec(exchange, world, exec, std::move(client), docker::Wrapping::frames));
  if (!exit_code) return {};
  return http::send_all(socket, frame(Stream::exit_code, std::to_string(*exit_code)));
}

}  // namespace

void add_exec_route(Router& router, World& world) {
  router.add("POST", "/gantry/v1/containers/{id}/exec",
             [&world](Exchange& exchange, const Call& call) { return exec(exchange, call, world); });
}

}  // namespace gantry::daemon::api
