// wait: until the services' containers have ended.
#include <mutex>
#include <thread>

#include "cli/api_extra.h"
#include "cli/commands/commands.h"
#include "cli/operation.h"
#include "cli/targets.h"
#include "compose/controller.h"
#include "compose/options_json.h"

namespace gantry::cli {

namespace {

constexpr Flag kWaitFlags[] = {
    {.name = "down-project", .help = "Take the project down afterwards"},
};

// Waits on a thread and a connection each, and prints each end as it comes. → the status of the one that ended last
Result<int> wait_for_all(Session& session, const std::vector<ContainerRow>& rows) {
  std::vector<std::unique_ptr<client::ApiClient>> connections;
  for (size_t i = 0; i < rows.size(); ++i) connections.push_back(TRY(TRY(session.api())->another()));
  std::mutex mutex;
  Result<int> last = 0;
  std::vector<std::thread> threads;
  for (size_t i = 0; i < rows.size(); ++i) {
    threads.emplace_back([&, i] {
      auto answer = connections[i]->request("POST", container_path(rows[i].id, "wait"));
      auto body = answer.ok() ? std::move(*answer).ok_body() : Result<std::string>(answer.error());
      auto status = body.ok() ? parse_wait(*body) : Result<int>(body.error());
      std::lock_guard lock(mutex);
      if (status.ok()) {
        session.out.write("container " + gantry::quoted(rows[i].id) + " exited with status code " +
                          std::to_string(*status) + "\n");
      }
      last = std::move(status);
    });
  }
  for (std::thread& thread : threads) thread.join();
  return last;
}

Result<> take_down(Session& session, Session::NamedProject target) {
  const compose::DownOptions options{.remove_orphans = true, .project = std::move(target.project)};
  TRY(run_operation(session, TRY(session.progress_style("down")), "DELETE", project_path(target.name),
                    operation_body("", compose::to_json(options))));
  return {};
}

Result<int> wait(Session& session, const Arguments& arguments) {
  auto target = TRY(session.find_project(arguments.positional()));
  auto rows =
      TRY(find_containers(session, target.name, arguments.positional(), {"running", "paused", "restarting"}));
  std::erase_if(rows, [](const ContainerRow& row) { return row.one_off(); });
  if (rows.empty()) return not_found("no containers for project " + gantry::quoted(target.name));
  if (session.globals().dry_run) return 0;
  const int status = TRY(wait_for_all(session, rows));
  if (arguments.on("down-project")) TRY(take_down(session, std::move(target)));
  return status;
}

}  // namespace

const Command kWait{.syntax = {.name = "wait",
                               .arguments = "SERVICE [SERVICE...]",
                               .summary = "Wait until the containers of all services have ended",
                               .flags = kWaitFlags,
                               .least_arguments = 1},
                    .run = wait};

}  // namespace gantry::cli
