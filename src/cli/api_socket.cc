#include "cli/api_socket.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/strings.h"
#include "cli/credentials.h"
#include "client/api_client.h"

namespace gantry::cli {

namespace {

using Json = nlohmann::json;

constexpr char kSecret[] = "#apisocket";
constexpr char kConfigDirectory[] = "/run/secrets/docker";
constexpr std::string_view kUnix = "unix://";

std::string wish_of(const compose::Service& service) { return "services." + service.name + ".use_api_socket"; }

bool wants_socket(const compose::Service& service) {
  const auto& unsupported = service.unsupported;  // what only the client can do is listed there
  return std::find(unsupported.begin(), unsupported.end(), wish_of(service)) != unsupported.end();
}

// Docker's config.json with all credentials in it, those of helper programs, too.
Result<std::string> credentials_file(const Session& session) {
  const std::string header = TRY(CredentialStore(session.environment()).header_of_all());
  const Json logins = header.empty() ? Json::object() : Json::parse(base64_decode(header).value_or("{}"), nullptr, false);
  Json auths = Json::object();
  for (const auto& [server, login] : logins.items()) {
    auths[server] = {{"auth", base64_encode(login.value("username", "") + ":" + login.value("password", ""))}};
    if (login.contains("identitytoken")) auths[server]["identitytoken"] = login["identitytoken"];
  }
  return Json{{"auths", std::move(auths)}}.dump();
}

Result<std::string> socket_path(const Session& session, const compose::Service& service) {
  const auto& globals = session.globals();
  const auto endpoint = TRY(client::Endpoint::from_environment(session.environment(), globals.host, globals.data_root,
                                                               globals.run_root, globals.connection));
  if (endpoint.host.starts_with(kUnix)) return endpoint.host.substr(kUnix.size());
  return unsupported(wish_of(service) + ": the daemon is reached at " + endpoint.host +
                     ": only a socket of this machine can be mounted");
}

}  // namespace

Result<> mount_api_socket(const Session& session, compose::Project& project) {
  for (auto& [name, service] : project.services) {
    if (!wants_socket(service)) continue;
    const std::string socket = TRY(socket_path(session, service));
    std::erase(service.unsupported, wish_of(service));
    service.volumes.push_back(
        {.type = "bind", .source = socket, .target = "/var/run/docker.sock", .has_bind = true, .create_host_path = false});
    if (!project.secrets.contains(kSecret)) {
      const std::string credentials = TRY(credentials_file(session));
      project.secrets[kSecret] = {.key = kSecret, .name = kSecret, .content = credentials};
    }
    service.secrets.push_back({.source = kSecret, .target = std::string(kConfigDirectory) + "/config.json", .mode = 0400});
    service.environment.try_emplace("DOCKER_CONFIG", kConfigDirectory);
  }
  return {};
}

}  // namespace gantry::cli
