// /containers/{id}/{stats,top}: what runs in a container and what it uses.
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <nlohmann/json.hpp>
#include <set>

#include "base/strings.h"
#include "daemon/docker/answers.h"
#include "daemon/docker/lookups.h"
#include "daemon/docker/process_table.h"
#include "daemon/docker/routes.h"
#include "daemon/docker/stats_json.h"
#include "daemon/waiting.h"
#include "engine/container/container_usage.h"

extern char** environ;

namespace gantry::daemon::docker {
namespace {

using engine::ContainerDetails;
using engine::ContainerState;
using nlohmann::json;

constexpr std::chrono::seconds kSamplePeriod{1};  // what clients take for granted when they compute rates

bool is_up(const ContainerDetails& container) {
  const ContainerState state = container.observed.state;
  return container.pid != 0 && (state == ContainerState::running || state == ContainerState::paused);
}

// Nothing while the container does not run.
Result<std::optional<StatsSample>> take_sample(World& world, const ContainerDetails& container) {
  if (!is_up(container)) return std::optional<StatsSample>();
  const auto kind = container.spec.network_mode.kind;
  const bool own_network = kind == engine::NetworkMode::Kind::networks || kind == engine::NetworkMode::Kind::none;
  StatsSample sample;
  sample.time = world.loop.clock().wall();
  sample.usage = TRY(engine::read_usage(container.pid, own_network));
  sample.system_cpu_ns = TRY(engine::read_system_cpu());
  return std::optional(std::move(sample));
}

// True after `period`; false if the client has gone.
bool pause_for(int client, std::chrono::milliseconds period) {
  const auto end = std::chrono::steady_clock::now() + period;
  for (;;) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(end - std::chrono::steady_clock::now());
    if (left.count() <= 0) return true;
    pollfd wait{.fd = client, .events = POLLRDHUP, .revents = 0};
    const int ready = ::poll(&wait, 1, static_cast<int>(left.count()));
    if (ready < 0 && errno != EINTR) return false;
    if (ready > 0) return false;
  }
}

Result<> stats(Exchange& exchange, const Call& call, World& world) {
  const bool stream = call.query.flag("stream", true);
  const bool one_shot = call.query.flag("one-shot");
  if (call.query.has("stream") && stream && one_shot) return invalid("cannot have stream=true and one-shot=true");
  ContainerDetails container = TRY(inspect_container(world, call["id"]));
  const std::string id = container.observed.id.str();
  const bool repeat = stream && !one_shot;
  std::optional<StatsSample> before;
  if (!repeat && !one_shot) {
    // A rate needs two samples.
    before = TRY(take_sample(world, container));
    if (before && !pause_for(exchange.socket(), kSamplePeriod)) return Error(Code::cancelled, "the client has gone");
    container = TRY(inspect_container(world, id));
  }
  if (!repeat) {
    const std::optional<StatsSample> sample = TRY(take_sample(world, container));
    return send_json(exchange, 200, stats_json(container, sample, before));
  }
  TRY(exchange.begin(200, kJson));
  for (;;) {
    Result<std::optional<StatsSample>> sample = take_sample(world, container);
    if (!sample.ok()) sample = std::optional<StatsSample>();  // it has ended this very moment
    if (!exchange.write(to_line(stats_json(container, *sample, before))).ok()) return {};
    before = std::move(*sample);
    if (!pause_for(exchange.socket(), kSamplePeriod)) return {};
    Result<ContainerDetails> again = inspect_container(world, id);
    if (!again.ok()) return exchange.end();  // removed
    container = *std::move(again);
  }
}

// The host's ps, as dockerd asks it: whatever format the user wants, ps has it.
Result<std::string> run_ps(const std::vector<std::string>& arguments) {
  std::vector<std::string> words = {"ps"};
  words.insert(words.end(), arguments.begin(), arguments.end());
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  Pipe out = TRY(make_pipe());
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  ::posix_spawn_file_actions_adddup2(&actions, out.write.get(), 1);
  ::posix_spawn_file_actions_adddup2(&actions, out.write.get(), 2);
  pid_t pid = 0;
  const int failure = ::posix_spawnp(&pid, "ps", &actions, nullptr, argv.data(), environ);
  ::posix_spawn_file_actions_destroy(&actions);
  if (failure != 0) {
    return internal_error(std::string("top needs the program ps on this machine: ") + std::strerror(failure));
  }
  out.write.reset();
  Result<std::string> text = read_all(out.read.get(), 64 << 20);
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  if (!text.ok()) return text;
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
    return internal_error("ps: " + std::string(trim(text->substr(0, text->find('\n')))));
  }
  return text;
}

Result<> top(Exchange& exchange, const Call& call, World& world) {
  const std::string asked = call.query.get("ps_args");
  const std::vector<std::string> arguments = TRY(parse_ps_arguments(asked.empty() ? "-ef" : asked));
  const ContainerDetails container = TRY(inspect_container(world, call["id"]));
  const std::string& id = container.observed.id.str();
  if (container.observed.state == ContainerState::restarting) {
    return conflict("container " + id + " is restarting, wait until the container is running");
  }
  if (!is_up(container)) return conflict("container " + id + " is not running");
  const std::vector<int> members = TRY(engine::container_processes(container.pid));
  const ProcessTable table = TRY(parse_ps_output(TRY(run_ps(arguments)), {members.begin(), members.end()}));
  world.loop.post([&world, id = container.observed.id] { world.engine.emit_about(id, "top", {}); });
  return send_json(exchange, 200, {{"Titles", table.titles}, {"Processes", table.rows}});
}

}  // namespace

void add_container_usage_routes(Router& router, World& world) {
  router.add("GET", "/containers/{id}/stats",
             [&world](Exchange& exchange, const Call& call) { return stats(exchange, call, world); });
  router.add("GET", "/containers/{id}/top",
             [&world](Exchange& exchange, const Call& call) { return top(exchange, call, world); });
}

}  // namespace gantry::daemon::docker
