// /gantry/v1/artifacts: files into a registry, for `compose publish`.
#include <nlohmann/json.hpp>

#include "daemon/docker/answers.h"
#include "daemon/gantry/routes.h"
#include "engine/image/artifact.h"

namespace gantry::daemon::api {
namespace {

using nlohmann::json;

std::string text_of(const json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : "";
}

Result<engine::Artifact> artifact_of(const json& body) {
  const Error wrong = invalid("expected {\"type\": …, \"files\": [{\"media_type\": …, \"content\": …, \"annotations\": {…}}]}");
  if (!body.is_object() || !body.contains("files") || !body["files"].is_array()) return wrong;
  engine::Artifact artifact{.type = text_of(body, "type"), .has_type_member = text_of(body, "oci_version") != "1.0"};
  if (artifact.type.empty()) return wrong;
  for (const json& item : body["files"]) {
    if (!item.is_object()) return wrong;
    engine::ArtifactFile file{.media_type = text_of(item, "media_type"), .content = text_of(item, "content")};
    if (file.media_type.empty()) return wrong;
    const json annotations = item.value("annotations", json::object());
    for (const auto& [key, value] : annotations.items()) {
      if (value.is_string()) file.annotations[key] = value.get<std::string>();
    }
    artifact.files.push_back(std::move(file));
  }
  return artifact;
}

Result<> push_artifact(Exchange& exchange, const Call& call, const engine::RegistrySettings& registries) {
  const engine::Artifact artifact = TRY(artifact_of(TRY(docker::read_json(exchange))));
  const std::string auth = exchange.request().headers.get("x-registry-auth");
  const std::string digest = TRY(engine::push_artifact(call.query.get("reference"), artifact, auth, registries));
  return docker::send_json(exchange, 200, {{"digest", digest}});
}

}  // namespace

void add_artifact_routes(Router& router, engine::RegistrySettings registries) {
  router.add("POST", "/gantry/v1/artifacts", [registries = std::move(registries)](Exchange& exchange, const Call& call) {
    return push_artifact(exchange, call, registries);
  });
}

}  // namespace gantry::daemon::api
