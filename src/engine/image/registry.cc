#include "engine/image/registry.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <thread>

#include "base/strings.h"
#include "engine/image/digest.h"
#include "engine/json_members.h"

namespace gantry::engine {
namespace {

using Json = nlohmann::json;

constexpr int kMostRequests = 5;
constexpr auto kFirstPause = std::chrono::milliseconds(250);  // doubles
constexpr auto kLongestPause = std::chrono::seconds(60);      // that a registry may ask for
constexpr size_t kMostTags = 10'000;

// {"errors":[{"code":"MANIFEST_UNKNOWN","message":"…"}]} → its first code and "manifest unknown: …".
struct RegistryError {
  std::string code;
  std::string shown;
};
RegistryError parse_error(const std::string& body) {
  const Json root = Json::parse(body, nullptr, false);
  if (!root.is_object() || !root.contains("errors") || !root["errors"].is_array() || root["errors"].empty()) return {};
  const Json& first = root["errors"].front();
  RegistryError error{.code = text_member(first, "code")};
  error.shown = to_lower(error.code);
  std::replace(error.shown.begin(), error.shown.end(), '_', ' ');
  error.shown += ": " + text_member(first, "message");
  return error;
}

// What the registry asks us to wait, if it is not too long.
std::optional<std::chrono::milliseconds> retry_after(const HttpAnswer& answer) {
  const std::optional<uint64_t> seconds = parse_unsigned(trim(answer.header("retry-after")));
  if (!seconds.has_value() || *seconds > static_cast<uint64_t>(kLongestPause.count())) return std::nullopt;
  return std::chrono::milliseconds(*seconds * 1000);
}

// Waits, asking now and then whether it should go on: the caller cannot call us.
Result<> pause(std::chrono::milliseconds time, const std::function<bool()>& cancelled) {
  const auto end = std::chrono::steady_clock::now() + time;
  while (std::chrono::steady_clock::now() < end) {
    if (cancelled && cancelled()) return Error(Code::cancelled, "cancelled");
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(end - std::chrono::steady_clock::now());
    std::this_thread::sleep_for(std::min<std::chrono::milliseconds>(left, std::chrono::milliseconds(200)));
  }
  return {};
}

}  // namespace

Result<std::unique_ptr<Registry>> Registry::open(const Reference& reference, const std::string& auth,
                                                 const RegistrySettings& settings, Access access) {
  std::unique_ptr<Registry> registry(new Registry(reference, access));
  const Credentials credentials = Credentials::parse(auth);
  if (reference.domain == "docker.io" && access == Access::pull) {
    for (const std::string& mirror : settings.mirrors) {
      registry->endpoints_.push_back(
          std::make_unique<Endpoint>(TRY(describe_mirror(settings, mirror)), Credentials(), settings.tokens));
    }
  }
  registry->endpoints_.push_back(
      std::make_unique<Endpoint>(TRY(describe_registry(settings, reference.domain)), credentials, settings.tokens));
  return registry;
}

std::string Registry::scopes(const std::string& other) const {
  std::string scopes = "repository:" + reference_.path + (access_ == Access::push ? ":pull,push" : ":pull");
  if (!other.empty()) scopes += " repository:" + other + ":pull";
  return scopes;
}

// One request, finding out first whether a host that may do without speaks TLS. `path` may be a whole URL.
Result<HttpAnswer> Registry::send_once(HttpClient& http, Endpoint& endpoint, HttpRequest& request,
                                       const std::string& path) {
  std::string scheme;
  {
    std::lock_guard lock(endpoint.mutex);
    scheme = endpoint.scheme;
  }
  const bool is_known = !scheme.empty();
  if (!is_known) scheme = endpoint.host.scheme;
  request.verifies_tls = endpoint.host.verifies_tls;
  request.tls = endpoint.host.tls;
  if (path.find("://") != std::string::npos) {
    request.url = path;
    return http.send(request);
  }
  request.url = scheme + "://" + endpoint.host.name + path;
  Result<HttpAnswer> answer = http.send(request);
  // Who was told which authority to trust for a host wants TLS: no way round it.
  const bool may_be_plain = endpoint.host.may_be_plain && !endpoint.host.verifies_tls;
  if (!answer.ok() && may_be_plain && !is_known && scheme == "https" &&
      answer.error().code() == Code::unavailable) {
    request.url = "http://" + endpoint.host.name + path;
    Result<HttpAnswer> plain = http.send(request);
    if (plain.ok() || !http.was_unreachable()) {
      scheme = "http";
      answer = std::move(plain);
    }
  }
  if (answer.ok()) {
    std::lock_guard lock(endpoint.mutex);
    endpoint.scheme = scheme;
  }
  return answer;
}

Result<HttpAnswer> Registry::send(HttpClient& http, Endpoint& endpoint, HttpRequest request, const std::string& path,
                                  const std::string& scopes) {
  const auto authorize = [&] {
    const std::string authorization = endpoint.authorizer.header(scopes);
    if (!authorization.empty()) request.headers["Authorization"] = authorization;
  };
  authorize();
  HttpAnswer answer = TRY(send_once(http, endpoint, request, path));
  if (answer.status != 401) return answer;
  if (!TRY(endpoint.authorizer.answer(http, answer.header("www-authenticate"), scopes))) return answer;
  authorize();
  return send_once(http, endpoint, request, path);
}

Result<HttpAnswer> Registry::send_patiently(HttpClient& http, Endpoint& endpoint, const HttpRequest& request,
                                            const std::string& path) {
  auto wait = std::chrono::duration_cast<std::chrono::milliseconds>(kFirstPause);
  for (int attempt = 1;; ++attempt) {
    Result<HttpAnswer> answer = send(http, endpoint, request, path, scopes());
    if (attempt == kMostRequests) return answer;
    std::chrono::milliseconds time = wait;
    if (answer.ok()) {
      const bool is_busy = answer->status == 429 || answer->status == 503;
      const std::optional<std::chrono::milliseconds> asked = is_busy ? retry_after(*answer) : std::nullopt;
      const bool passes = asked.has_value() || (answer->status >= 500 && answer->status != 501);
      if (!passes) return answer;
      time = asked.value_or(wait);
    } else if (answer.error().code() != Code::unavailable || http.was_unreachable()) {
      return answer;
    }
    TRY(pause(time, request.cancelled));
    wait *= 2;
  }
}

Result<HttpAnswer> Registry::get(HttpClient& http, const HttpRequest& request, const std::string& path) {
  for (size_t i = 0; i + 1 < endpoints_.size(); ++i) {
    Result<HttpAnswer> answer = send(http, *endpoints_[i], request, path, scopes());
    if (answer.ok() && (answer->status == 200 || answer->status == 206)) return answer;
    if (!answer.ok() && answer.error().code() == Code::cancelled) return answer;
  }
  return send_patiently(http, origin(), request, path);
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
    return Error(Code::exhausted,
                 error.shown.empty() ? "toomanyrequests: the registry's rate limit is reached" : error.shown);
  }
  return Error(Code::unavailable, "received unexpected HTTP status " + std::to_string(answer.status) + " from " +
                                      origin_name() + (error.shown.empty() ? "" : ": " + error.shown));
}

Result<Registry::ManifestAnswer> Registry::manifest(HttpClient& http, const std::string& which) {
  const HttpRequest request{.headers = {{"Accept", kManifestMediaTypes}}, .largest_body = kLargestManifest};
  HttpAnswer answer = TRY(get(http, request, path("/manifests/" + which)));
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

Result<std::string> Registry::manifest_digest(HttpClient& http, const std::string& which) {
  const HttpRequest request{.method = "HEAD", .headers = {{"Accept", kManifestMediaTypes}}};
  const HttpAnswer answer = TRY(get(http, request, path("/manifests/" + which)));
  if (answer.status != 200) return std::string();  // the GET that follows has the reason in its body
  const std::string digest = answer.header("docker-content-digest");
  return is_sha256_digest(digest) ? digest : std::string();
}

Result<> Registry::blob(HttpClient& http, const Descriptor& descriptor, uint64_t offset, const Sink& sink,
                        const std::function<bool()>& cancelled) {
  HttpRequest request{.sink = sink, .cancelled = cancelled};
  if (offset > 0) request.headers["Range"] = "bytes=" + std::to_string(offset) + "-";
  const std::string place = path("/blobs/" + descriptor.digest);
  HttpAnswer answer;
  for (size_t i = 0; i < endpoints_.size(); ++i) {
    Result<HttpAnswer> got = send(http, *endpoints_[i], request, place, scopes());
    const bool is_last = i + 1 == endpoints_.size();
    if (!got.ok() && (is_last || got.error().code() != Code::unavailable)) return std::move(got).error();
    if (!got.ok()) continue;
    answer = std::move(*got);
    if (answer.status == 200 || answer.status == 206) return {};
  }
  if (answer.status == 429 || answer.status == 503) {
    if (const auto asked = retry_after(answer)) TRY(pause(*asked, cancelled));
  }
  const RegistryError error = parse_error(answer.body);
  const bool passes = answer.status == 429 || (answer.status >= 500 && answer.status != 501) || answer.status == 416;
  return Error(answer.status == 404 ? Code::not_found : passes ? Code::unavailable : Code::internal,
               "blob " + descriptor.digest + " from " + origin_name() + ": " +
                   (error.shown.empty() ? "HTTP status " + std::to_string(answer.status) : error.shown));
}

Result<std::vector<std::string>> Registry::tags(HttpClient& http) {
  std::vector<std::string> tags;
  std::string next = path("/tags/list");
  while (!next.empty()) {
    const HttpAnswer answer = TRY(get(http, {}, next));
    if (answer.status != 200) return refusal(answer, "");
    const Json root = Json::parse(answer.body, nullptr, false);
    if (!root.is_object() || !root.contains("tags") || !root["tags"].is_array()) break;
    for (const Json& tag : root["tags"]) {
      if (tag.is_string()) tags.push_back(tag.get<std::string>());
      if (tags.size() > kMostTags) return Error(Code::exhausted, "repository with too many tags");
    }
    // Link: </v2/x/tags/list?n=100&last=b>; rel="next"
    const std::string link = answer.header("link");
    const size_t end = link.find('>');
    next = link.starts_with('<') && end != std::string::npos && link.find("next") != std::string::npos
               ? link.substr(1, end - 1)
               : "";
  }
  return tags;
}

std::string Registry::origin_name() const { return endpoints_.back()->host.name; }

std::string registry_domain(const std::string& server) {
  std::string name = server;
  if (const size_t at = name.find("://"); at != std::string::npos) name.erase(0, at + 3);
  name = name.substr(0, name.find('/'));
  if (name.empty() || name == "index.docker.io" || name == "registry-1.docker.io") return "docker.io";
  return name;
}

Result<> check_login(const std::string& server, const std::string& auth, const RegistrySettings& settings) {
  const RegistryHost host = TRY(describe_registry(settings, registry_domain(server)));
  RegistryAuthorizer authorizer(host, Credentials::parse(auth), settings.tokens);
  HttpClient http;
  HttpRequest request{.verifies_tls = host.verifies_tls, .tls = host.tls};
  request.url = host.scheme + "://" + host.name + "/v2/";
  Result<HttpAnswer> first = http.send(request);
  if (!first.ok() && host.may_be_plain && !host.verifies_tls) {
    request.url = "http://" + host.name + "/v2/";
    first = http.send(request);
  }
  HttpAnswer answer = TRY(std::move(first));
  if (answer.status == 401 && TRY(authorizer.answer(http, answer.header("www-authenticate"), ""))) {
    request.headers["Authorization"] = authorizer.header("");
    answer = TRY(http.send(request));
  }
  if (answer.status == 200) return {};
  if (answer.status == 401 || answer.status == 403) {
    return Error(Code::unauthorized,
                 "Get " + gantry::quoted(request.url) + ": unauthorized: incorrect username or password");
  }
  return Error(Code::unavailable, "login attempt to " + request.url + " failed with status " +
                                      std::to_string(answer.status));
}

}  // namespace gantry::engine
