#include "cli/attached_process.h"

#include <signal.h>
#include <unistd.h>

#include <thread>

#include "base/strings.h"
#include "cli/commands/commands.h"
#include "cli/exit.h"
#include "cli/detach_keys.h"
#include "cli/interactive.h"
#include "cli/open_exec.h"

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

namespace {

Result<> run_detached(client::ApiClient& api, const std::string& container, ExecRequest request) {
  request.attach_stdin = request.attach_output = false;
  const auto created = TRY(TRY(api.request("POST", container_path(container, "exec"), exec_body(request))).ok_body());
  return post(api, "/exec/" + TRY(parse_id(created)) + "/start", exec_start_body(request.tty));
}

}  // namespace

Result<int> run_exec(Session& session, const std::string& container, ExecRequest request, bool detach) {
  client::ApiClient* api = TRY(session.api());
  if (detach) {
    TRY(run_detached(*api, container, std::move(request)));
    return 0;
  }
  if (request.tty) request.size = session.out.size();
  OpenExec open = TRY(open_exec(*api, container, request));
  DetachKeys keys(request.tty && request.attach_stdin ? request.detach_keys : "none");
  const std::optional<int> exit_code = TRY(interact(
      {.connection = std::move(open.connection),
       .input = request.attach_stdin ? session.in : -1,
       .out = session.out,
       .err = session.err,
       .tty = request.tty,
       .resize = [&](TerminalSize size) { (void)api->request("POST", open.path + "/resize" + size_query(size)).ok(); },
       .forward_signal = {},
       .typed = [&keys](std::string_view bytes) { keys.typed(bytes); }}));
  if (keys.were_typed()) return 0;
  if (!exit_code) return Error(Code::unavailable, "the daemon went away while the command was running");
  return *exit_code;
}

namespace {

Result<client::ApiClient::Upgraded> open_attachment(client::ApiClient& api, const std::string& container,
                                                    const TerminalChoice& terminal, const AttachOptions& options) {
  std::string path = container_path(container, "attach") + "?stream=1";
  if (options.output) path += "&stdout=1&stderr=1";
  if (terminal.interactive) path += "&stdin=1";
  if (!options.detach_keys.empty()) path += "&detachKeys=" + client::url_encode(options.detach_keys);
  return api.upgrade("POST", path, "");
}

// → whether the user has detached.
Result<bool> talk(Session& session, client::ApiClient& api, const std::string& container,
                  client::ApiClient::Upgraded connection, const TerminalChoice& terminal, const AttachOptions& options) {
  DetachKeys keys(terminal.tty && terminal.interactive ? options.detach_keys : "none");
  Interaction interaction{
      .connection = std::move(connection),
      .input = terminal.interactive ? session.in : -1,
      .out = session.out,
      .err = session.err,
      .tty = terminal.tty,
      .framed = !terminal.tty,
      .resize =
          [&](TerminalSize size) {
            (void)api.request("POST", container_path(container, "resize") + size_query(size)).ok();
          },
      .forward_signal = {},
      .typed = [&keys](std::string_view bytes) { keys.typed(bytes); }};
  if (options.signals) {
    interaction.forward_signal = [&](int signal) {
      (void)api.request("POST", container_path(container, "kill") + "?signal=" + name_of(signal)).ok();
    };
  }
  TRY(interact(std::move(interaction)));
  return keys.were_typed();
}

Result<int> exit_code_of(client::ApiClient& api, const std::string& container) {
  return parse_wait(TRY(TRY(api.request("POST", container_path(container, "wait"))).ok_body()));
}

}  // namespace

Result<int> start_attached(Session& session, const std::string& container, const TerminalChoice& terminal,
                           const AttachOptions& options) {
  client::ApiClient* api = TRY(session.api());
  auto connection = TRY(open_attachment(*api, container, terminal, options));
  std::optional<ExitWatch> exit;
  if (options.exit_by_events) exit.emplace(TRY(api->another()), container, options.at_end);
  TRY(post(*api, container_path(container, "start")));
  const bool detached = TRY(talk(session, *api, container, std::move(connection), terminal, options));
  if (detached) return 0;
  return exit ? exit->wait() : exit_code_of(*api, container);
}

Result<int> attach_to(Session& session, const std::string& container, const TerminalChoice& terminal,
                      const AttachOptions& options) {
  client::ApiClient* api = TRY(session.api());
  auto connection = TRY(open_attachment(*api, container, terminal, options));
  // One that ended before it was attached to gives nothing until it is started again.
  const auto details = TRY(parse_container(TRY(TRY(api->request("GET", container_path(container, "json"))).ok_body())));
  if (details.state == "exited" || details.state == "dead") return exit_code_of(*api, container);
  if (terminal.tty) {
    // A change of the size makes full-screen programs draw anew.
    const TerminalSize size = session.out.size();
    (void)api->request("POST", container_path(container, "resize") + size_query({size.columns + 1, size.rows + 1})).ok();
  }
  const bool detached = TRY(talk(session, *api, container, std::move(connection), terminal, options));
  return detached ? 0 : exit_code_of(*api, container);
}

}  // namespace gantry::cli
