#include "cli/image_digests.h"

#include <set>

#include "base/scope_exit.h"
#include "cli/api_extra.h"
#include "cli/credentials.h"

namespace gantry::cli {

Result<std::map<std::string, std::string>> resolved_images(Session& session, const compose::Project& project) {
  std::set<std::string> images;
  for (const auto& [name, service] : project.services) {
    if (!service.image.empty() && service.image.find('@') == std::string::npos) images.insert(service.image);
  }
  CredentialStore credentials(session.environment());
  client::ApiClient* api = TRY(session.api());
  const ScopeExit forget([api] { api->set_header("X-Registry-Auth", ""); });
  std::map<std::string, std::string> resolved;
  for (const std::string& image : images) {
    api->set_header("X-Registry-Auth", TRY(credentials.header(registry_of(image))));
    const std::string answer = TRY(TRY(api->request("GET", "/distribution/" + image + "/json")).ok_body());
    resolved[image] = image + "@" + TRY(parse_distribution(answer));
  }
  return resolved;
}

std::string lock_file(const compose::Project& project, const std::map<std::string, std::string>& images) {
  std::string text = "services:\n";
  for (const auto& [name, service] : project.services) {
    const auto found = images.find(service.image);
    if (found != images.end()) text += "  " + name + ":\n    image: " + found->second + "\n";
  }
  return text;
}

}  // namespace gantry::cli
