#include "daemon/docker/exec_session.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "daemon/docker/fields.h"
#include "daemon/relay.h"

namespace gantry::daemon::docker {

using engine::ExecDetails;
using nlohmann::json;

uint16_t cells(int64_t number) { return static_cast<uint16_t>(std::clamp<int64_t>(number, 0, UINT16_MAX)); }

Result<engine::LocalEngine::ExecRequest> parse_exec_request(const json& body) {
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

Result<ExecDetails> inspect_exec(World& world, const ExecId& id) {
  return world.loop.ask([&] { return world.engine.inspect_exec(id); });
}

Result<StartedExec> prepare_exec() {
  StartedExec exec;
  TRY(exec.streams->bell().check());
  TRY(exec.exit_code->bell().check());
  return exec;
}

void start_exec(World& world, StartedExec& exec) {
  const ExecId id = exec.details.id;
  world.engine.start_exec(id, false, PendingReply<engine::ExecStreams>(exec.streams));
  world.engine.wait_exec(id, PendingReply<int>(exec.exit_code));
}

namespace {

// `wrapping` is what the client expects; what the program has was decided when the exec was made.
Relay::End run_session(Exchange::Hijacked client, const ExecDetails& exec, engine::ExecStreams streams, Wrapping wrapping,
                       DetachKeys& keys) {
  const auto framed = [wrapping](Stream stream) -> std::function<std::string(std::string_view)> {
    if (wrapping == Wrapping::bare) return {};
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

Result<> tell_failure(int client, const Error& error, Wrapping wrapping) {
  const std::string text = error.message() + "\r\n";
  return http::send_all(client, wrapping == Wrapping::bare ? text : frame(Stream::out, text));
}

}  // namespace

Result<std::optional<int>> carry_exec(Exchange& exchange, World& world, const StartedExec& exec, Exchange::Hijacked client,
                                      Wrapping wrapping) {
  const ExecDetails& details = exec.details;
  DetachKeys keys = TRY(DetachKeys::parse(details.detach_keys));
  Result<engine::ExecStreams> streams = await(exchange, *exec.streams);
  if (!streams.ok()) {
    TRY(tell_failure(client.socket, streams.error(), wrapping));
    return TRY(inspect_exec(world, details.id)).exit_code;
  }
  const Relay::End end = run_session(std::move(client), details, std::move(*streams), wrapping, keys);
  if (end == Relay::End::detached) {
    world.loop.post([&world, container = details.container, id = details.id] {
      world.engine.emit_about(container, "exec_detach", {{"execID", id.str()}});
    });
  }
  if (end != Relay::End::output_ended) return std::optional<int>();
  // Clients inspect as soon as the stream has ended: the exit code has to be there by then.
  return std::optional<int>(TRY(await(exchange, *exec.exit_code)));
}

}  // namespace gantry::daemon::docker
