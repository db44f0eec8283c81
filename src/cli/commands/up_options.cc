#include "cli/commands/up_options.h"

#include <algorithm>
#include <limits>

#include "base/process_start.h"
#include "base/strings.h"
#include "cli/build_request.h"
#include "compose/values.h"

namespace gantry::cli {

namespace {

Result<> exclude(const Arguments& arguments, std::string_view a, std::string_view b) {
  if (!arguments.on(a) || !arguments.on(b)) return {};
  return invalid("--" + std::string(a) + " and --" + std::string(b) + " are incompatible");
}

Result<> check_detached(const Arguments& arguments) {
  const std::string_view mode = arguments.on("detach") ? "--detach" : "--wait";
  if (!arguments.on("detach") && !arguments.on("wait")) return {};
  for (const char* flag : {"abort-on-container-exit", "abort-on-container-failure", "exit-code-from", "attach",
                           "attach-dependencies", "watch"}) {
    if (arguments.given(flag)) {
      return invalid(std::string(mode) +
                     " cannot be combined with --abort-on-container-exit, --abort-on-container-failure, "
                     "--exit-code-from, --attach, --attach-dependencies or --watch");
    }
  }
  return {};
}

Result<> check(const Session& session, const Arguments& arguments) {
  TRY(exclude(arguments, "build", "no-build"));
  for (const char* flag : {"force-recreate", "renew-anon-volumes", "always-recreate-deps"}) {
    TRY(exclude(arguments, flag, "no-recreate"));
  }
  TRY(exclude(arguments, "abort-on-container-exit", "abort-on-container-failure"));
  TRY(check_detached(arguments));
  TRY(exclude(arguments, "no-build", "watch"));
  if (arguments.on("timings") && !arguments.on("detach") && !arguments.on("wait")) {
    return invalid("--timings needs --detach or --wait; afterwards compose timings shows the same");
  }
  if (arguments.given("attach") && arguments.on("attach-dependencies")) {
    return invalid("cannot combine --attach and --attach-dependencies");
  }
  if (arguments.number("wait-timeout").value_or(0) < 0) return invalid("--wait-timeout must be a non-negative integer");
  if (arguments.on("remove-orphans") && session.environment_switch("COMPOSE_IGNORE_ORPHANS")) {
    return invalid("cannot combine COMPOSE_IGNORE_ORPHANS and --remove-orphans");
  }
  return {};
}

Result<> refuse_remote(const Session& session, const std::string& text) {
  if (daemon_is_local(session)) return {};
  return invalid("--lease " + text + ": the daemon is on another machine and cannot see this process: give a duration, "
                 "as 30m");
}

// "1234": a process; "30m": a time; "none".
Result<LeaseWish> parse_lease(const Session& session, const std::string& text) {
  if (text == "none") return LeaseWish{};
  if (const auto pid = parse_unsigned(text)) {
    TRY(refuse_remote(session, text));
    const bool fits = *pid > 0 && *pid <= std::numeric_limits<int>::max();
    const auto started = fits ? process_start(static_cast<int>(*pid)) : std::nullopt;
    if (!started) return not_found("--lease " + text + ": there is no such process; a time has a unit, as " + text + "s");
    return LeaseWish{.pid = static_cast<int>(*pid), .pid_started = *started};
  }
  const auto duration = compose::parse_duration(text);
  if (!duration.ok() || duration->count() <= 0) {
    return invalid("--lease " + gantry::quoted(text) + ": give the number of a process, a duration as 30m, or none");
  }
  return LeaseWish{.seconds = std::chrono::ceil<std::chrono::seconds>(*duration).count()};
}

Result<std::map<std::string, int>> parse_scale(const std::vector<std::string>& texts,
                                               const std::function<Error(const std::string&)>& complaint) {
  std::map<std::string, int> scale;
  for (const std::string& text : texts) {
    const size_t equals = text.find('=');
    const auto count =
        equals == std::string::npos ? std::nullopt : parse_unsigned(std::string_view(text).substr(equals + 1));
    if (!count || equals == 0 || *count > 100'000) {
      return complaint(text);
    }
    scale[text.substr(0, equals)] = static_cast<int>(*count);
  }
  return scale;
}

}  // namespace

Result<std::string> pull_policy(const Arguments& arguments) {
  const std::string pull = arguments.text("pull");
  if (!arguments.given("pull") || pull == "always" || pull == "missing" || pull == "never" || pull == "build") {
    return pull;
  }
  if (pull == "if_not_present") return std::string("missing");
  return invalid("invalid --pull option " + gantry::quoted(pull));
}

namespace {

compose::RecreatePolicy recreate_policy(const Arguments& arguments) {
  if (arguments.on("force-recreate") || arguments.on("renew-anon-volumes")) return compose::RecreatePolicy::force;
  return arguments.on("no-recreate") ? compose::RecreatePolicy::never : compose::RecreatePolicy::diverged;
}

compose::RecreatePolicy dependency_policy(const Arguments& arguments) {
  if (arguments.on("always-recreate-deps")) return compose::RecreatePolicy::force;
  return arguments.on("no-recreate") ? compose::RecreatePolicy::never : compose::RecreatePolicy::diverged;
}

}  // namespace

Result<std::map<std::string, int>> scale_arguments(const std::vector<std::string>& texts) {
  return parse_scale(texts, [](const std::string& text) { return invalid("invalid scale specifier: " + text); });
}

Result<UpCommand> up_command(const Session& session, const Arguments& arguments) {
  TRY(check(session, arguments));
  UpCommand command{.detach = arguments.on("detach") || arguments.on("wait"),
                    .build = arguments.on("build"),
                    .no_build = arguments.on("no-build"),
                    .quiet_pull = arguments.on("quiet-pull"),
                    .quiet_build = arguments.on("quiet-build"),
                    .no_color = arguments.on("no-color"),
                    .no_log_prefix = arguments.on("no-log-prefix"),
                    .timestamps = arguments.on("timestamps"),
                    .abort_on_exit = arguments.on("abort-on-container-exit") || arguments.given("exit-code-from"),
                    .abort_on_failure = arguments.on("abort-on-container-failure"),
                    .attach_dependencies = arguments.on("attach-dependencies"),
                    .watch = arguments.on("watch"),
                    .menu = arguments.given("menu") ? arguments.on("menu")
                                                    : session.variable("COMPOSE_MENU").empty() ||
                                                          session.environment_switch("COMPOSE_MENU"),
                    .timings = arguments.on("timings"),
                    .yes = arguments.on("yes") || arguments.on("y"),
                    .exit_code_from = arguments.text("exit-code-from"),
                    .attach = arguments.list("attach"),
                    .no_attach = arguments.list("no-attach")};
  compose::UpOptions& options = command.options;
  options.services = arguments.positional();
  options.recreate = recreate_policy(arguments);
  options.recreate_dependencies = dependency_policy(arguments);
  options.scale = TRY(parse_scale(arguments.list("scale"), [](const std::string& text) {
    return invalid("invalid --scale option " + gantry::quoted(text) + ". Should be SERVICE=NUM");
  }));
  options.ignore_orphans = session.environment_switch("COMPOSE_IGNORE_ORPHANS");
  options.remove_orphans = arguments.given("remove-orphans") ? arguments.on("remove-orphans")
                                                             : session.environment_switch("COMPOSE_REMOVE_ORPHANS");
  options.dry_run = session.globals().dry_run;
  options.no_start = arguments.on("no-start");
  options.no_dependencies = arguments.on("no-deps");
  options.renew_anonymous_volumes = arguments.on("renew-anon-volumes");
  options.wait = arguments.on("wait");
  options.wait_timeout = TRY(seconds_of(arguments, "wait-timeout"));
  options.stop_timeout = TRY(seconds_of(arguments, "timeout"));
  options.pull = TRY(pull_policy(arguments));
  if (arguments.given("lease")) command.lease = TRY(parse_lease(session, arguments.text("lease")));
  return command;
}

Result<std::set<std::string>> attached_services(const UpCommand& command, const compose::Project& project) {
  std::set<std::string> attached;
  if (!command.attach.empty()) {
    for (const std::string& service : command.attach) {
      if (!project.services.contains(service)) {
        return invalid("cannot attach to services not included in up: " + service);
      }
      attached.insert(service);
    }
  } else {
    const auto& named = command.options.services;
    for (const auto& [name, service] : project.services) {
      const bool is_named = named.empty() || std::find(named.begin(), named.end(), name) != named.end();
      if ((is_named || command.attach_dependencies) && service.attach.value_or(true)) attached.insert(name);
    }
  }
  for (const std::string& service : command.no_attach) attached.erase(service);
  if (attached.empty()) {  // nothing to show means everything is shown
    for (const auto& [name, service] : project.services) attached.insert(name);
  }
  return attached;
}

}  // namespace gantry::cli
