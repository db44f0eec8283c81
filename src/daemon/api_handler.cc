#include "daemon/api_handler.h"

#include <memory>

#include "base/log.h"
#include "base/version.h"
#include "daemon/docker/answers.h"
#include "daemon/docker/routes.h"
#include "daemon/gantry/routes.h"
#include "daemon/router.h"

namespace gantry::daemon {
namespace {

// Go clients read the operating system out of Server, and most read Api-Version.
http::Headers docker_headers() {
  return {{"Server", std::string("Docker/") + kVersion + " (linux)"},
          {"Api-Version", kMaxApiVersion.to_string()},
          {"Ostype", "linux"},
          {"Docker-Experimental", "false"}};
}

std::unique_ptr<Router> make_router(World& world, engine::RegistrySettings registries) {
  auto router = std::make_unique<Router>();
  api::add_project_routes(*router, world);
  api::add_past_log_routes(*router, world);
  api::add_artifact_routes(*router, std::move(registries));
  api::add_exec_route(*router, world);
  api::add_metrics_routes(*router, world);
  docker::add_system_routes(*router, world);
  docker::add_event_routes(*router, world);
  docker::add_container_routes(*router, world);
  docker::add_container_stream_routes(*router, world);
  docker::add_container_file_routes(*router, world);
  docker::add_container_usage_routes(*router, world);
  docker::add_container_commit_routes(*router, world);
  docker::add_disk_usage_routes(*router, world);
  docker::add_exec_routes(*router, world);
  docker::add_image_transfer_routes(*router, world);
  docker::add_distribution_routes(*router, world);
  docker::add_image_routes(*router, world);
  docker::add_build_routes(*router, world);
  docker::add_network_routes(*router, world);
  docker::add_volume_routes(*router, world);
  docker::add_absent_routes(*router);
  return router;
}

// "//x?y" → "/x?y": dockerd's router sends such clients there. Nothing if the path is clean.
std::optional<std::string> without_double_slashes(const std::string& target) {
  const size_t end = std::min(target.find('?'), target.size());
  if (target.substr(0, end).find("//") == std::string::npos) return std::nullopt;
  std::string clean;
  for (size_t i = 0; i < end; ++i) {
    if (target[i] != '/' || !clean.ends_with('/')) clean += target[i];
  }
  return clean + target.substr(end);
}

void serve(const Router& router, Exchange& exchange) {
  const http::RequestHead& request = exchange.request();
  log_debug(request.method + " " + request.target);
  // A page that a browser shows may send requests to whatever it can reach (a tunnel to the socket, a published port):
  // browsers say so in these headers, which pages cannot leave out, and no other client sends them.
  for (const char* header : {"Origin", "Sec-Fetch-Site", "Sec-Fetch-Mode"}) {
    if (request.headers.find(header) == nullptr) continue;
    return docker::answer_error(exchange, Error(Code::forbidden, std::string("requests from web browsers are refused (header ") + header + ")"));
  }
  if (request.method == "OPTIONS") {
    (void)exchange.send(200, "", "").ok();
    return;
  }
  if (const std::optional<std::string> clean = without_double_slashes(request.target)) {
    exchange.add_header("Location", *clean);
    (void)exchange.send(301, "", "").ok();
    return;
  }
  Result<Router::Match> match = router.find(request.method, request.target);
  if (!match.ok()) return docker::answer_error(exchange, match.error());
  const Result<> served = (*match->handler)(exchange, match->call);
  if (served.ok()) return;
  if (exchange.answered()) {
    log_debug(request.method + " " + request.target + " ended early: " + served.error().message());
  } else {
    docker::answer_error(exchange, served.error());
  }
}

}  // namespace

HttpServer::Handler make_api_handler(World& world, engine::RegistrySettings registries) {
  set_common_headers(docker_headers());
  return [router = std::shared_ptr<Router>(make_router(world, std::move(registries)))](Exchange& exchange) { serve(*router, exchange); };
}

}  // namespace gantry::daemon
