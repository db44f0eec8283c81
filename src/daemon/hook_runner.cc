#include "daemon/hook_runner.h"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

namespace gantry::daemon {
namespace {

using compose::CommandOutcome;
using compose::CommandSpec;
using Reply = Function<void(Result<CommandOutcome>)>;

// Reads two pipes to their end; what is more than the limit is read and dropped, so that the writer is not held up.
std::string read_both(int out, int err) {
  constexpr size_t kMost = size_t{64} << 10;
  std::string text;
  std::array<pollfd, 2> open{{{out, POLLIN, 0}, {err, POLLIN, 0}}};
  std::array<char, 4096> buffer;
  while (open[0].fd >= 0 || open[1].fd >= 0) {
    if (::poll(open.data(), open.size(), -1) < 0 && errno != EINTR) break;
    for (pollfd& end : open) {
      if (end.fd < 0 || end.revents == 0) continue;
      const ssize_t got = ::read(end.fd, buffer.data(), buffer.size());
      if (got < 0 && (errno == EINTR || errno == EAGAIN)) continue;
      if (got <= 0) {
        end.fd = -1;
      } else {
        text.append(buffer.data(), std::min(static_cast<size_t>(got), kMost - text.size()));
      }
    }
  }
  return text;
}

void run(engine::LocalEngine& engine, Tasks& tasks, const ContainerId& container, CommandSpec command, Reply reply) {
  engine::LocalEngine::ExecRequest request{.extra_environment = std::move(command.environment)};
  request.spec.process.arguments = std::move(command.arguments);
  request.spec.process.user = std::move(command.user);
  request.spec.process.working_dir = std::move(command.working_dir);
  request.spec.process.privileged = command.privileged;
  Result<ExecId> exec = engine.create_exec(container, std::move(request));
  if (!exec.ok()) return reply(std::move(exec).error());
  engine.start_exec(*exec, false, [&engine, &tasks, exec = *exec, reply = std::move(reply)](auto streams) mutable {
    if (!streams.ok()) {
      const auto details = engine.inspect_exec(exec);
      const int code = details.ok() ? details->exit_code.value_or(126) : 126;
      return reply(CommandOutcome{.exit_code = code, .output = streams.error().message()});
    }
    tasks.run_long(
        [streams = std::make_shared<engine::ExecStreams>(*std::move(streams))] {
          return read_both(streams->stdout_read.get(), streams->stderr_read.get());
        },
        [&engine, exec, reply = std::move(reply)](std::string output) mutable {
          engine.wait_exec(exec, [reply = std::move(reply), output = std::move(output)](Result<int> code) mutable {
            if (!code.ok()) return reply(std::move(code).error());
            reply(CommandOutcome{.exit_code = *code, .output = std::move(output)});
          });
        });
  });
}

}  // namespace

compose::CommandRunner make_hook_runner(engine::LocalEngine& engine, Tasks& tasks) {
  return [&engine, &tasks](const ContainerId& container, CommandSpec command, Reply reply) {
    run(engine, tasks, container, std::move(command), std::move(reply));
  };
}

}  // namespace gantry::daemon
