#include "cli/attached_process.h"

#include <signal.h>
#include <unistd.h>

#include <thread>

#include "base/strings.h"
#include "cli/commands/commands.h"
#include "cli/exit.h"
#include "cli/interactive.h"

namespace gantry::cli {

namespace {

std::string size_query(TerminalSize size) {
  return "?h=" + std::to_string(size.rows) + "&w=" + std::to_string(size.columns);
}

const char* name_of(int signal) {
  switch (signal) {
    case SIGINT:
      return "SIGINT";
    case SIGTERM:
      return "SIGTERM";
    case SIGHUP:
      return "SIGHUP";
    case SIGQUIT:
      return "SIGQUIT";
    case SIGUSR1:
      return "SIGUSR1";
    case SIGUSR2:
      return "SIGUSR2";
    default:
      return "SIGTERM";
  }
}

// Waits for the end of a container, and for its removal if it removes itself: the exit code is in the `die` event.
// `since` in the past replays events that came before the subscription.
class ExitWatch {
 public:
  ExitWatch(std::unique_ptr<client::ApiClient> api, const std::string& container, AtEnd at_end)
      : api_(std::move(api)), last_event_(at_end == AtEnd::removed ? "destroy" : "die") {
    const std::string path = "/events?since=1&filters=" +
                             filters_query({{"type", {"container"}}, {"container", {container}}, {"event", {"die", "destroy"}}});
    thread_ = std::thread([this, path] {
      result_ = api_->stream_lines("GET", path, "", [this](std::string_view line) {
        const auto event = parse_event(line);
        if (!event.ok()) return true;
        if (event->action == "die") {
          const auto code = event->attributes.find("exitCode");
          exit_code_ = code == event->attributes.end() ? 0 : static_cast<int>(parse_unsigned(code->second).value_or(0));
        }
        return event->action != last_event_ && event->action != "destroy";
      });
    });
  }
  ~ExitWatch() {
    if (!thread_.joinable()) return;
    api_->interrupt();
    thread_.join();
  }
  Result<int> wait() {
    thread_.join();
    TRY(std::move(result_));
    if (!exit_code_) return Error(Code::unavailable, "the daemon went away while the container was running");
    return *exit_code_;
  }

 private:
  std::unique_ptr<client::ApiClient> api_;
  const std::string last_event_;
  std::thread thread_;
  Result<> result_;
  std::optional<int> exit_code_;
};

}  // namespace

Result<TerminalChoice> choose_terminal(const Session& session, const TerminalWish& wish) {
  TerminalChoice choice{.tty = wish.tty.value_or(session.out.is_terminal()), .interactive = wish.interactive};
  if (!choice.tty || !choice.interactive || ::isatty(session.in) == 1) return choice;
  if (wish.tty) {
    return invalid("cannot attach stdin to a TTY-enabled container because stdin is not a terminal");
  }
  choice.tty = false;
  return choice;
}

Result<int> run_exec(Session& session, const std::string& container, ExecRequest request, bool detach) {
  client::ApiClient* api = TRY(session.api());
  if (detach) request.attach_stdin = request.attach_output = false;
  const auto created = TRY(TRY(api->request("POST", container_path(container, "exec"), exec_body(request))).ok_body());
  const std::string exec = "/exec/" + TRY(parse_id(created));
  const std::string start = exec_start_body(detach, request.tty);
  if (detach) {
    TRY(post(*api, exec + "/start", start));
    return 0;
  }
  auto connection = TRY(api->upgrade("POST", exec + "/start", start));
  TRY(interact(
      {.connection = std::move(connection),
       .input = request.attach_stdin ? session.in : -1,
       .out = session.out,
       .err = session.err,
       .tty = request.tty,
       .resize = [&](TerminalSize size) { (void)api->request("POST", exec + "/resize" + size_query(size)).ok(); },
       .forward_signal = {}}));
  return TRY(parse_exec(TRY(TRY(api->request("GET", exec + "/json")).ok_body()))).exit_code;
}

Result<int> start_attached(Session& session, const std::string& container, const TerminalChoice& terminal,
                           AtEnd at_end) {
  client::ApiClient* api = TRY(session.api());
  std::string attach = container_path(container, "attach") + "?stream=1&stdout=1&stderr=1";
  if (terminal.interactive) attach += "&stdin=1";
  auto connection = TRY(api->upgrade("POST", attach, ""));
  ExitWatch exit(TRY(api->another()), container, at_end);
  TRY(post(*api, container_path(container, "start")));
  TRY(interact({.connection = std::move(connection),
                .input = terminal.interactive ? session.in : -1,
                .out = session.out,
                .err = session.err,
                .tty = terminal.tty,
                .resize =
                    [&](TerminalSize size) {
                      (void)api->request("POST", container_path(container, "resize") + size_query(size)).ok();
                    },
                .forward_signal =
                    [&](int signal) {
                      (void)api->request("POST", container_path(container, "kill") + "?signal=" + name_of(signal)).ok();
                    }}));
  return exit.wait();
}

}  // namespace gantry::cli
