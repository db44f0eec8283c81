#include "cli/registry_auth.h"

#include <cerrno>
#include <nlohmann/json.hpp>

#include "base/fd.h"
#include "base/strings.h"

namespace gantry::cli {

namespace {

using Json = nlohmann::json;

constexpr size_t kMaxConfig = size_t{4} << 20;
constexpr const char* kHub = "https://index.docker.io/v1/";  // Docker Hub's key in config.json

std::string text(const Json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : "";
}

// "https://ghcr.io/v2/" → "ghcr.io": old versions kept addresses.
std::string host_of(std::string key) {
  for (const char* scheme : {"https://", "http://"}) {
    if (key.starts_with(scheme)) key = key.substr(std::string_view(scheme).size());
  }
  return key.substr(0, key.find('/'));
}

const Json* entry_for(const Json& auths, const std::string& registry) {
  const std::string wanted = registry == "docker.io" ? kHub : registry;
  if (const auto found = auths.find(wanted); found != auths.end()) return &*found;
  for (const auto& [key, value] : auths.items()) {
    if (host_of(key) == registry) return &value;
  }
  return nullptr;
}

}  // namespace

std::string registry_of(std::string_view image) {
  const size_t slash = image.find('/');
  if (slash == std::string_view::npos) return "docker.io";
  const std::string_view first = image.substr(0, slash);
  const bool is_host = first == "localhost" || first.find_first_of(".:") != std::string_view::npos;
  return is_host ? std::string(first) : "docker.io";
}

Result<std::map<std::string, std::string>> registry_headers(const Session& session, std::string_view image) {
  std::map<std::string, std::string> headers;
  std::string directory = session.variable("DOCKER_CONFIG");
  if (directory.empty()) directory = session.variable("HOME") + "/.docker";
  const auto config = read_file(directory + "/config.json", kMaxConfig);
  if (!config.ok()) {
    if (config.error().errno_value() == ENOENT || config.error().errno_value() == ENOTDIR) return headers;
    return config.error();
  }
  const Json json = Json::parse(*config, nullptr, false);
  if (!json.is_object()) return invalid(directory + "/config.json is no JSON object");
  const std::string registry = registry_of(image);
  const Json auths = json.value("auths", Json::object());
  const Json* entry = auths.is_object() ? entry_for(auths, registry) : nullptr;
  if (entry == nullptr || !entry->is_object()) return headers;
  Json answer = {{"serveraddress", registry}};
  if (const std::string token = text(*entry, "identitytoken"); !token.empty()) answer["identitytoken"] = token;
  if (const auto pair = base64_decode(text(*entry, "auth")); pair && pair->find(':') != std::string::npos) {
    answer["username"] = pair->substr(0, pair->find(':'));
    answer["password"] = pair->substr(pair->find(':') + 1);
  } else if (!text(*entry, "username").empty()) {
    answer["username"] = text(*entry, "username");
    answer["password"] = text(*entry, "password");
  }
  if (answer.size() == 1) {
    return unsupported("the credentials for " + registry + " are kept by a credential helper, which is not supported: " +
                       directory + "/config.json");
  }
  headers["X-Registry-Auth"] = base64_encode(answer.dump(-1, ' ', false, Json::error_handler_t::replace));
  return headers;
}

}  // namespace gantry::cli
