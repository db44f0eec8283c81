#include "support/sim_story.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "base/strings.h"
#include "compose/kept_project.h"
#include "compose/reconcile.h"
#include "support/sim_project.h"
#include "support/story_projects.h"
#include "support/story_rules.h"

namespace gantry::test {
namespace {

using namespace std::chrono_literals;
using namespace compose;

constexpr uint64_t kStepsToRest = 20'000;  // whoever needs more than this does not come to an end
constexpr std::chrono::nanoseconds kTimeToRest = 20min;

// ---- a run

// The clock and the timers of a controller; if `hasty`, a thousand times as fast as the world's.
class HastyScheduler final : public Scheduler {
 public:
  HastyScheduler(SimWorld& world, bool hasty) : world_(world), clock_(world, hasty ? 1000 : 1) {}
  const Clock& clock() const override { return clock_; }
  TimerId after(std::chrono::nanoseconds delay, Function<void()> action) override {
    return world_.after(delay / clock_.factor, std::move(action));
  }
  void cancel(TimerId timer) override { world_.cancel(timer); }
  void post(Function<void()> action) override { world_.post(std::move(action)); }

 private:
  struct FastClock final : Clock {
    FastClock(const SimWorld& world, int times) : world(world), factor(times) {}
    WallTime wall() const override { return world.clock().wall(); }
    MonoTime mono() const override { return MonoTime(world.now() * factor); }
    const SimWorld& world;
    int factor;
  };

  SimWorld& world_;
  FastClock clock_;
};

class ForgetfulStore final : public ProjectStore {
 public:
  explicit ForgetfulStore(bool forgetful) : forgetful_(forgetful) {}
  Result<> save(const std::string& name, const std::string& json) override {
    projects[name] = json;
    return {};
  }
  Result<> remove(const std::string& name) override {
    projects.erase(name);
    return {};
  }
  Result<std::map<std::string, std::string>> load_all() override {
    return forgetful_ ? std::map<std::string, std::string>() : projects;
  }
  std::map<std::string, std::string> projects;  // whose saving was acknowledged

 private:
  bool forgetful_;
};

class Run {
 public:
  Run(const Story& story, const Mutant& mutant)
      : story_(story),
        mutant_(mutant),
        project_(project_number(story.project)),
        world_(story.seed),
        engine_(world_),
        faulty_(world_, engine_),
        scheduler_(world_, mutant.hasty),
        store_(mutant.forgetful),
        rules_(world_, engine_, project_) {
    for (const char* image : {"web", "db"}) {
      engine_.add_image(image);
      engine_.registry.insert(image);
    }
    for (const auto& [name, service] : project_.services) {
      if (name.starts_with("job")) engine_.behaviours[name] = {.exits_after = 200ms};
    }
    faulty_.on_call = [this](const FaultyEngine::Call& call) { rules_.on_call(call); };
    faulty_.on_outside_fault = [this](Fault fault) { happens(fault); };
    if (mutant.deaf)
      faulty_.hears = [](const engine::Event& event) { return event.action != "die" && event.action != "destroy"; };
    told_ = this;
    begin_life();
  }

  ~Run() {
    told_ = nullptr;
    controller_.reset();
    faulty_.die();
    engine_.die();
  }

  // The one that is being told.
  static inline Run* told_ = nullptr;

  void look_at(Plan& plan, const ProgressSink* asked_by) {
    if (mutant_.spoil) mutant_.spoil(plan);
    const auto asked = std::find_if(commands_.begin(), commands_.end(),
                                    [asked_by](const Command& command) { return command.listener.get() == asked_by; });
    rules_.on_plan(plan, asked == commands_.end() ? "" : asked->what);
  }

  Telling tell() {
    for (const Act& act : story_.acts) {
      for (int i = 0; i < act.steps && holds() && step(2s); ++i) {
      }
      if (!holds()) break;
      engine_.history.push_back("        -- " + act.what);
      act_on(act.what);
    }
    if (holds()) end_well();
    Telling telling{.violation = rules_.violation(), .met = std::move(faulty_.met), .steps = world_.steps()};
    telling.steps_to_rest = steps_to_rest_;
    if (!holds()) {
      for (const std::string& line : engine_.history) telling.history += line + "\n";
      telling.history += engine_.inventory();
    }
    return telling;
  }

 private:
  struct Command {
    std::string what;
    std::shared_ptr<Listener> listener;
  };

  bool holds() const { return rules_.violation().empty(); }

  bool step(std::chrono::nanoseconds limit) {
    if (!world_.step(limit)) return false;
    rules_.after_step();
    return true;
  }

  std::string current_command() const {
    for (const Command& command : commands_) {
      if (!command.listener->outcome) return command.what;
    }
    return "";
  }

  // ---- the daemon's lives

  void begin_life() {
    controller_ = std::make_unique<Controller>(faulty_, scheduler_, world_.random(), store_);
    controller_->run_commands_by(faulty_.command_runner());
    (void)controller_->resume();
  }

  void crash() {
    engine_.history.push_back("        -- the daemon dies");
    engine_.die();
    faulty_.die();
    rules_.daemon_died();
    controller_.reset();
    commands_.clear();
    begin_life();
  }

  // ---- what happens

  void act_on(const std::string& what) {
    const std::vector<std::string> words = split(what, ' ');
    const std::string rest = words.size() > 1 ? words[1] : "";
    if (const auto op = op_named(words[0]); op && words.size() == 2 && fault_named(rest)) {
      return faulty_.arm(*op, *fault_named(rest));
    }
    if (what == "crash") return crash();
    if (what == "flap") return flap();
    if (words[0] == "slow") {
      engine_.faults.reply_delay_max = std::chrono::milliseconds(parse_unsigned(rest).value_or(5));
      return;
    }
    if (what == "vanish" || what == "lose" || what == "exit") return happens(*fault_named(what));
    if (what == "sick") return sicken();
    if (what == "no-images") return forget_images();
    command(what, words);
  }

  void happens(Fault fault) {
    if (fault == Fault::crash) return crash();
    const auto names = engine_.container_names();
    if (names.empty()) return;
    const std::string& name = names[world_.random().below(names.size())];
    engine_.history.push_back(std::string("        -- ") + to_string(fault) + " " + name);
    if (fault == Fault::vanish)
      engine_.remove_behind_back(name);
    else if (fault == Fault::lose)
      engine_.lose_supervisor(name);
    else
      engine_.exit_by_itself(name, static_cast<int>(world_.random().below(2)));
  }

  const std::string& some_service() {
    auto at = project_.services.begin();
    std::advance(at, static_cast<ptrdiff_t>(world_.random().below(project_.services.size())));
    return at->first;
  }

  void flap() { engine_.behaviours[some_service()].lost_after = 20ms; }
  void sicken() { engine_.behaviours[some_service()].unhealthy_after = 300ms; }
  void forget_images() {
    for (const char* image : {"web", "db"}) engine_.remove_image_here(image);
  }

  void command(const std::string& what, const std::vector<std::string>& words) {
    auto listener = std::make_shared<Listener>();
    commands_.push_back({what, listener});
    const std::string& verb = words[0];
    ServiceOptions services;
    services.project = project_;
    if (words.size() > 1) services.services = {some_service()};
    if (verb == "up" && what == "up --changed") {
      controller_->up(with_changed_service(project_, world_.random().below(5)), {}, listener);
    } else if (what == "up --changed-network") {
      controller_->up(with_changed_network(project_), {}, listener);
    } else if (what == "up --recreate") {
      controller_->up(project_, {.recreate = RecreatePolicy::force}, listener);
    } else if (what == "up --scale") {
      const std::string& service = some_service();
      const int base = project_.services.at(service).scale.value_or(1);
      controller_->up(project_, {.scale = {{service, base + 1}}}, listener);
    } else if (verb == "up") {
      controller_->up(project_, {}, listener);
    } else if (verb == "down") {
      DownOptions options{.volumes = what == "down -v", .project = project_};
      if (what == "down --rmi") options.remove_images = "all";
      controller_->down("shop", std::move(options), listener);
    } else if (verb == "stop") {
      controller_->stop("shop", std::move(services), listener);
    } else if (verb == "start") {
      controller_->start("shop", std::move(services), listener);
    } else if (verb == "restart") {
      controller_->restart("shop", std::move(services), listener);
    } else if (verb == "kill") {
      controller_->kill("shop", std::move(services), listener);
    } else if (verb == "rm") {
      services.stop_first = true;
      controller_->remove("shop", std::move(services), listener);
    } else {
      rules_.violate("no such act: " + what);
    }
  }

  // ---- the end, without faults

  template <class Done>
  bool reach(Done done, const std::string& what) {
    const uint64_t begin = world_.steps();
    const auto until = world_.now() + kTimeToRest;
    while (holds() && !done()) {
      const bool went_on = step(until - world_.now());
      if (!went_on || world_.steps() - begin > kStepsToRest) {
        if (!done()) rules_.violate("it never comes to this: " + what);
        break;
      }
    }
    steps_to_rest_ = std::max(steps_to_rest_, world_.steps() - begin);
    return holds();
  }

  void check_commands() {
    for (const Command& command : commands_) {
      const int times = command.listener->finishes;
      if (times != 1) rules_.violate(command.what + " ended " + std::to_string(times) + " times");
    }
  }

  void end_well() {
    faulty_.disarm();
    engine_.faults.reply_delay_max = 5ms;
    for (auto& [service, behaviour] : engine_.behaviours) {
      behaviour.lost_after.reset();
      behaviour.unhealthy_after.reset();
    }
    engine_.heal();
    faulty_.release();
    engine_.history.push_back("        -- the faults stop");
    if (!reach([this] { return current_command().empty(); }, "the commands end")) return;
    if (!reach([this] { return !controller_->busy(); }, "nothing is left to repair")) return;
    // Events that come behind the last reply may have begun something: a moment of rest must be a rest.
    for (int i = 0; i < 1000 && holds() && step(1s); ++i) {
    }
    if (!reach([this] { return !controller_->busy(); }, "nothing is left to repair")) return;
    check_kept();
    if (!holds() || !ask("up")) return;
    if (!reach([this] { return !controller_->busy(); }, "after up there is rest")) return;
    check_up();
    if (!holds() || !ask("down -v")) return;
    if (!reach([this] { return !controller_->busy(); }, "after down there is rest")) return;
    check_nothing_is_left();
    check_commands();
  }

  // But for volumes without a name, whose containers went without -v before: they are nobody's then, as in Docker.
  void check_nothing_is_left() {
    for (const std::string& line : split(engine_.inventory(), '\n')) {
      constexpr size_t kRandomName = 64;
      const bool nameless = line.starts_with("volume ") && line.size() == 7 + kRandomName;
      if (!line.empty() && !nameless) rules_.violate("down -v leaves " + line);
    }
  }

  bool ask(const std::string& what) {
    engine_.history.push_back("        -- " + what + " (the last)");
    command(what, split(what, ' '));
    auto listener = commands_.back().listener;
    if (!reach([&] { return listener->outcome.has_value(); }, what + " ends")) return false;
    if (!listener->outcome->ok) rules_.violate(what + " fails without a fault: " + listener->outcome->message);
    return holds();
  }

  // What is kept was brought back without being asked for.
  void check_kept() {
    const auto stored = store_.projects.find("shop");
    if (stored == store_.projects.end()) return;
    auto kept = kept_project_from_json(stored->second);
    if (!kept.ok()) return rules_.violate("what is kept cannot be read");
    if (kept->underway) return;  // a failed up, whose user has been told
    auto desired = desire(*kept->project, kept->scale);
    if (!desired.ok()) return rules_.violate(desired.error().message());
    std::optional<Result<engine::Snapshot>> seen;
    engine_.observe(observe_request(*desired),
                    [&seen](Result<engine::Snapshot> snapshot) { seen = std::move(snapshot); });
    if (!reach([&seen] { return seen.has_value(); }, "a look at the engine")) return;
    Result<Plan> plan = reconcile(*desired, **seen, KeepIntent{.services = kept->services});
    if (!plan.ok()) return rules_.violate("what is kept has no plan: " + plan.error().message());
    // What a failed replacement left goes with the next repair, and so does the temporary name of a replica that
    // `start` has started as it was: nothing is missing meanwhile.
    for (const Step& step : plan->steps) {
      const bool tidies =
          std::holds_alternative<RemoveContainer>(step.action) || std::holds_alternative<RenameContainer>(step.action);
      if (!tidies) return rules_.violate("left unrepaired:\n" + plan->text());
    }
  }

  void check_up() {
    std::optional<std::string> text;
    controller_->plan(project_, {},
                      [&text](Result<Plan> plan) { text = plan.ok() ? plan->text() : plan.error().message(); });
    if (!reach([&text] { return text.has_value(); }, "a plan is made")) return;
    // What ends by itself is run again by each up, and what waited for it looks at it again.
    for (const std::string& line : split(*text, '\n')) {
      if (!line.empty() && line != "then" && line.find("-job") == std::string::npos) {
        return rules_.violate("after up there is still to do:\n" + *text);
      }
    }
    std::map<std::string, int> replicas;
    engine_.for_each_container([&](const engine::ObservedContainer& c) {
      const std::string service = replica_service(c);
      ++replicas[service];
      if (c.name != "shop-" + service + "-" + label_value(c, "com.docker.compose.container-number")) {
        rules_.violate(c.name + " kept its temporary name");
      }
    });
    for (const auto& [name, service] : project_.services) {
      if (replicas[name] == service.scale.value_or(1)) continue;
      rules_.violate(name + " has " + std::to_string(replicas[name]) + " replicas after up");
    }
  }

  const Story& story_;
  const Mutant& mutant_;
  const Project& project_;
  SimWorld world_;
  SimEngine engine_;
  FaultyEngine faulty_;
  HastyScheduler scheduler_;
  ForgetfulStore store_;
  StoryRules rules_;
  std::vector<Command> commands_;
  std::unique_ptr<Controller> controller_;
  uint64_t steps_to_rest_ = 0;
};

// ---- making stories

constexpr const char* kCommands[] = {"up",
                                     "up --changed",
                                     "up --changed-network",
                                     "up --recreate",
                                     "up --scale",
                                     "down",
                                     "down -v",
                                     "down --rmi",
                                     "stop",
                                     "stop one",
                                     "start",
                                     "start one",
                                     "restart",
                                     "restart one",
                                     "kill",
                                     "kill one",
                                     "rm one"};
constexpr const char* kEvents[] = {"crash", "vanish",    "lose",   "exit",     "flap",
                                   "sick",  "no-images", "slow 1", "slow 100", "slow 2000"};

// Operations that few commands come by, and how to get there.
struct Rare {
  Op op;
  std::array<const char*, 2> before;
  const char* command;
};
constexpr Rare kRare[] = {{Op::create_volume, {"down -v"}, "up"},
                          {Op::remove_volume, {"up"}, "down -v"},
                          {Op::create_network, {"down"}, "up"},
                          {Op::remove_network, {"up"}, "down"},
                          {Op::pull, {"down --rmi"}, "up"},
                          {Op::remove_image, {"up"}, "down --rmi"},
                          {Op::kill, {"up"}, "kill"},
                          {Op::restart, {"up"}, "restart"},
                          {Op::rename, {"up"}, "up --recreate"},
                          {Op::connect, {"up"}, "up --changed-network"},
                          {Op::disconnect, {"up"}, "up --changed-network"},
                          {Op::hook, {"down"}, "up"}};

template <size_t N>
std::string pick(SeededRandom& random, const char* const (&from)[N]) {
  return from[random.below(N)];
}

std::string some_fault(SeededRandom& random) {
  for (;;) {
    const Op op = static_cast<Op>(random.below(kOps));
    const Fault fault = static_cast<Fault>(random.below(kFaults));
    if (can_meet(op, fault)) return std::string(to_string(op)) + " " + to_string(fault);
  }
}

}  // namespace

Story Story::from_seed(uint64_t seed) {
  SeededRandom random(seed);
  Story story{.seed = seed, .project = static_cast<int>(random.below(kStoryProjects))};
  const size_t count = 4 + random.below(9);
  for (size_t i = 0; i < count; ++i) {
    const uint64_t kind = random.below(100);
    Act act{.steps = static_cast<int>(random.below(random.below(2) == 0 ? 8 : 80))};
    act.what = kind < 50 ? some_fault(random) : kind < 75 ? pick(random, kCommands) : pick(random, kEvents);
    if (i == 0) act.what = "up";
    // Who dies again and again shows in time whether his restarts back off.
    if (i > 0 && story.acts.back().what == "flap") act.steps += 250;
    story.acts.push_back(std::move(act));
  }
  // Faults that wait for a command need one; what seldom comes by itself is asked for.
  const Rare& rare = kRare[random.below(std::size(kRare))];
  for (const char* before : rare.before) {
    if (before != nullptr) story.acts.push_back({.steps = 60, .what = before});
  }
  story.acts.push_back(
      {.steps = 60,
       .what = std::string(to_string(rare.op)) + " " + to_string(static_cast<Fault>(random.below(kFaults)))});
  story.acts.push_back({.steps = 0, .what = rare.command});
  story.acts.push_back({.steps = 40, .what = pick(random, kCommands)});
  story.acts.push_back({.steps = 60, .what = "slow 5"});
  return story;
}

std::string Story::text() const {
  std::string text = "seed " + std::to_string(seed) + "\nproject " + std::to_string(project) + "\n";
  for (const Act& act : acts) text += std::to_string(act.steps) + " " + act.what + "\n";
  return text;
}

Result<Story> Story::parse(std::string_view text) {
  Story story;
  for (const std::string& line : split(std::string(text), '\n')) {
    if (trim(line).empty() || line.starts_with('#')) continue;
    const size_t space = line.find(' ');
    if (space == std::string::npos) return invalid("a line of a story has two parts: " + gantry::quoted(line));
    const std::string first = line.substr(0, space);
    const std::string rest = line.substr(space + 1);
    const auto number = parse_unsigned(first == "seed" || first == "project" ? rest : first);
    if (!number) return invalid("a number is missing: " + gantry::quoted(line));
    if (first == "seed")
      story.seed = *number;
    else if (first == "project")
      story.project = static_cast<int>(*number);
    else
      story.acts.push_back({.steps = static_cast<int>(*number), .what = rest});
  }
  return story;
}

void look_at_plan(Plan& plan, const ProgressSink* asked_by) {
  if (Run::told_ != nullptr) Run::told_->look_at(plan, asked_by);
}

Telling tell(const Story& story, const Mutant& mutant) { return Run(story, mutant).tell(); }

// Leaves out one act after another for as long as the story fails without it, then the waiting between them.
Story shrink(Story story, const Mutant& mutant) {
  const auto fails = [&mutant](const Story& candidate) { return !tell(candidate, mutant).violation.empty(); };
  for (bool shorter = true; shorter;) {
    shorter = false;
    for (size_t i = story.acts.size(); i-- > 0;) {
      Story candidate = story;
      candidate.acts.erase(candidate.acts.begin() + static_cast<ptrdiff_t>(i));
      if (!fails(candidate)) continue;
      story = std::move(candidate);
      shorter = true;
    }
  }
  for (Act& act : story.acts) {
    for (int fewer : {0, act.steps / 4, act.steps / 2}) {
      const int before = std::exchange(act.steps, fewer);
      if (fails(story)) break;
      act.steps = before;
    }
  }
  return story;
}

}  // namespace gantry::test
