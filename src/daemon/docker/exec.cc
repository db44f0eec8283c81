// /containers/{id}/exec and /exec.
#include <nlohmann/json.hpp>

#include "base/strings.h"
#include "daemon/docker/answers.h"
#include "daemon/docker/exec_session.h"
#include "daemon/docker/fields.h"
#include "daemon/docker/lookups.h"
#include "daemon/docker/routes.h"

namespace gantry::daemon::docker {
namespace {

using engine::ExecDetails;
using nlohmann::json;

Result<> create_exec(Exchange& exchange, const Call& call, World& world) {
  const json body = TRY(read_json(exchange));
  engine::LocalEngine::ExecRequest request = TRY(parse_exec_request(body));
  const ExecId id = TRY(world.loop.ask([&]() -> Result<ExecId> {
    const ContainerId container = TRY(world.engine.find_container(call["id"]));
    return world.engine.create_exec(container, std::move(request));
  }));
  return send_json(exchange, 201, {{"Id", id.str()}});
}

Result<> start_attached(Exchange& exchange, const Call& call, World& world, const ExecId& id, bool tty) {
  StartedExec exec = TRY(prepare_exec());
  exec.details = TRY(inspect_exec(world, id));
  if (exec.details.running) return conflict("exec command " + id.str() + " is already running");
  if (exec.details.started) return conflict("exec command " + id.str() + " has already run");
  const bool multiplexed = !tty && call.version >= ApiVersion{1, 42};
  Exchange::Hijacked client = TRY(
      exchange.hijack(multiplexed ? "application/vnd.docker.multiplexed-stream" : "application/vnd.docker.raw-stream"));
  world.loop.post([&world, exec]() mutable { start_exec(world, exec); });
  TRY(carry_exec(exchange, world, exec, std::move(client), tty ? Wrapping::bare : Wrapping::frames));
  return {};
}

Result<> start_detached(Exchange& exchange, World& world, const ExecId& id) {
  TRY(await<engine::ExecStreams>(exchange, world.loop, [&world, id](auto reply) mutable {
    world.engine.start_exec(id, true, std::move(reply));
  }));
  return exchange.send(200, "", "");
}

Result<> run_exec(Exchange& exchange, const Call& call, World& world) {
  const json body = TRY(read_json(exchange));
  Trouble trouble;
  const Fields fields(body, "", trouble);
  const bool detach = fields.flag("Detach");
  const bool tty = fields.flag("Tty");
  const std::vector<int64_t> size = fields.integers("ConsoleSize");
  if (trouble) return *trouble;
  if (tty && size.size() == 2) {
    // Before the start it becomes the terminal's first size; an exec that cannot take it tells so below.
    (void)world.loop.ask([&] {
      return world.engine.resize_exec(ExecId(call["id"]), cells(size[0]), cells(size[1]));
    }).ok();
  }
  const ExecId id(call["id"]);
  if (!detach) return start_attached(exchange, call, world, id, tty);
  return start_detached(exchange, world, id);
}

Result<> show_exec(Exchange& exchange, const Call& call, World& world) {
  const ExecDetails exec = TRY(inspect_exec(world, ExecId(call["id"])));
  const std::vector<std::string>& words = exec.spec.process.arguments;
  json process = {{"tty", exec.spec.process.tty},
                  {"entrypoint", words.empty() ? "" : words.front()},
                  {"arguments", std::vector<std::string>(words.begin() + (words.empty() ? 0 : 1), words.end())},
                  {"privileged", exec.spec.process.privileged}};
  if (!exec.spec.process.user.empty()) process["user"] = exec.spec.process.user;
  return send_json(exchange, 200,
                   {{"ID", exec.id.str()},
                    {"Running", exec.running},
                    {"ExitCode", exec.exit_code && !exec.running ? json(*exec.exit_code) : json()},
                    {"ProcessConfig", std::move(process)},
                    {"OpenStdin", exec.attach_stdin},
                    {"OpenStdout", exec.attach_stdout},
                    {"OpenStderr", exec.attach_stderr},
                    {"CanRemove", false},
                    {"ContainerID", exec.container.str()},
                    {"DetachKeys", exec.detach_keys},
                    {"Pid", exec.pid}});
}

Result<> resize_exec(Exchange& exchange, const Call& call, World& world) {
  const std::optional<uint64_t> rows = parse_unsigned(call.query.get("h"));
  const std::optional<uint64_t> columns = parse_unsigned(call.query.get("w"));
  if (!rows || !columns || *rows > 65535 || *columns > 65535) {
    return invalid("invalid resize height " + gantry::quoted(call.query.get("h")) + " or width " +
                   gantry::quoted(call.query.get("w")));
  }
  TRY(world.loop.ask([&] {
    return world.engine.resize_exec(ExecId(call["id"]), static_cast<uint16_t>(*rows), static_cast<uint16_t>(*columns));
  }));
  return exchange.send(200, "", "");
}

}  // namespace

void add_exec_routes(Router& router, World& world) {
  const auto add = [&](const char* method, const char* path, Result<> (*handler)(Exchange&, const Call&, World&)) {
    router.add(method, path,
               [handler, &world](Exchange& exchange, const Call& call) { return handler(exchange, call, world); });
  };
  add("POST", "/containers/{id}/exec", create_exec);
  add("POST", "/exec/{id}/start", run_exec);
  add("POST", "/exec/{id}/resize", resize_exec);
  add("GET", "/exec/{id}/json", show_exec);
}

}  // namespace gantry::daemon::docker
