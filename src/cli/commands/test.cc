// test: a command against a copy of the project that nobody else uses, and that is gone afterwards whatever happens.
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <filesystem>
#include <thread>

#include "base/fd.h"
#include "base/process_start.h"
#include "base/random.h"
#include "base/strings.h"
#include "cli/build_request.h"
#include "cli/commands/commands.h"
#include "cli/commands/up_options.h"
#include "cli/isolated_project.h"
#include "cli/junit.h"
#include "cli/log_printer.h"
#include "cli/operation.h"
#include "cli/signals.h"
#include "cli/stream_hub.h"
#include "cli/targets.h"
#include "compose/labels.h"
#include "compose/options_json.h"
#include "compose/project_json.h"

namespace gantry::cli {

namespace {

namespace fs = std::filesystem;

constexpr Flag kTestFlags[] = {
    {.name = "artifacts",
     .kind = FlagKind::text,
     .value_name = "DIR",
     .help = "Where logs and events go when the command fails (compose-test-NAME if not given)"},
    {.name = "build", .help = "Build images even if they are there"},
    {.name = "junit", .kind = FlagKind::text, .value_name = "FILE", .help = "Write the result as a JUnit file"},
    {.name = "quiet", .letter = 'q', .help = "Don't show progress"},
    {.name = "service",
     .letter = 's',
     .kind = FlagKind::list,
     .value_name = "SERVICE",
     .help = "Only this service and its dependencies"},
    {.name = "wait-timeout", .kind = FlagKind::number, .value_name = "SECONDS", .help = "Longest time until all are ready"},
};

// While it lives the project may live: when this process is gone, however it ended, the daemon takes the project down.
class Lease {
 public:
  static Result<std::unique_ptr<Lease>> take(client::ApiClient& api, const std::string& project) {
    auto lease = std::make_unique<Lease>();
    lease->api_ = TRY(api.another());
    Pipe ready = TRY(make_pipe(O_CLOEXEC));
    lease->thread_ = std::thread([own = lease->api_.get(), project, ready = std::move(ready.write)]() mutable {
      (void)own->stream_lines("POST", project_path(project, "lease"), "", [&](std::string_view) {
        ready = Fd();  // the daemon has it
        return true;
      });
      ready = Fd();
    });
    char byte = 0;
    while (::read(ready.read.get(), &byte, 1) < 0 && errno == EINTR) {
    }
    return lease;
  }
  ~Lease() {
    api_->interrupt();
    if (thread_.joinable()) thread_.join();
  }

 private:
  std::unique_ptr<client::ApiClient> api_;
  std::thread thread_;
};

// The connection of Lease tells the daemon of now that this process is gone, this here any later one.
Result<> lease_by_process(Session& session, const std::string& project) {
  if (!daemon_is_local(session)) return {};
  return set_lease(session, project,
                   {.pid = ::getpid(), .pid_started = process_start(::getpid()).value_or(0), .volumes = true});
}

// Runs the command to its end. → its exit code, 128 and the signal if one ended it
Result<int> run_command(const std::vector<std::string>& words, const Environment& environment) {
  std::vector<char*> arguments;
  for (const std::string& word : words) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  std::vector<std::string> assignments;
  for (const auto& [name, value] : environment) assignments.push_back(name + "=" + value);
  std::vector<char*> variables;
  for (const std::string& assignment : assignments) variables.push_back(const_cast<char*>(assignment.c_str()));
  variables.push_back(nullptr);
  pid_t child = 0;
  const int problem = ::posix_spawnp(&child, arguments[0], nullptr, nullptr, arguments.data(), variables.data());
  if (problem == ENOENT) return not_found(words[0] + ": command not found");
  if (problem != 0) return Error::from_errno(problem, "posix_spawn", words[0]);
  // Ctrl-C reaches the command by itself; what is sent to this process alone is passed on.
  SignalThread forward({SIGINT, SIGTERM, SIGHUP}, [child](int signal) {
    if (signal != SIGINT) ::kill(child, signal);
  });
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

Result<> take_down(Session& session, const std::string& name, bool quiet) {
  const compose::DownOptions options{.volumes = true, .remove_orphans = true, .timeout = std::chrono::seconds(0)};
  ProgressStyle style = TRY(session.progress_style("down"));
  if (quiet) style.mode = ProgressMode::quiet;
  TRY(run_operation(session, style, "DELETE", project_path(name), operation_body("", compose::to_json(options))));
  return {};
}

// Logs of all containers, what happened, and what there was. → the end of the logs
Result<std::string> collect(Session& session, const std::string& project, const std::string& directory) {
  std::error_code problem;
  fs::create_directories(directory, problem);
  client::ApiClient* api = TRY(session.api());
  std::string logs;
  const int64_t now = std::chrono::duration_cast<std::chrono::seconds>(session.clock().wall().time_since_epoch()).count();
  std::string containers;
  for (const ContainerRow& row : TRY(session.containers(project, true))) {
    containers += ps_json(row, true, now);
    if (row.state == "created") continue;
    const auto details = TRY(parse_container(TRY(TRY(api->request("GET", container_path(row.id, "json"))).ok_body())));
    const auto read = read_log(*api, row.id, details.tty, {.timestamps = true}, [&](StreamKind, std::string_view line) {
      logs += display_name(row.name, project, row.one_off()) + " | " + std::string(line) + "\n";
    });
    if (!read.ok()) logs += row.name + " | " + read.error().message() + "\n";
  }
  std::string events;
  const std::string path = "/events?since=1&until=" + api_time(session.clock().wall()) + "&filters=" +
                           filters_query({{"label", {std::string(compose::label::kProject) + "=" + project}}});
  TRY(api->stream_lines("GET", path, "", [&](std::string_view line) {
    events += std::string(line) + "\n";
    return true;
  }));
  TRY(write_file(directory + "/logs.txt", logs));
  TRY(write_file(directory + "/events.jsonl", events));
  TRY(write_file(directory + "/containers.jsonl", containers));
  constexpr size_t kEnd = 4000;
  return logs.size() > kEnd ? logs.substr(logs.size() - kEnd) : logs;
}

// Brings the copy up and runs the command. → exit code
Result<int> test_in(Session& session, const compose::Project& project, const Arguments& arguments) {
  UpCommand command{.detach = true, .build = arguments.on("build"), .quiet_build = true, .quiet = arguments.on("quiet")};
  command.options.wait = true;
  command.options.wait_timeout = TRY(seconds_of(arguments, "wait-timeout"));
  const int status = TRY(bring_up_and_wait(session, project, command));
  if (status != 0) return status;
  Environment environment = session.environment();
  const auto rows = TRY(session.containers(project.name, false));
  for (auto& [name, value] : port_variables(rows)) environment[name] = value;
  environment["COMPOSE_PROJECT_NAME"] = project.name;
  return run_command(arguments.positional(), environment);
}

Result<int> test(Session& session, const Arguments& arguments) {
  auto project = TRY(session.load_project(arguments.list("service")));
  SystemRandom random;
  const std::string suite = project.name;
  isolate(project, project.name + "-test-" + random_hex(random, 4));
  if (session.globals().dry_run) {
    session.err.write("would bring up " + project.name + " and run: " + join(arguments.positional(), " ") + "\n");
    return 0;
  }
  const auto begun = session.clock().mono();
  TRY(lease_by_process(session, project.name));
  const auto lease = TRY(Lease::take(*TRY(session.api()), project.name));
  auto result = test_in(session, project, arguments);
  const auto took = session.clock().mono() - begun;
  std::string output = result.ok() ? "" : result.error().message() + "\n";
  if (!result.ok() || *result != 0) {
    const std::string directory = arguments.text("artifacts", "compose-test-" + project.name);
    auto collected = collect(session, project.name, directory);
    if (collected.ok()) {
      session.err.write("Logs and events are in " + directory + "\n");
      output += *collected;
    } else {
      session.warn("logs could not be collected: " + collected.error().message());
    }
  }
  if (arguments.given("junit")) {
    const TestResult outcome{.suite = suite,
                             .name = join(arguments.positional(), " "),
                             .seconds = std::chrono::duration<double>(took).count(),
                             .failure = result.ok() ? (*result == 0 ? "" : "exit code " + std::to_string(*result))
                                                    : result.error().message(),
                             .output = output};
    TRY(write_file(arguments.text("junit"), junit_file({outcome})));
  }
  if (auto down = take_down(session, project.name, arguments.on("quiet")); !down.ok()) {
    session.warn("the copy could not be taken down: " + down.error().message());
  }
  return result;
}

}  // namespace

const Command kTest{.syntax = {.name = "test",
                               .arguments = "COMMAND [ARGS...]",
                               .summary = "Run a command against a copy of the project that is removed afterwards",
                               .flags = kTestFlags,
                               .least_arguments = 1,
                               .interspersed = false},
                    .run = test};

}  // namespace gantry::cli
