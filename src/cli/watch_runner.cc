#include "cli/watch_runner.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/strings.h"
#include "cli/commands/commands.h"
#include "cli/file_watch.h"
#include "cli/frames.h"
#include "cli/open_exec.h"
#include "cli/image_build.h"
#include "cli/operation.h"
#include "cli/tar_stream.h"
#include "compose/labels.h"
#include "compose/options_json.h"
#include "compose/project_json.h"

namespace gantry::cli {

namespace fs = std::filesystem;

namespace {

// So long nothing may happen before a batch is taken to be whole. One saved file shall be there at once; a checkout of
// thousands comes with longer breaks.
constexpr int kQuietMs = 25;
constexpr int kQuietOfManyMs = 300;
constexpr int kQuietOfGitMs = 10'000;  // while it holds the lock of its index: after that, it was killed
constexpr size_t kMany = 50;
constexpr size_t kMaxOutput = size_t{1} << 20;
constexpr size_t kMostRemoved = 1000;  // names on one command line, which the kernel bounds: 2 MB together

std::string list_text(const std::set<std::string>& names) {
  std::string text = "[";
  for (const std::string& name : names) text += (text.size() > 1 ? " " : "") + gantry::quoted(name);
  return text + "]";
}

std::string changes_text(size_t count) {
  return std::to_string(count) + (count == 1 ? " change was" : " changes were");
}

// Files as entries of one archive for "/", and what is gone, by its path in the container.
struct Transfer {
  std::vector<TarItem> items;
  std::vector<std::string> gone;
};

std::string archive_name(const std::string& container_path) {
  return container_path.starts_with('/') ? container_path.substr(1) : container_path;
}

Result<Transfer> transfer_of(const WatchRule& rule, const std::set<fs::path>& files) {
  Transfer transfer;
  for (const fs::path& file : files) {
    const std::string target = rule.container_path(file);
    auto item = TRY(single_item(file, archive_name(target), {.keep_owner = true}));
    if (item) {
      transfer.items.push_back(*std::move(item));
    } else {
      transfer.gone.push_back(target);
    }
  }
  return transfer;
}

}  // namespace

Result<ExecOutcome> exec_to_end(client::ApiClient& api, const std::string& container, const compose::Hook& command) {
  ExecRequest request{.command = command.command,
                      .user = command.user,
                      .working_dir = command.working_dir,
                      .privileged = command.privileged};
  for (const auto& [name, value] : command.environment) {
    if (value) request.environment.push_back(name + "=" + *value);
  }
  auto connection = TRY(open_exec(api, container, request)).connection;
  ExecOutcome outcome;
  FrameReader frames(false, [&outcome](StreamKind, std::string_view bytes) {
    outcome.output += bytes.substr(0, kMaxOutput - std::min(kMaxOutput, outcome.output.size()));
  });
  frames.add(connection.read_ahead);
  ::shutdown(connection.socket.get(), SHUT_WR);
  char buffer[16384];
  for (;;) {
    const ssize_t got = ::recv(connection.socket.get(), buffer, sizeof buffer, 0);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;
    frames.add({buffer, static_cast<size_t>(got)});
  }
  const std::optional<int> exit_code = frames.exit_code();
  if (!exit_code) return Error(Code::unavailable, "the daemon went away while the command was running");
  outcome.exit_code = *exit_code;
  return outcome;
}

Result<std::unique_ptr<WatchRunner>> WatchRunner::create(Session& session, const compose::Project& project,
                                                         std::vector<WatchRule> rules, WatchSettings settings) {
  std::unique_ptr<WatchRunner> runner(new WatchRunner(session, project, std::move(rules), std::move(settings)));
  runner->api_ = TRY(TRY(session.api())->another());
  return runner;
}

Result<> WatchRunner::run(int stop) {
  std::vector<fs::path> paths;
  for (const WatchRule& rule : rules_) paths.push_back(rule.path);
  FileWatch files = TRY(FileWatch::open(paths, [this](const fs::path& directory) {
    return std::all_of(rules_.begin(), rules_.end(), [&](const WatchRule& rule) { return rule.can_skip(directory); });
  }));
  settings_.say("Watch enabled");
  initial_sync();
  for (;;) {
    pollfd watched[2] = {{files.fd(), POLLIN, 0}, {stop, POLLIN, 0}};
    const int quiet = files.pending() == 0     ? -1
                      : files.is_git_at_work() ? kQuietOfGitMs
                      : files.pending() > kMany ? kQuietOfManyMs
                                               : kQuietMs;
    const int ready = ::poll(watched, 2, quiet);
    if (ready < 0 && errno != EINTR) return Error::from_errno(errno, "poll");
    if (ready == 0) {
      apply(files.take());
      continue;
    }
    if (watched[1].revents != 0) return {};
    if (watched[0].revents != 0) TRY(files.read());
  }
}

WatchRunner::Batch WatchRunner::sorted(const Files& changed) const {
  Batch batch;
  for (const WatchRule& rule : rules_) {
    Files matching;
    for (const fs::path& file : changed) {
      if (rule.matches(file)) matching.insert(file);
    }
    if (matching.empty()) continue;
    if (rule.action == WatchRule::Action::rebuild) batch.rebuilds.insert(rule.service);
    if (rule.restarts()) batch.restarts.insert(rule.service);
    if (rule.action == WatchRule::Action::sync_exec) batch.execs.push_back(&rule);
    if (rule.syncs()) batch.syncs[&rule] = std::move(matching);
  }
  return batch;
}

// Rebuilds, copies, restarts, commands: each uses what the ones before it made.
void WatchRunner::apply(const Files& changed) {
  const Batch batch = sorted(changed);
  if (!batch.rebuilds.empty()) report(rebuild(batch.rebuilds));
  std::map<std::string, size_t> counts;
  for (const auto& [rule, files] : batch.syncs) counts[rule->service] += files.size();
  for (const auto& [service, count] : counts) {
    settings_.say("Syncing service " + gantry::quoted(service) + " after " + changes_text(count) + " detected");
  }
  for (const auto& [rule, files] : batch.syncs) report(sync(*rule, files));
  if (!batch.restarts.empty()) report(restart(batch.restarts));
  for (const WatchRule* rule : batch.execs) report(exec(*rule));
}

void WatchRunner::initial_sync() {
  for (const WatchRule& rule : rules_) {
    if (!rule.initial_sync || !rule.syncs()) continue;
    Files files;
    std::error_code problem;
    if (!fs::is_directory(rule.path, problem)) files.insert(rule.path);
    auto entry = fs::recursive_directory_iterator(rule.path, fs::directory_options::skip_permission_denied, problem);
    for (; !problem && entry != fs::recursive_directory_iterator(); entry.increment(problem)) {
      if (entry->is_directory(problem) && rule.can_skip(entry->path())) entry.disable_recursion_pending();
      if (rule.matches(entry->path())) files.insert(entry->path());
    }
    report(sync(rule, files));
  }
}

Result<std::vector<ContainerRow>> WatchRunner::running(const std::string& service) {
  const std::string filters = filters_query({{"label",
                                              {std::string(compose::label::kProject) + "=" + project_.name,
                                               std::string(compose::label::kService) + "=" + service,
                                               std::string(compose::label::kOneOff) + "=False"}}});
  return parse_containers(TRY(TRY(api_->request("GET", "/containers/json?filters=" + filters)).ok_body()));
}

Result<> WatchRunner::sync(const WatchRule& rule, const Files& files) {
  const Transfer transfer = TRY(transfer_of(rule, files));
  for (const ContainerRow& container : TRY(running(rule.service))) {
    for (size_t at = 0; at < transfer.gone.size(); at += kMostRemoved) {
      const auto begin = transfer.gone.begin() + static_cast<ptrdiff_t>(at);
      compose::Hook removal{.command = {"rm", "-rf"}, .user = "0"};
      removal.command.insert(removal.command.end(), begin,
                             begin + static_cast<ptrdiff_t>(std::min(kMostRemoved, transfer.gone.size() - at)));
      const auto removed = TRY(exec_to_end(*api_, container.id, removal));
      if (removed.exit_code != 0) {
        return internal_error("cannot delete files in " + container.name + ": " + std::string(trim(removed.output)));
      }
    }
    if (transfer.items.empty()) continue;
    TarStream stream(transfer.items, "sync");
    TRY(api_->upload(
               "PUT", container_path(container.id, "archive") + "?path=/&copyUIDGID=true", "application/x-tar",
               [&stream] { return stream.next(); }, [](std::string_view) { return true; })
            .within("syncing to " + container.name));
  }
  return {};
}

Result<> WatchRunner::rebuild(const std::set<std::string>& services) {
  settings_.say("Rebuilding service(s) " + list_text(services) + " after changes were detected...");
  const std::vector<std::string> names(services.begin(), services.end());
  const BuildOptions options{.quiet = settings_.quiet};
  const auto builds = TRY(plan_builds(project_, names, options));
  const auto mode = settings_.quiet ? ProgressMode::quiet : ProgressMode::plain;
  const auto view = ProgressView::make({.mode = mode, .operation = "build"}, session_.err, session_.clock());
  TRY(run_builds(session_, builds, *view, mode, options));
  settings_.say("service(s) " + list_text(services) + " successfully built");
  const compose::UpOptions up{.services = names, .recreate = compose::RecreatePolicy::force, .no_dependencies = true};
  const auto outcome = TRY(follow_operation(*api_, "PUT", project_path(project_.name),
                                            operation_body(compose::to_json(project_), compose::to_json(up)), *view));
  if (!outcome.ok) return internal_error(outcome.message);
  return settings_.prune ? prune() : Result<>();
}

Result<> WatchRunner::prune() {
  const std::string filters = filters_query(
      {{"dangling", {"true"}}, {"label", {std::string(compose::label::kProject) + "=" + project_.name}}});
  TRY(TRY(api_->request("POST", "/images/prune?filters=" + filters)).ok_body());
  return {};
}

Result<> WatchRunner::restart(const std::set<std::string>& services) {
  compose::ServiceOptions options{.services = {services.begin(), services.end()}};
  options.project = project_;
  const auto outcome = TRY(follow_operation(*api_, "POST", project_path(project_.name, "restart"),
                                            operation_body("", compose::to_json(options)), [](const auto&) {}));
  if (!outcome.ok) return internal_error(outcome.message);
  settings_.say("service(s) " + list_text(services) + " restarted");
  return {};
}

Result<> WatchRunner::exec(const WatchRule& rule) {
  if (!rule.exec) return {};
  for (const ContainerRow& container : TRY(running(rule.service))) {
    const auto outcome = TRY(exec_to_end(*api_, container.id, *rule.exec));
    if (!outcome.output.empty()) settings_.say(std::string(trim(outcome.output)));
    if (outcome.exit_code != 0) {
      return internal_error("exec in " + container.name + " exited with " + std::to_string(outcome.exit_code));
    }
  }
  return {};
}

void WatchRunner::report(const Result<>& result) {
  if (!result.ok()) settings_.say("Error: " + result.error().message());
}

Result<Fd> lock_watch(const Session& session, const std::string& project) {
  std::string directory = session.variable("XDG_RUNTIME_DIR");
  if (directory.empty()) directory = session.variable("HOME") + "/.docker/docker-compose";
  std::error_code problem;
  fs::create_directories(directory, problem);
  const std::string path = directory + "/" + project + ".pid";
  Fd file(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644));
  if (file.get() < 0) return Error::from_errno(errno, "open", path);
  if (::flock(file.get(), LOCK_EX | LOCK_NB) != 0) {
    char pid[32] = {};
    const ssize_t got = ::read(file.get(), pid, sizeof pid - 1);
    return conflict("cannot take exclusive lock for project " + gantry::quoted(project) + ": process with PID " +
                    std::string(trim({pid, static_cast<size_t>(std::max<ssize_t>(got, 0))})) + " is still running");
  }
  const std::string pid = std::to_string(::getpid()) + "\n";
  if (::ftruncate(file.get(), 0) != 0 || ::write(file.get(), pid.data(), pid.size()) < 0) {
    return Error::from_errno(errno, "write", path);
  }
  return file;
}

}  // namespace gantry::cli
