#include "cli/container_watch.h"

#include <algorithm>
#include <utility>

#include "base/strings.h"
#include "cli/commands/commands.h"
#include "cli/exit.h"
#include "cli/style.h"
#include "compose/labels.h"
#include "compose/options_json.h"

namespace gantry::cli {

namespace {

namespace label = compose::label;

std::string label_of(const StringMap& labels, const char* key) {
  const auto found = labels.find(key);
  return found != labels.end() ? found->second : "";
}

bool is_alive(std::string_view state) { return state == "running" || state == "paused" || state == "restarting"; }

// Whoever hears of a container's end late may find that it has run and ended once more since.
bool has_started_after(const ContainerDetails& details, WallTime time) {
  WallTime started;
  return parse_rfc3339(details.started_at, started) && started > time;
}

// Where the log of the run after this end begins; "" when there was none.
std::string log_position(const std::string& finished_at) {
  WallTime time;
  if (!parse_rfc3339(finished_at, time) || time.time_since_epoch().count() <= 0) return "";
  return api_time(time);
}

}  // namespace

ContainerWatch::ContainerWatch(Session& session, WatchOptions options)
    : session_(session),
      options_(std::move(options)),
      printer_(options_.style, session.out, options_.stderr_to_stdout ? session.out : session.err) {}

// Everything that writes to the hub goes before it.
ContainerWatch::~ContainerWatch() {
  signals_.reset();
  keyboard_.reset();
  watch_.reset();
}

Result<> ContainerWatch::attach(bool announce) {
  hub_ = std::make_unique<StreamHub>(*TRY(session_.api()));
  signals_ = std::make_unique<SignalThread>(std::vector{SIGINT, SIGTERM, SIGHUP}, [this](int signal) {
    hub_->messages().put(SignalArrived{.signal = signal});
  });
  const std::string filters =
      filters_query({{"type", {"container"}}, {"label", {std::string(label::kProject) + "=" + options_.project}}});
  TRY(hub_->watch_events(filters));

  std::vector<std::string> names;
  const auto rows = TRY(session_.containers(options_.project, true));
  for (const ContainerRow& row : rows) {
    take_in(row);
    if (containers_[row.id].watched) names.push_back(containers_[row.id].display);
  }
  printer_.announce(names);
  if (announce && !names.empty()) session_.out.write("Attaching to " + join(names, ", ") + "\n");
  for (const ContainerRow& row : rows) {
    Container& container = containers_[row.id];
    if (!container.watched) continue;
    if (container.alive || (options_.show_stopped && row.state != "created")) {
      TRY(follow(row.id, container, options_.existing.tail));
    } else if (row.state != "created") {
      const auto details = TRY(look_at(row.id));
      if (!details) continue;
      container.run = details->started_at;
      container.since = log_position(details->finished_at);
    }
  }
  return {};
}

Result<> ContainerWatch::start_operation(const std::string& method, const std::string& path, const std::string& body) {
  operation_ = TRY(hub_->run_operation(method, path, body));
  return {};
}

Result<int> ContainerWatch::run() {
  if (options_.menu) {
    keyboard_ = std::make_unique<Keyboard>(session_.in, [this](char key) { hub_->messages().put(KeyTyped{.key = key}); });
    draw_menu();
  }
  while (!error_ && !finished()) {
    HubMessage message = hub_->messages().take();
    std::visit([this](auto& content) { handle(std::move(content)); }, message);
  }
  erase_menu();
  keyboard_.reset();
  if (view_) view_->finish();
  if (error_) return *std::move(error_);
  return final_status();
}

// Between the two: what is still written by those that run or, at the end, by those that were stopped.
bool ContainerWatch::finished() const {
  if (phase_ == Phase::over) return true;
  if (detaching_) return !operation_;  // what is being started is started
  if (operation_ || phase_ == Phase::stopping || phase_ == Phase::killing) return false;
  const bool stopped = phase_ == Phase::stopped;
  return std::none_of(containers_.begin(), containers_.end(), [stopped](const auto& entry) {
    const Container& container = entry.second;
    if (!container.monitored) return false;
    return stopped ? container.following && !container.alive : container.following || container.alive;
  });
}

int ContainerWatch::final_status() const {
  if (!options_.exit_code_from.empty()) {
    for (const auto& [id, container] : containers_) {
      if (container.service == options_.exit_code_from && container.exit_code) return *container.exit_code;
    }
  }
  return exit_status_.value_or(kExitOk);
}

ContainerWatch::Container& ContainerWatch::known(const std::string& id, const std::string& name,
                                                 const StringMap& labels) {
  const auto [place, inserted] = containers_.try_emplace(id);
  Container& container = place->second;
  if (!inserted) return container;
  const bool one_off = equals_ignoring_case(label_of(labels, label::kOneOff), "true");
  container.name = name;
  container.service = label_of(labels, label::kService);
  container.display = display_name(name, options_.project, one_off);
  const auto& services = options_.services;
  container.watched = !one_off && (services.empty() || services.contains(container.service));
  const auto& monitored = options_.monitored;
  container.monitored = !one_off && (monitored.empty() ? container.watched : monitored.contains(container.service));
  return container;
}

void ContainerWatch::take_in(const ContainerRow& row) {
  Container& container = known(row.id, row.name, row.labels);
  container.alive = is_alive(row.state);
}

Result<std::optional<ContainerDetails>> ContainerWatch::look_at(const std::string& id) {
  client::ApiClient* api = TRY(session_.api());
  const auto answer = TRY(api->request("GET", container_path(id, "json")));
  if (answer.status == 404) return std::optional<ContainerDetails>();
  return std::optional<ContainerDetails>(TRY(parse_container(TRY(client::Response(answer).ok_body()))));
}

Result<> ContainerWatch::follow(const std::string& id, Container& container, const std::string& tail) {
  if (!container.watched || container.following) return {};
  const auto found = TRY(look_at(id));
  if (!found || found->started_at == container.run) return {};  // if it is gone again, its events tell the rest
  const ContainerDetails& details = *found;
  container.run = details.started_at;
  container.following = true;
  container.told = false;
  LogRequest request = options_.existing;
  request.follow = true;
  request.timestamps = options_.timestamps;
  request.tail = tail;
  if (!container.since.empty()) request.since = container.since;
  if (!is_alive(details.state) && !container.alive) container.exit_code = details.exit_code;
  return hub_->follow_log(id, details.tty, request);
}

void ContainerWatch::handle(LogLine line) {
  const auto found = containers_.find(line.container);
  if (found == containers_.end() || !options_.filter.passes(line.text)) return;
  print([&] { printer_.line(found->second.display, line.kind, line.text); });
}

void ContainerWatch::handle(LogEnded ended) {
  const auto found = containers_.find(ended.container);
  if (found == containers_.end()) return;
  Container& container = found->second;
  container.following = false;
  if (!ended.problem.empty() && container.alive) {
    print(
        [&] { session_.warn("Can't retrieve logs for " + gantry::quoted(container.display) + ": " + ended.problem); });
  }
  tell_exit(ended.container, container);
  for (EngineEvent& event : std::exchange(container.later, {})) handle(std::move(event));
}

// The log of a run that has ended may be read to its end later than the events of the next one come.
void ContainerWatch::handle(EngineEvent event) {
  const auto name = event.attributes.find("name");
  if (event.type != "container" || name == event.attributes.end()) return;
  Container& container = known(event.id, name->second, event.attributes);
  const bool has_ended = container.following && !container.alive && container.exit_code;
  if (has_ended) {
    container.later.push_back(std::move(event));
  } else {
    take_in(event, container);
  }
}

void ContainerWatch::take_in(const EngineEvent& event, Container& container) {
  if (event.action == "start") {
    container.alive = true;
    container.exit_code.reset();
    container.told = false;
    keep_error(follow(event.id, container, ""));
  } else if (event.action == "die") {
    container.alive = false;
    const auto code = event.attributes.find("exitCode");
    const auto number = code != event.attributes.end() ? parse_unsigned(code->second) : std::nullopt;
    container.exit_code = static_cast<int>(number.value_or(0));
    container.died = WallTime(std::chrono::nanoseconds(event.time_nano));
    container.since = api_time(*container.died);
    tell_exit(event.id, container);
  } else if (event.action == "destroy") {
    container.alive = false;
  }
}

void ContainerWatch::tell_exit(const std::string& id, Container& container) {
  if (!container.watched && !container.monitored) return;
  if (container.following || container.alive || container.told || !container.exit_code) return;
  container.told = true;
  const int exit_code = *container.exit_code;
  const auto found = look_at(id);
  const bool restarting = found.ok() && *found && (is_alive((*found)->state) ||
                                                   (container.died && has_started_after(**found, *container.died)));
  container.alive = restarting;
  std::string text = container.display + " exited with code " + std::to_string(exit_code);
  if (restarting) text += " (restarting)";
  if (container.watched) print([&] { printer_.status(text); });
  if (container.monitored) abort_for(exit_code);
}

void ContainerWatch::abort_for(int exit_code) {
  const bool aborts = options_.abort_on_exit || (options_.abort_on_failure && exit_code != 0);
  if (!aborts || phase_ != Phase::watching) return;
  exit_status_ = exit_code;
  print([&] { session_.err.write("Aborting on container exit...\n"); });
  keep_error(stop());
}

void ContainerWatch::handle(EventsEnded ended) {
  if (phase_ == Phase::stopped) return;
  keep_error(Error(Code::unavailable, "the connection to the daemon is lost" +
                                          (ended.problem.empty() ? "" : ": " + ended.problem) +
                                          "; the containers go on running"));
}

void ContainerWatch::handle(compose::Progress progress) {
  if (view_) {
    view_->show(progress);
  } else if (progress.status == compose::Progress::Status::warning) {
    print([&] { session_.warn(progress.name + ": " + progress.text + " " + progress.details); });
  }
}

void ContainerWatch::handle(OperationEnded ended) {
  if (operation_ != ended.number) return;  // cancelled in favour of another
  operation_.reset();
  if (!ended.outcome.ok) session_.fail(ended.outcome.message);
  if (phase_ == Phase::stopping || phase_ == Phase::killing) {
    phase_ = Phase::stopped;
    return keep_error(take_in_stopped());
  }
  if (ended.outcome.ok) {
    keep_error(list_containers());
    // Not earlier: what changes before the containers run cannot be copied into them.
    if (std::exchange(options_.watch, false) && phase_ == Phase::watching) toggle_watch();
    return;
  }
  exit_status_ = ended.outcome.exit_code != 0 ? ended.outcome.exit_code : kExitError;
  phase_ = Phase::over;  // what runs goes on
}

// What has been started since attach() without our knowing. Of one that has ended meanwhile, more than once perhaps, the events
// tell, and until they come it counts as alive.
Result<> ContainerWatch::list_containers() {
  for (const ContainerRow& row : TRY(session_.containers(options_.project, true))) {
    Container& container = known(row.id, row.name, row.labels);
    if (is_alive(row.state)) container.alive = true;
    const bool is_awaited = !container.told;  // the end of the run before, and with it what came after
    if (!container.watched || is_awaited || row.state == "created") continue;
    if (!container.alive) {
      const auto details = TRY(look_at(row.id));
      container.alive = details && details->started_at != container.run;
      if (container.alive) continue;
    }
    TRY(follow(row.id, container, ""));
  }
  return {};
}

Result<> ContainerWatch::take_in_stopped() {
  for (const ContainerRow& row : TRY(session_.containers(options_.project, true))) {
    Container& container = known(row.id, row.name, row.labels);
    container.alive = is_alive(row.state);
    if (!container.alive && !container.exit_code) container.exit_code = row.exit_code();
    tell_exit(row.id, container);
  }
  return {};
}

void ContainerWatch::handle(SignalArrived) {
  if (!options_.graceful_stop) {
    exit_status_ = kExitInterrupted;
    phase_ = Phase::over;
  } else if (phase_ == Phase::watching) {
    exit_status_ = kExitInterrupted;
    print([&] { session_.status("Gracefully Stopping... press Ctrl+C again to force\n"); });
    keep_error(stop());
  } else if (phase_ == Phase::stopping) {
    keep_error(kill());
  }
}

Result<> ContainerWatch::stop() {
  erase_menu();
  watch_.reset();
  phase_ = Phase::stopping;
  if (operation_) hub_->cancel(*operation_);  // operations on a project wait for one another
  const auto style = TRY(session_.progress_style("stop"));
  view_ = ProgressView::make(style, session_.err, session_.clock());
  const auto options = options_.graceful_stop.value_or(compose::ServiceOptions());
  operation_ = TRY(hub_->run_operation("POST", project_path(options_.project, "stop"),
                                       operation_body("", compose::to_json(options))));
  return {};
}

bool ContainerWatch::in_stop_scope(const Container& container) const {
  if (!options_.graceful_stop || options_.graceful_stop->services.empty()) return true;
  const auto& services = options_.graceful_stop->services;
  return std::find(services.begin(), services.end(), container.service) != services.end();
}

// Past the project's operations, which wait for one another: the stop that is under way then ends by itself.
Result<> ContainerWatch::kill() {
  phase_ = Phase::killing;
  client::ApiClient* api = TRY(session_.api());
  for (const auto& [id, container] : containers_) {
    if (!container.alive || !in_stop_scope(container)) continue;
    const auto answer = TRY(api->request("POST", container_path(id, "kill")));
    const bool gone = answer.status == 404 || answer.status == 409;  // just ended
    if (!gone) TRY(client::Response(answer).ok_body());
  }
  return {};
}

void ContainerWatch::print(const std::function<void()>& what) {
  if (view_) return view_->print_above(what);
  erase_menu();
  what();
  draw_menu();
}

// ---- keys

void ContainerWatch::handle(KeyTyped typed) {
  if (phase_ != Phase::watching) return;
  if (typed.key == 'w') {
    toggle_watch();
  } else if (typed.key == 'd') {
    detaching_ = true;
  } else if (typed.key == '\n' || typed.key == '\r') {
    print([&] { session_.out.write("\n"); });
  }
}

void ContainerWatch::handle(Notice notice) {
  const std::string mark = coloured(" ⦿ ", options_.style.colour ? Colour::green : Colour::none);
  print([&] { session_.out.write(mark + notice.text + "\n"); });
}

void ContainerWatch::toggle_watch() {
  if (watch_) {
    watch_.reset();
    return handle(Notice{.text = "Watch disabled"});
  }
  if (options_.watched == nullptr) return;
  auto watch = BackgroundWatch::start(session_, *options_.watched, options_.watched_services,
                                      [this](const std::string& text) { hub_->messages().put(Notice{.text = text}); });
  if (!watch.ok()) return handle(Notice{.text = watch.error().message()});
  watch_ = *std::move(watch);
  if (menu_drawn_) draw_menu();
}

void ContainerWatch::draw_menu() {
  if (!options_.menu || phase_ != Phase::watching) return;
  const std::string word = watch_ ? "Disable" : "Enable";
  session_.out.write("\r\x1b[K\x1b[1mw\x1b[0m " + word + " Watch   \x1b[1md\x1b[0m Detach");
  menu_drawn_ = true;
}

void ContainerWatch::erase_menu() {
  if (menu_drawn_) session_.out.write("\r\x1b[K");
  menu_drawn_ = false;
}

void ContainerWatch::keep_error(Result<> result) {
  if (!result.ok() && !error_) error_ = std::move(result).error();
}

}  // namespace gantry::cli
