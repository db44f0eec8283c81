// Who we are to a registry: credentials, and the tokens that it wants for them.
// Protocol: distribution-spec's token authentication, RFC 7235 challenges.
#pragma once

#include <map>
#include <string>

#include "base/result.h"
#include "engine/image/http_client.h"
#include "engine/image/registry_settings.h"

namespace gantry::engine {

struct Credentials {
  std::string user;
  std::string password;
  std::string identity_token;  // to be exchanged for tokens
  std::string registry_token;  // a token as it is
  // X-Registry-Auth: base64 of JSON; "" and what is no JSON mean anonymous, as in Docker.
  static Credentials parse(const std::string& header);
};

struct Challenge {
  std::string kind;  // "basic", "bearer"
  std::map<std::string, std::string> parameters;  // names in lower case
};
Challenge parse_challenge(const std::string& header);

// Gives requests to one host their Authorization. Any thread.
class RegistryAuthorizer {
 public:
  RegistryAuthorizer(RegistryHost host, Credentials credentials, std::shared_ptr<TokenCache> tokens);

  // For a request that needs these scopes ("repository:x:pull", several by spaces); "" = nothing is known yet.
  std::string header(const std::string& scopes);
  // After a 401: whether header() gives something else now. Errors: the token service is out of reach.
  Result<bool> answer(HttpClient& http, const std::string& challenge, const std::string& scopes);
  bool is_anonymous() const;

 private:
  std::string key(const std::string& scopes) const;
  Result<std::string> fetch_token(HttpClient& http, const Challenge& challenge, const std::string& scopes,
                                  int64_t& seconds);
  Result<HttpAnswer> ask_by_post(HttpClient& http, HttpRequest request, const std::string& service,
                                 const std::string& scopes);

  const RegistryHost host_;
  const Credentials credentials_;
  const std::shared_ptr<TokenCache> tokens_;
  std::mutex mutex_;
  bool uses_basic_ = false;
};

}  // namespace gantry::engine
