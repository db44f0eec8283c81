#include "engine/image/registry.h"

#include <nlohmann/json.hpp>

#include "base/strings.h"
#include "engine/image/digest.h"

namespace gantry::engine {
namespace {

using Json = nlohmann::json;

std::string text(const Json& object, const char* key) {
  if (!object.is_object()) return "";
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

// localhost and 127.0.0.0/8 and ::1, with or without a port: Docker trusts them without TLS.
bool is_on_this_machine(const std::string& host) {
  const std::string name = host.starts_with('[') ? host.substr(1, host.find(']') - 1) : host.substr(0, host.find(':'));
  if (name == "localhost" || name == "::1") return true;
  return name.starts_with("127.") && name.find_first_not_of("0123456789.") == std::string::npos;
}

// Bearer realm="https://…",service="x",scope="y" → its parameters, names in lower case.
std::map<std::string, std::string> parse_parameters(std::string_view rest) {
  std::map<std::string, std::string> parameters;
  while (!rest.empty()) {
    const size_t start = rest.find_first_not_of(", \t");
    if (start == std::string_view::npos) break;
    rest.remove_prefix(start);
    const size_t equals = rest.find('=');
    if (equals == std::string_view::npos) break;
    const std::string name = to_lower(trim(rest.substr(0, equals)));
    rest.remove_prefix(equals + 1);
    std::string value;
    if (rest.starts_with('"')) {
      size_t at = 1;
      for (; at < rest.size() && rest[at] != '"'; ++at) {
        if (rest[at] == '\\' && at + 1 < rest.size()) ++at;
        value += rest[at];
      }
      rest.remove_prefix(std::min(at + 1, rest.size()));
    } else {
      const size_t end = std::min(rest.find(','), rest.size());
      value = trim(rest.substr(0, end));
      rest.remove_prefix(end);
    }
    parameters.emplace(name, value);
  }
  return parameters;
}

std::string url_encoded(std::string_view value) {
  static constexpr char kDigits[] = "0123456789ABCDEF";
  std::string encoded;
  for (char c : value) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
                       c == '_' || c == '.' || c == '~';
    if (plain) {
      encoded += c;
    } else {
      encoded += '%';
      encoded += kDigits[static_cast<unsigned char>(c) >> 4];
      encoded += kDigits[static_cast<unsigned char>(c) & 15];
    }
  }
  return encoded;
}

// {"errors":[{"code":"MANIFEST_UNKNOWN","message":"…"}]} → its first code and "manifest unknown: …".
struct RegistryError {
  std::string code;
  std::string shown;
};
RegistryError parse_error(const std::string& body) {
  const Json root = Json::parse(body, nullptr, false);
  if (!root.is_object() || !root.contains("errors") || !root["errors"].is_array() || root["errors"].empty()) return {};
  const Json& first = root["errors"].front();
  RegistryError error{.code = text(first, "code")};
  error.shown = to_lower(error.code);
  std::replace(error.shown.begin(), error.shown.end(), '_', ' ');
  error.shown += ": " + text(first, "message");
  return error;
}

}  // namespace

Result<std::unique_ptr<Registry>> Registry::open(const Reference& reference, const std::string& auth) {
  std::unique_ptr<Registry> registry(new Registry(reference));
  registry->host_ = reference.domain == "docker.io" ? "registry-1.docker.io" : reference.domain;
  registry->is_local_ = is_on_this_machine(reference.domain);
  if (!auth.empty()) TRY(registry->read_auth(auth));
  return registry;
}

Result<> Registry::read_auth(const std::string& auth) {
  const std::optional<std::string> decoded = base64_decode(auth);
  const Json root = decoded.has_value() ? Json::parse(*decoded, nullptr, false) : Json();
  if (!root.is_object()) return invalid("X-Registry-Auth is no base64 JSON");
  user_ = text(root, "username");
  password_ = text(root, "password");
  identity_token_ = text(root, "identitytoken");
  const std::string both = base64_decode(text(root, "auth")).value_or("");
  const size_t colon = both.find(':');
  if (user_.empty() && colon != std::string::npos) {
    user_ = both.substr(0, colon);
    password_ = both.substr(colon + 1);
  }
  const std::string token = text(root, "registrytoken");
  if (!token.empty()) authorization_ = "Bearer " + token;
  return {};
}

// One request, finding out first whether a registry on this machine speaks TLS.
Result<HttpAnswer> Registry::send(HttpClient& http, HttpRequest& request, const std::string& path) {
  std::string scheme;
  bool is_known = false;
  {
    std::lock_guard lock(mutex_);
    scheme = scheme_;
    is_known = scheme_is_known_;
    if (!authorization_.empty()) request.headers["Authorization"] = authorization_;
  }
  request.verifies_tls = !is_local_;
  request.url = scheme + "://" + host_ + path;
  Result<HttpAnswer> answer = http.get(request);
  if (!answer.ok() && is_local_ && !is_known && answer.error().code() == Code::unavailable) {
    request.url = "http://" + host_ + path;
    Result<HttpAnswer> plain = http.get(request);
    if (plain.ok() || answer.error().message().find("tls:") != std::string::npos) {
      scheme = "http";
      answer = std::move(plain);
    }
  }
  if (answer.ok()) {
    std::lock_guard lock(mutex_);
    scheme_ = scheme;
    scheme_is_known_ = true;
  }
  return answer;
}

Result<HttpAnswer> Registry::get(HttpClient& http, HttpRequest request, const std::string& path) {
  HttpAnswer answer = TRY(send(http, request, path));
  if (answer.status != 401) return answer;
  const std::string authorization = TRY(answer_challenge(http, answer.header("www-authenticate")));
  if (authorization.empty()) return answer;
  {
    std::lock_guard lock(mutex_);
    authorization_ = authorization;
  }
  return send(http, request, path);
}

Result<std::string> Registry::answer_challenge(HttpClient& http, const std::string& challenge) {
  const size_t space = challenge.find(' ');
  const std::string kind = to_lower(challenge.substr(0, space));
  const std::string basic = user_.empty() ? "" : "Basic " + base64_encode(user_ + ":" + password_);
  if (kind == "basic") return basic;
  if (kind != "bearer" || space == std::string::npos) return std::string();
  std::map<std::string, std::string> parameters = parse_parameters(std::string_view(challenge).substr(space + 1));
  const std::string realm = parameters["realm"];
  if (!realm.starts_with("https://") && !is_local_) {
    return Error(Code::unavailable,
                 "registry " + host_ + " wants its token from " + gantry::quoted(realm) + ", which is not https");
  }
  std::string scope = parameters["scope"];
  if (scope.empty()) scope = "repository:" + reference_.path + ":pull";
  HttpRequest request{.url = realm + (realm.find('?') == std::string::npos ? "?" : "&") +
                             "service=" + url_encoded(parameters["service"]) + "&scope=" + url_encoded(scope),
                      .verifies_tls = !is_local_};
  if (!user_.empty()) {
    request.headers["Authorization"] = basic;
    request.url += "&account=" + url_encoded(user_);
  }
  const HttpAnswer answer = TRY(http.get(request));
  if (answer.status == 401 || answer.status == 403) return std::string();  // the caller reports its own 401
  if (answer.status != 200) {
    return Error(Code::unavailable, "token service " + realm + " answered " + std::to_string(answer.status));
  }
  const Json root = Json::parse(answer.body, nullptr, false);
  std::string token = text(root, "token");
  if (token.empty()) token = text(root, "access_token");
  if (token.empty()) return Error(Code::unavailable, "authorization server did not include a token in the response");
  return "Bearer " + token;
}

Error Registry::refusal(const HttpAnswer& answer, const std::string& which) const {
  const RegistryError error = parse_error(answer.body);
  const std::string name = reference_.familiar_name();
  const std::string shown = which.starts_with("sha256:") ? name + "@" + which : name + ":" + which;
  if (answer.status == 401 || answer.status == 403 || error.code == "DENIED" || error.code == "UNAUTHORIZED") {
    return not_found("pull access denied for " + name + ", repository does not exist or may require 'docker login'" +
                     (error.shown.empty() ? "" : ": " + error.shown));
  }
  if (error.code == "NAME_UNKNOWN") return not_found("repository " + name + " not found: " + error.shown);
  if (answer.status == 404) {
    return not_found("manifest for " + shown +
                     " not found: " + (error.shown.empty() ? "manifest unknown: manifest unknown" : error.shown));
  }
  if (answer.status == 429) {
    return Error(Code::unavailable,
                 error.shown.empty() ? "toomanyrequests: the registry's rate limit is reached" : error.shown);
  }
  return Error(Code::unavailable, "received unexpected HTTP status " + std::to_string(answer.status) + " from " +
                                      host_ + (error.shown.empty() ? "" : ": " + error.shown));
}

Result<Registry::ManifestAnswer> Registry::manifest(HttpClient& http, const std::string& which) {
  HttpRequest request{.headers = {{"Accept", kManifestMediaTypes}}, .largest_body = kLargestManifest};
  HttpAnswer answer = TRY(get(http, request, "/v2/" + reference_.path + "/manifests/" + which));
  if (answer.status != 200) return refusal(answer, which);
  ManifestAnswer manifest{.text = std::move(answer.body)};
  manifest.digest = digest_of(manifest.text);
  manifest.media_type = answer.header("content-type");
  manifest.media_type = trim(std::string_view(manifest.media_type).substr(0, manifest.media_type.find(';')));
  const std::string announced = answer.header("docker-content-digest");
  const bool wanted_digest = which.find(':') != std::string::npos;
  if ((wanted_digest && which != manifest.digest) || (is_sha256_digest(announced) && announced != manifest.digest)) {
    return Error(Code::unavailable, "manifest verification failed for digest " + (wanted_digest ? which : announced));
  }
  return manifest;
}

Result<> Registry::blob(HttpClient& http, const Descriptor& descriptor, uint64_t offset, const Sink& sink,
                        const std::function<bool()>& cancelled) {
  HttpRequest request{.sink = sink, .cancelled = cancelled};
  if (offset > 0) request.headers["Range"] = "bytes=" + std::to_string(offset) + "-";
  const HttpAnswer answer = TRY(get(http, request, "/v2/" + reference_.path + "/blobs/" + descriptor.digest));
  if (answer.status == 200 || answer.status == 206) return {};
  const RegistryError error = parse_error(answer.body);
  return Error(answer.status == 404 ? Code::not_found : Code::internal,
               "blob " + descriptor.digest + " from " + host_ + ": " +
                   (error.shown.empty() ? "HTTP status " + std::to_string(answer.status) : error.shown));
}

}  // namespace gantry::engine
