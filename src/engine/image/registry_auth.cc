#include "engine/image/registry_auth.h"

#include <nlohmann/json.hpp>

#include "base/strings.h"
#include "engine/json_members.h"

namespace gantry::engine {
namespace {

using Json = nlohmann::json;

constexpr int64_t kTokenSeconds = 60;  // where the service does not say

// realm="https://…",service="x",scope="y"
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

}  // namespace

Credentials Credentials::parse(const std::string& header) {
  const std::optional<std::string> decoded = base64_decode(header);
  const Json root = decoded.has_value() ? Json::parse(*decoded, nullptr, false) : Json();
  Credentials credentials{.user = text_member(root, "username"),
                          .password = text_member(root, "password"),
                          .identity_token = text_member(root, "identitytoken"),
                          .registry_token = text_member(root, "registrytoken")};
  const std::string both = base64_decode(text_member(root, "auth")).value_or("");
  const size_t colon = both.find(':');
  if (credentials.user.empty() && colon != std::string::npos) {
    credentials.user = both.substr(0, colon);
    credentials.password = both.substr(colon + 1);
  }
  return credentials;
}

Challenge parse_challenge(const std::string& header) {
  const size_t space = header.find(' ');
  Challenge challenge{.kind = to_lower(header.substr(0, space))};
  if (space != std::string::npos) challenge.parameters = parse_parameters(std::string_view(header).substr(space + 1));
  return challenge;
}

RegistryAuthorizer::RegistryAuthorizer(RegistryHost host, Credentials credentials, std::shared_ptr<TokenCache> tokens)
    : host_(std::move(host)), credentials_(std::move(credentials)), tokens_(std::move(tokens)) {}

bool RegistryAuthorizer::is_anonymous() const {
  return credentials_.user.empty() && credentials_.identity_token.empty() && credentials_.registry_token.empty();
}

std::string RegistryAuthorizer::key(const std::string& scopes) const {
  const std::string who = credentials_.user + '\0' + credentials_.password + '\0' + credentials_.identity_token;
  return host_.name + " " + scopes + " " + sha256_hex(who);
}

std::string RegistryAuthorizer::header(const std::string& scopes) {
  if (!credentials_.registry_token.empty()) return "Bearer " + credentials_.registry_token;
  {
    std::lock_guard lock(mutex_);
    if (uses_basic_) return "Basic " + base64_encode(credentials_.user + ":" + credentials_.password);
  }
  const std::optional<std::string> token = tokens_->get(key(scopes));
  return token.has_value() ? "Bearer " + *token : "";
}

Result<bool> RegistryAuthorizer::answer(HttpClient& http, const std::string& text, const std::string& scopes) {
  const Challenge challenge = parse_challenge(text);
  if (challenge.kind == "basic") {
    std::lock_guard lock(mutex_);
    if (credentials_.user.empty() || uses_basic_) return false;
    uses_basic_ = true;
    return true;
  }
  if (challenge.kind != "bearer" || !credentials_.registry_token.empty()) return false;
  tokens_->forget(key(scopes));
  int64_t seconds = kTokenSeconds;
  const std::string token = TRY(fetch_token(http, challenge, scopes, seconds));
  if (token.empty()) return false;
  tokens_->put(key(scopes), token, seconds);
  return true;
}

// OAuth2, for identity tokens.
Result<HttpAnswer> RegistryAuthorizer::ask_by_post(HttpClient& http, HttpRequest request, const std::string& service,
                                                   const std::string& scopes) {
  request.method = "POST";
  request.content_type = "application/x-www-form-urlencoded";
  request.body = "grant_type=refresh_token&refresh_token=" + url_encoded(credentials_.identity_token) +
                 "&service=" + url_encoded(service) + "&client_id=gantry";
  if (!scopes.empty()) request.body += "&scope=" + url_encoded(scopes);
  return http.send(request);
}

// "" if the service refuses us: the caller reports the registry's own 401.
Result<std::string> RegistryAuthorizer::fetch_token(HttpClient& http, const Challenge& challenge,
                                                    const std::string& scopes, int64_t& seconds) {
  const auto parameter = [&](const char* name) {
    const auto found = challenge.parameters.find(name);
    return found == challenge.parameters.end() ? std::string() : found->second;
  };
  const std::string realm = parameter("realm");
  if (!realm.starts_with("https://") && !host_.may_be_plain) {
    return Error(Code::unavailable,
                 "registry " + host_.name + " wants its token from " + gantry::quoted(realm) + ", which is not https");
  }
  // The host's own certificates stand for its token service on the same machine as well.
  HttpRequest request{.url = realm, .verifies_tls = host_.verifies_tls, .tls = host_.tls};
  std::optional<HttpAnswer> answer;
  if (!credentials_.identity_token.empty()) {
    answer = TRY(ask_by_post(http, request, parameter("service"), scopes));
    const bool cannot_post = answer->status == 404 || answer->status == 405;
    if (cannot_post) answer.reset();
  }
  if (!answer.has_value()) {
    request.url += (realm.find('?') == std::string::npos ? "?" : "&") + std::string("service=") +
                   url_encoded(parameter("service"));
    for (const std::string& scope : split(scopes, ' ')) {
      if (!scope.empty()) request.url += "&scope=" + url_encoded(scope);
    }
    if (!credentials_.user.empty()) {
      request.url += "&account=" + url_encoded(credentials_.user);
      request.headers["Authorization"] = "Basic " + base64_encode(credentials_.user + ":" + credentials_.password);
    }
    answer = TRY(http.send(request));
  }
  if (answer->status >= 400 && answer->status < 500) return std::string();
  if (answer->status != 200) {
    return Error(Code::unavailable, "token service " + realm + " answered " + std::to_string(answer->status));
  }
  const Json root = Json::parse(answer->body, nullptr, false);
  std::string token = text_member(root, "token");
  if (token.empty()) token = text_member(root, "access_token");
  const bool has_control = std::any_of(token.begin(), token.end(), [](unsigned char c) { return c <= ' ' || c > 126; });
  if (token.empty() || has_control) {
    return Error(Code::unavailable, "authorization server did not include a token in the response");
  }
  if (root.contains("expires_in") && root["expires_in"].is_number()) seconds = root["expires_in"].get<int64_t>();
  return token;
}

}  // namespace gantry::engine
