// /gantry/v1/projects/{name}/runs: the logs of containers that were replaced or removed since the project's last `down`.
#include <nlohmann/json.hpp>

#include "base/strings.h"
#include "daemon/docker/answers.h"
#include "daemon/docker/log_request.h"
#include "daemon/gantry/routes.h"
#include "daemon/hang_up.h"
#include "engine/container/log_archive.h"

namespace gantry::daemon::api {
namespace {

using engine::LogArchive;
using engine::PastRun;
using nlohmann::json;

json to_value(const PastRun& run) {
  return {{"service", run.service},
          {"replica", run.replica},
          {"run", run.run},
          {"container_id", run.container_id},
          {"container_name", run.container_name},
          {"started_at", format_rfc3339(run.started_at)},
          {"finished_at", format_rfc3339(run.finished_at)},
          {"exit_code", run.exit_code},
          {"tty", run.tty}};
}

Result<> list_runs(Exchange& exchange, const Call& call, const LogArchive& archive) {
  json runs = json::array();
  for (const PastRun& run : archive.list(call["name"])) runs.push_back(to_value(run));
  return docker::send_json(exchange, 200, runs);
}

Result<PastRun> find(const Call& call, const LogArchive& archive) {
  for (PastRun& run : archive.list(call["name"])) {
    if (run.container_id == call["id"]) return std::move(run);
  }
  return not_found("no past run of a container " + call["id"] + " is kept for project " + gantry::quoted(call["name"]));
}

Result<> run_logs(Exchange& exchange, const Call& call, World& world, const LogArchive& archive) {
  docker::LogRequest request = TRY(docker::LogRequest::parse(call.query));
  request.options.follow = false;  // nothing comes any more
  const PastRun run = TRY(find(call, archive));
  const auto reader = TRY(engine::open_log(archive.log_of(run), request.options));
  TRY(exchange.begin(200, docker::log_content_type(run.tty)));
  const HangUpWatcher::Watch watch(world.hang_ups, exchange.socket(), [&] { reader->stop(); });
  const docker::LowPriority low;
  const engine::LogRendering rendering = request.rendering(run.tty);
  while (const std::shared_ptr<const std::string> text = TRY(reader->next_text(rendering))) TRY(exchange.write(*text));
  return exchange.end();
}

}  // namespace

void add_past_log_routes(Router& router, World& world) {
  const LogArchive archive(world.roots.data / "logs");
  router.add("GET", "/gantry/v1/projects/{name}/runs",
             [archive](Exchange& exchange, const Call& call) { return list_runs(exchange, call, archive); });
  router.add("GET", "/gantry/v1/projects/{name}/runs/{id}/logs",
             [archive, &world](Exchange& exchange, const Call& call) { return run_logs(exchange, call, world, archive); });
}

}  // namespace gantry::daemon::api
