// What a single machine without a cluster, plug-ins and experiments answers: the same as a dockerd that has them off.
#include <nlohmann/json.hpp>

#include "daemon/docker/answers.h"
#include "daemon/docker/routes.h"

namespace gantry::daemon::docker {
namespace {

Error no_manager() {
  return {Code::unavailable,
          "This node is not a swarm manager. Use \"docker swarm init\" or \"docker swarm join\" to connect this node to "
          "swarm and try again."};
}

void refuse(Router& router, const char* method, const char* path, Error error) {
  router.add(method, path, [error = std::move(error)](Exchange&, const Call&) -> Result<> { return error; });
}

void add_swarm(Router& router) {
  refuse(router, "POST", "/swarm/leave", {Code::unavailable, "This node is not part of a swarm"});
  const Error none = unsupported("Gantry runs on one machine: it makes and joins no swarm");
  refuse(router, "POST", "/swarm/init", none);
  refuse(router, "POST", "/swarm/join", none);
  for (const char* path : {"/swarm", "/swarm/unlockkey", "/nodes", "/services", "/tasks", "/secrets", "/configs"}) {
    refuse(router, "GET", path, no_manager());
  }
  for (const char* path : {"/swarm/update", "/swarm/unlock", "/services/create", "/secrets/create", "/configs/create"}) {
    refuse(router, "POST", path, no_manager());
  }
  for (const char* kind : {"nodes", "services", "tasks", "secrets", "configs"}) {
    const std::string path = std::string("/") + kind + "/{id}";
    refuse(router, "GET", path.c_str(), no_manager());
    refuse(router, "DELETE", path.c_str(), no_manager());
    refuse(router, "POST", (path + "/update").c_str(), no_manager());
    refuse(router, "GET", (path + "/logs").c_str(), no_manager());
  }
}

void add_plugins(Router& router) {
  const auto empty = [](Exchange& exchange, const Call&) { return send_json(exchange, 200, nlohmann::json::array()); };
  router.add("GET", "/plugins", empty);
  router.add("GET", "/plugins/privileges", empty);
  const auto unknown = [](Exchange&, const Call& call) -> Result<> {
    return not_found("plugin \"" + call["name"] + "\" not found");
  };
  router.add("GET", "/plugins/{name...}/json", unknown);
  router.add("DELETE", "/plugins/{name...}", unknown);
  for (const char* action : {"enable", "disable", "upgrade", "push", "set"}) {
    router.add("POST", std::string("/plugins/{name...}/") + action, unknown);
  }
  refuse(router, "POST", "/plugins/pull", unsupported("Gantry has no plug-ins"));
  refuse(router, "POST", "/plugins/create", unsupported("Gantry has no plug-ins"));
}

void add_checkpoints(Router& router) {
  const Error experimental = unsupported(
      "This experimental feature is disabled by default. Start the Docker daemon in experimental mode in order to "
      "enable it.");
  refuse(router, "GET", "/containers/{id}/checkpoints", experimental);
  refuse(router, "POST", "/containers/{id}/checkpoints", experimental);
  refuse(router, "DELETE", "/containers/{id}/checkpoints/{checkpoint}", experimental);
}

}  // namespace

void add_absent_routes(Router& router) {
  add_swarm(router);
  add_plugins(router);
  add_checkpoints(router);
}

}  // namespace gantry::daemon::docker
