// One repository of one registry, as the OCI distribution specification has it: manifests and blobs, both ways.
// HTTPS; HTTP as well where the settings trust a host without it. For Docker Hub the mirrors are asked first.
// Blocking. Its functions may be called from several threads, each with an HttpClient of its own.
#pragma once

#include <functional>
#include <mutex>
#include <string>

#include "base/result.h"
#include "engine/image/http_client.h"
#include "engine/image/manifest.h"
#include "engine/image/reference.h"
#include "engine/image/registry_auth.h"
#include "engine/image/registry_settings.h"

namespace gantry::engine {

class Registry {
 public:
  enum class Access { pull, push };
  // `auth`: base64 JSON as of X-Registry-Auth, "" = anonymous.
  static Result<std::unique_ptr<Registry>> open(const Reference& reference, const std::string& auth,
                                                const RegistrySettings& settings, Access access = Access::pull);

  struct ManifestAnswer {
    std::string text;
    std::string media_type;
    std::string digest;  // of the text
  };
  // `which`: a tag or a digest; a digest is checked. Errors in Docker's words: Code::not_found
  // "manifest for X:t not found: …", "pull access denied for X, …"; Code::unavailable.
  Result<ManifestAnswer> manifest(HttpClient& http, const std::string& which);
  // The digest without the text, "" if the registry does not tell.
  Result<std::string> manifest_digest(HttpClient& http, const std::string& which);

  // From byte `offset` on; the sink's `status` is 206 if the registry goes on there, 200 if it starts over.
  using Sink = std::function<Result<>(std::string_view piece, int status)>;
  Result<> blob(HttpClient& http, const Descriptor& descriptor, uint64_t offset, const Sink& sink,
                const std::function<bool()>& cancelled);

  // --- push ---
  Result<bool> has_blob(HttpClient& http, const std::string& digest);
  // Asks to take the blob over from another repository of the same registry ("" = none).
  // Returns the place to upload it to, "" if it is there now.
  Result<std::string> begin_upload(HttpClient& http, const std::string& digest, const std::string& from);
  // Sends what is missing and closes the upload. A connection that breaks is taken up where the registry stands.
  Result<> upload(HttpClient& http, std::string place, const std::string& digest, const HttpRequest::Upload& content,
                  const std::function<bool()>& cancelled);
  Result<> put_manifest(HttpClient& http, const std::string& which, const std::string& media_type,
                        const std::string& text);

  // Every tag of the repository.
  Result<std::vector<std::string>> tags(HttpClient& http);

  const Reference& reference() const { return reference_; }

 private:
  // A mirror or the registry itself.
  struct Endpoint {
    Endpoint(RegistryHost host_in, const Credentials& credentials, std::shared_ptr<TokenCache> tokens)
        : host(std::move(host_in)), authorizer(host, credentials, std::move(tokens)) {}
    RegistryHost host;
    RegistryAuthorizer authorizer;
    std::mutex mutex;
    std::string scheme;  // found out; "" = not yet
  };

  Registry(Reference reference, Access access) : reference_(std::move(reference)), access_(access) {}
  std::string scopes(const std::string& other = {}) const;
  std::string path(const std::string& rest) const { return "/v2/" + reference_.path + rest; }
  Result<HttpAnswer> send_once(HttpClient& http, Endpoint& endpoint, HttpRequest& request, const std::string& path);
  // With the answer to a challenge, and a second try for what passes by itself (429 and 5xx with their pauses).
  Result<HttpAnswer> send(HttpClient& http, Endpoint& endpoint, HttpRequest request, const std::string& path,
                          const std::string& scopes);
  Result<HttpAnswer> send_patiently(HttpClient& http, Endpoint& endpoint, const HttpRequest& request,
                                    const std::string& path);
  // Mirrors first; what none of them has or can do is asked of the registry.
  Result<HttpAnswer> get(HttpClient& http, const HttpRequest& request, const std::string& path);
  Result<uint64_t> upload_offset(HttpClient& http, std::string& place);
  Endpoint& origin() { return *endpoints_.back(); }
  std::string origin_name() const;
  Error refusal(const HttpAnswer& answer, const std::string& which) const;
  Error push_refusal(const HttpAnswer& answer, const std::string& doing) const;

  const Reference reference_;
  const Access access_;
  std::vector<std::unique_ptr<Endpoint>> endpoints_;  // the registry itself is the last
};

// Tries the credentials of `auth` on a registry ("" = Docker Hub): for login.
// Errors: Code::unauthorized "Get "https://h/v2/": unauthorized: incorrect username or password".
Result<> check_login(const std::string& server, const std::string& auth, const RegistrySettings& settings);

// The host in what users give for a server: "https://index.docker.io/v1/" → "docker.io", "https://h:5000" → "h:5000".
std::string registry_domain(const std::string& server);

}  // namespace gantry::engine
