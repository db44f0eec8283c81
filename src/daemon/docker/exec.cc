// /containers/{id}/exec and /exec.
#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/strings.h"
#include "daemon/docker/answers.h"
#include "daemon/docker/fields.h"
#include "daemon/docker/lookups.h"
#include "daemon/docker/routes.h"
#include "daemon/relay.h"
#include "daemon/waiting.h"

namespace gantry::daemon::docker {
namespace {

using engine::ExecDetails;
using nlohmann::json;

uint16_t cells(int64_t number) { return static_cast<uint16_t>(std::clamp<int64_t>(number, 0, UINT16_MAX)); }

Result<engine::LocalEngine::ExecRequest> parse_exec(const json& body) {
  Trouble trouble;
  const Fields fields(body, "", trouble);
  engine::LocalEngine::ExecRequest request;
  engine::ProcessSpec& process = request.spec.process;
  process.arguments = fields.text_or_texts("Cmd").value_or(std::vector<std::string>());
  process.user = fields.text("User");
  process.working_dir = fields.text("WorkingDir");
  process.tty = fields.flag("Tty");
  process.privileged = fields.flag("Privileged");
  request.extra_environment = fields.texts("Env");
  request.attach_stdin = fields.flag("AttachStdin");
  request.attach_stdout = fields.flag("AttachStdout");
  request.attach_stderr = fields.flag("AttachStderr");
  process.open_stdin = request.attach_stdin;
  if (const std::vector<int64_t> size = fields.integers("ConsoleSize"); process.tty && size.size() == 2) {
    process.rows = cells(size[0]);
    process.columns = cells(size[1]);
  }
  request.detach_keys = fields.text("DetachKeys");
  if (trouble) return *trouble;
  if (process.arguments.empty()) return invalid("No exec command specified");
  TRY(DetachKeys::parse(request.detach_keys));
  return request;
}

Result<> create(Exchange& exchange, const Call& call, World& world) {
  const json body = TRY(read_json(exchange));
  engine::LocalEngine::ExecRequest request = TRY(parse_exec(body));
  const ExecId id = TRY(world.loop.ask([&]() -> Result<ExecId> {
    const ContainerId container = TRY(world.engine.find_container(call["id"]));
    return world.engine.create_exec(container, std::move(request));
  }));
  return send_json(exchange, 201, {{"Id", id.str()}});
}

Result<ExecDetails> inspect_exec(World& world, const std::string& id) {
  return world.loop.ask([&] { return world.engine.inspect_exec(ExecId(id)); });
}

Result<engine::ExecStreams> start_exec(Exchange& exchange, World& world, const ExecId& id, bool detach) {
  return await<engine::ExecStreams>(exchange, world.loop, [&world, id, detach](auto reply) mutable {
    world.engine.start_exec(id, detach, std::move(reply));
  });
}

// `tty` is what the client of `start` expects; what the program has was decided by `create`.
Relay::End run_session(Exchange::Hijacked client, const ExecDetails& exec, engine::ExecStreams streams, bool tty,
                       DetachKeys& keys) {
  const auto framed = [tty](Stream stream) -> std::function<std::string(std::string_view)> {
    if (tty) return {};
    return [stream](std::string_view bytes) { return frame(stream, bytes); };
  };
  Relay relay;
  relay.client = client.socket;
  relay.read_ahead = std::move(client.read_ahead);
  if (streams.stdout_read) relay.outputs.push_back({.fd = streams.stdout_read.get(), .transform = framed(Stream::out)});
  if (streams.stderr_read) relay.outputs.push_back({.fd = streams.stderr_read.get(), .transform = framed(Stream::err)});
  if (exec.attach_stdin && exec.spec.process.tty) {
    relay.input = streams.stdout_read.get();
    relay.detach_keys = &keys;
  } else if (exec.attach_stdin && streams.stdin_write) {
    relay.input = streams.stdin_write.get();
    relay.end_input = [&streams] { streams.stdin_write.reset(); };
  }
  return relay.run();
}

Result<> start_attached(Exchange& exchange, const Call& call, World& world, const ExecId& id, bool tty) {
  const ExecDetails exec = TRY(inspect_exec(world, id.str()));
  if (exec.running) return conflict("exec command " + id.str() + " is already running");
  if (exec.started) return conflict("exec command " + id.str() + " has already run");
  DetachKeys keys = TRY(DetachKeys::parse(exec.detach_keys));
  const bool multiplexed = !tty && call.version >= ApiVersion{1, 42};
  Exchange::Hijacked client = TRY(
      exchange.hijack(multiplexed ? "application/vnd.docker.multiplexed-stream" : "application/vnd.docker.raw-stream"));
  Result<engine::ExecStreams> streams = start_exec(exchange, world, id, false);
  if (!streams.ok()) {
    const std::string text = streams.error().message() + "\r\n";
    return http::send_all(client.socket, tty ? text : frame(Stream::out, text));
  }
  const Relay::End end = run_session(std::move(client), exec, std::move(*streams), tty, keys);
  if (end == Relay::End::detached) {
    world.loop.post([&world, container = exec.container, id] {
      world.engine.emit_about(container, "exec_detach", {{"execID", id.str()}});
    });
  }
  if (end != Relay::End::output_ended) return {};  // the program goes on without this client
  // Clients inspect as soon as the stream has ended: the exit code has to be there by then.
  TRY(await<int>(exchange, world.loop,
                 [&world, id](auto reply) mutable { world.engine.wait_exec(id, std::move(reply)); }));
  return {};
}

Result<> start(Exchange& exchange, const Call& call, World& world) {
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
  TRY(start_exec(exchange, world, id, true));
  return exchange.send(200, "", "");
}

Result<> inspect(Exchange& exchange, const Call& call, World& world) {
  const ExecDetails exec = TRY(inspect_exec(world, call["id"]));
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

Result<> resize(Exchange& exchange, const Call& call, World& world) {
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
  add("POST", "/containers/{id}/exec", create);
  add("POST", "/exec/{id}/start", start);
  add("POST", "/exec/{id}/resize", resize);
  add("GET", "/exec/{id}/json", inspect);
}

}  // namespace gantry::daemon::docker
