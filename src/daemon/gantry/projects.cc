// /gantry/v1/projects: operations on whole applications. The answer is a stream of compose/progress.h's lines; a
// client that hangs up cancels its operation.
#include <nlohmann/json.hpp>

#include "compose/controller.h"
#include "compose/options_json.h"
#include "compose/plan_changes.h"
#include "compose/progress.h"
#include "daemon/docker/answers.h"
#include "daemon/gantry/leases.h"
#include "daemon/gantry/project_requests.h"
#include "daemon/gantry/routes.h"
#include "daemon/waiting.h"

namespace gantry::daemon::api {
namespace {

using compose::Controller;
using nlohmann::json;

constexpr size_t kMaxProject = 64 << 20;
constexpr size_t kMaxLease = 4096;
constexpr size_t kMaxQueuedProgress = 8 << 20;  // of a client that does not read; then counters are left out

// Hands lines from the loop to the connection's thread, which is woken once for all that one turn of the loop has to tell.
class QueueSink final : public compose::ProgressSink {
 public:
  QueueSink(std::shared_ptr<LineQueue> queue, EventLoop& loop) : queue_(std::move(queue)), loop_(loop) {}
  void progress(const compose::Progress& progress) override {
    // Only running counters may be lost: each later one says more.
    const bool droppable = progress.status == compose::Progress::Status::working && progress.total > 0;
    queue_->add(compose::to_json_line(progress), droppable);
    if (std::exchange(*will_tell_, true)) return;
    loop_.post([queue = queue_, will_tell = will_tell_] {
      *will_tell = false;
      queue->tell();
    });
  }
  void finished(const compose::Outcome& outcome) override {
    queue_->add(compose::to_json_line(outcome), false);
    queue_->close();
  }

 private:
  std::shared_ptr<LineQueue> queue_;
  EventLoop& loop_;
  std::shared_ptr<bool> will_tell_ = std::make_shared<bool>(false);
};

// Says only how an operation ended.
class EndSink final : public compose::ProgressSink {
 public:
  explicit EndSink(Function<void(bool ok)> then) : then_(std::move(then)) {}
  void progress(const compose::Progress&) override {}
  void finished(const compose::Outcome& outcome) override { then_(outcome.ok); }

 private:
  Function<void(bool ok)> then_;
};

// Tells two of an operation.
class TwoSinks final : public compose::ProgressSink {
 public:
  TwoSinks(std::shared_ptr<compose::ProgressSink> first, std::shared_ptr<compose::ProgressSink> second)
      : first_(std::move(first)), second_(std::move(second)) {}
  void progress(const compose::Progress& progress) override {
    first_->progress(progress);
    second_->progress(progress);
  }
  void finished(const compose::Outcome& outcome) override {
    first_->finished(outcome);
    second_->finished(outcome);
  }

 private:
  std::shared_ptr<compose::ProgressSink> first_;
  std::shared_ptr<compose::ProgressSink> second_;
};

// `start` runs on the loop and returns the operation.
template <class Start>
Result<> run_operation(Exchange& exchange, World& world, Start start) {
  auto queue = std::make_shared<LineQueue>(kMaxQueuedProgress);
  TRY(queue->bell().check());
  const compose::OperationId operation = world.loop.ask([&] { return start(std::make_shared<QueueSink>(queue, world.loop)); });
  const Result<> begun = exchange.begin(200, "application/x-ndjson");
  if (begun.ok() && pump(exchange, *queue)) return exchange.end();
  world.loop.ask([&] { world.controller.cancel(operation); });
  return {};
}

Result<ProjectRequest> read_request(Exchange& exchange, const Call& call) {
  return parse_project_request(TRY(exchange.read_body(kMaxProject)), call["name"]);
}

Error no_project() { return invalid("the request has no \"project\""); }

Result<> up(Exchange& exchange, const Call& call, World& world, RecentRequests& recent) {
  RecentRequests::Request request = TRY(recent.parse(TRY(exchange.read_body(kMaxProject)), call["name"]));
  compose::UpOptions options = TRY(compose::up_options_from_json(request.options));
  return run_operation(exchange, world, [&](auto sink) {
    return world.controller.up(std::move(request.project), std::move(options), std::move(sink));
  });
}

Result<> down(Exchange& exchange, const Call& call, World& world, LeaseKeeper& leases) {
  ProjectRequest request = TRY(read_request(exchange, call));
  compose::DownOptions options = TRY(compose::down_options_from_json(request.options));
  if (request.project) options.project = std::move(request.project);  // it may be part of the options
  const std::string name = call["name"];
  const bool whole = options.services.empty() && !options.dry_run;
  return run_operation(exchange, world, [&](std::shared_ptr<compose::ProgressSink> sink) {
    // A project of the same name that comes later is another one. Not before the end: a client that dies in the middle
    // of its `down` leaves the rest to the lease.
    if (const auto lease = leases.find(name); whole && lease) {
      auto drop = [&leases, name, lease](bool ok) {
        if (ok && leases.find(name) == lease) (void)leases.drop(name);
      };
      sink = std::make_shared<TwoSinks>(std::make_shared<EndSink>(std::move(drop)), std::move(sink));
    }
    return world.controller.down(name, std::move(options), std::move(sink));
  });
}

using ServiceOperation = compose::OperationId (Controller::*)(std::string, compose::ServiceOptions,
                                                              std::shared_ptr<compose::ProgressSink>);

Result<> on_services(Exchange& exchange, const Call& call, World& world, ServiceOperation operation) {
  ProjectRequest request = TRY(read_request(exchange, call));
  compose::ServiceOptions options = TRY(compose::service_options_from_json(request.options));
  if (request.project) options.project = std::move(request.project);  // it may be part of the options
  return run_operation(exchange, world, [&](auto sink) {
    return (world.controller.*operation)(call["name"], std::move(options), std::move(sink));
  });
}

Result<> run_operation(Exchange& exchange, const Call& call, World& world) {
  ProjectRequest request = TRY(read_request(exchange, call));
  if (!request.project) return no_project();
  compose::RunOptions options = TRY(compose::run_options_from_json(request.options));
  return run_operation(exchange, world, [&](auto sink) {
    return world.controller.run(*std::move(request.project), std::move(options), std::move(sink));
  });
}

Result<> plan(Exchange& exchange, const Call& call, World& world) {
  ProjectRequest request = TRY(read_request(exchange, call));
  if (!request.project) return no_project();
  compose::UpOptions options = TRY(compose::up_options_from_json(request.options));
  const compose::Plan plan = TRY(await<compose::Plan>(
      exchange, world.loop, [&world, project = *std::move(request.project), options = std::move(options)](auto reply) mutable {
        world.controller.plan(std::move(project), std::move(options), std::move(reply));
      }));
  const compose::PlanReport report{
      .changes = compose::changes_of(plan), .warnings = plan.warnings, .steps = plan.text()};
  return exchange.send(200, compose::to_json(report), "application/json");
}

Result<> timings(Exchange& exchange, const Call& call, World& world) {
  const std::string text = world.loop.ask([&] {
    const compose::Timings* timings = world.controller.timings(call["name"]);
    return timings == nullptr ? std::string() : compose::to_json(*timings);
  });
  if (text.empty()) return not_found("nothing was done to project " + gantry::quoted(call["name"]) + " since the daemon started");
  return exchange.send(200, text, "application/json");
}

// How long the project may live, from now on.
Result<> set_lease(Exchange& exchange, const Call& call, World& world, LeaseKeeper& leases) {
  const std::string text = TRY(exchange.read_body(kMaxLease));
  const Lease lease = TRY(lease_from_json(text, world.loop.clock().wall()));
  TRY(world.loop.ask([&] { return std::optional(leases.hold(call["name"], lease)); }).value_or(Result<>()));
  return exchange.send(200, "{}\n", "application/json");
}

// Held open by the client. When it goes, however it ends, the project goes: containers, networks and volumes.
Result<> lease(Exchange& exchange, const Call& call, World& world) {
  LineQueue queue(kMaxQueuedProgress);
  TRY(queue.bell().check());
  queue.push("{\"lease\":\"taken\"}\n", false);
  const Result<> begun = exchange.begin(200, "application/x-ndjson");
  if (begun.ok() && pump(exchange, queue)) return exchange.end();
  world.loop.ask([&] {
    compose::DownOptions options{.volumes = true, .remove_orphans = true, .timeout = std::chrono::seconds(0)};
    return world.controller.down(call["name"], std::move(options), nullptr);
  });
  return {};
}

Result<> list_projects(Exchange& exchange, const Call&, World& world) {
  const json answer = world.loop.ask([&world] {
    json projects = json::array();
    for (const std::string& name : world.controller.names()) {
      const compose::Project* project = world.controller.find(name);
      projects.push_back(
          {{"name", name}, {"config_files", project ? project->config_files : std::vector<std::string>()}});
    }
    return projects;
  });
  return docker::send_json(exchange, 200, answer);
}

}  // namespace

void add_project_routes(Router& router, World& world) {
  const auto add = [&](const char* method, const char* path, Result<> (*handler)(Exchange&, const Call&, World&)) {
    router.add(method, path,
               [handler, &world](Exchange& exchange, const Call& call) { return handler(exchange, call, world); });
  };
  auto leases = std::make_shared<LeaseKeeper>(
      world.loop, world.roots.data / "leases.json", [&world](const std::string& project, bool volumes, Function<void(bool)> then) {
        compose::DownOptions options{.volumes = volumes, .remove_orphans = true, .timeout = std::chrono::seconds(0)};
        world.controller.down(project, std::move(options), std::make_shared<EndSink>(std::move(then)));
      });
  const auto add_with_leases = [&](const char* method, const char* path,
                                   Result<> (*handler)(Exchange&, const Call&, World&, LeaseKeeper&)) {
    router.add(method, path, [handler, &world, leases](Exchange& exchange, const Call& call) {
      return handler(exchange, call, world, *leases);
    });
  };
  const auto add_services = [&](const char* path, ServiceOperation operation) {
    router.add("POST", path, [operation, &world](Exchange& exchange, const Call& call) {
      return on_services(exchange, call, world, operation);
    });
  };
  add("GET", "/gantry/v1/projects", list_projects);
  router.add("PUT", "/gantry/v1/projects/{name}",
             [&world, recent = std::make_shared<RecentRequests>()](Exchange& exchange, const Call& call) {
               return up(exchange, call, world, *recent);
             });
  add_with_leases("DELETE", "/gantry/v1/projects/{name}", down);
  add_with_leases("PUT", "/gantry/v1/projects/{name}/lease", set_lease);
  add("POST", "/gantry/v1/projects/{name}/run", run_operation);
  add("POST", "/gantry/v1/projects/{name}/plan", plan);
  add("GET", "/gantry/v1/projects/{name}/timings", timings);
  add("POST", "/gantry/v1/projects/{name}/lease", lease);
  add_services("/gantry/v1/projects/{name}/stop", &Controller::stop);
  add_services("/gantry/v1/projects/{name}/start", &Controller::start);
  add_services("/gantry/v1/projects/{name}/restart", &Controller::restart);
  add_services("/gantry/v1/projects/{name}/kill", &Controller::kill);
  add_services("/gantry/v1/projects/{name}/remove", &Controller::remove);
}

}  // namespace gantry::daemon::api
