// What is asked of registries without moving an image: /distribution, /auth, and the search that is not offered.
#include <nlohmann/json.hpp>

#include "base/strings.h"
#include "daemon/docker/answers.h"
#include "daemon/docker/routes.h"

namespace gantry::daemon::docker {
namespace {

using nlohmann::json;

Result<> show_distribution(Exchange& exchange, const Call& call, World& world) {
  const std::string auth = exchange.request().headers.get("x-registry-auth");
  const engine::Distribution found = TRY(world.images.distribution(call["name"], auth));
  json platforms = json::array();
  for (const engine::Distribution::Variant& platform : found.platforms) {
    json item = {{"architecture", platform.architecture}, {"os", platform.os}};
    if (!platform.variant.empty()) item["variant"] = platform.variant;
    platforms.push_back(std::move(item));
  }
  return send_json(
      exchange, 200,
      {{"Descriptor", {{"mediaType", found.media_type}, {"digest", found.digest}, {"size", found.size}}},
       {"Platforms", std::move(platforms)}});
}

// The credentials come in the body here; the store takes them in the form of X-Registry-Auth.
Result<> log_in(Exchange& exchange, const Call&, World& world) {
  const json body = TRY(read_json(exchange));
  if (!body.is_object()) return invalid("the credentials are missing");
  const auto server = body.find("serveraddress");
  const std::string address = server != body.end() && server->is_string() ? server->get<std::string>() : "";
  TRY(world.images.log_in(address, base64_encode(body.dump())));
  return send_json(exchange, 200, {{"Status", "Login Succeeded"}, {"IdentityToken", ""}});
}

// Docker Hub's search is a service of its own, outside of the registry protocol.
Result<> search(Exchange&, const Call&, World&) {
  return unsupported("searching is not offered: it is a service of Docker Hub, not of registries; use its web page");
}

}  // namespace

void add_distribution_routes(Router& router, World& world) {
  const auto add = [&](const char* method, const char* path, Result<> (*handler)(Exchange&, const Call&, World&)) {
    router.add(method, path,
               [handler, &world](Exchange& exchange, const Call& call) { return handler(exchange, call, world); });
  };
  add("GET", "/distribution/{name...}/json", show_distribution);
  add("POST", "/auth", log_in);
  add("GET", "/images/search", search);
}

}  // namespace gantry::daemon::docker
