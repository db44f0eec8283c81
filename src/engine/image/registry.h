// One repository of one registry, read only, as the OCI distribution specification has it: manifests and blobs, with
// the Bearer token exchange that registries ask for. HTTPS; HTTP as well for registries on this machine.
// Blocking. `manifest` and `blob` may be called from several threads, each with an HttpClient of its own.
#pragma once

#include <functional>
#include <mutex>
#include <string>

#include "base/result.h"
#include "engine/image/http_client.h"
#include "engine/image/manifest.h"
#include "engine/image/reference.h"

namespace gantry::engine {

class Registry {
 public:
  // `auth`: base64 JSON as of X-Registry-Auth, "" = anonymous.
  static Result<std::unique_ptr<Registry>> open(const Reference& reference, const std::string& auth);

  struct ManifestAnswer {
    std::string text;
    std::string media_type;
    std::string digest;  // of the text
  };
  // `which`: a tag or a digest; a digest is checked. Errors in Docker's words: Code::not_found
  // "manifest for X:t not found: …", "pull access denied for X, …"; Code::unavailable.
  Result<ManifestAnswer> manifest(HttpClient& http, const std::string& which);

  // From byte `offset` on; the sink's `status` is 206 if the registry goes on there, 200 if it starts over.
  using Sink = std::function<Result<>(std::string_view piece, int status)>;
  Result<> blob(HttpClient& http, const Descriptor& descriptor, uint64_t offset, const Sink& sink,
                const std::function<bool()>& cancelled);

 private:
  explicit Registry(Reference reference) : reference_(std::move(reference)) {}
  Result<> read_auth(const std::string& auth);
  Result<HttpAnswer> get(HttpClient& http, HttpRequest request, const std::string& path);
  Result<HttpAnswer> send(HttpClient& http, HttpRequest& request, const std::string& path);
  // After a 401: what the challenge asks for, as the value of Authorization.
  Result<std::string> answer_challenge(HttpClient& http, const std::string& challenge);
  Error refusal(const HttpAnswer& answer, const std::string& which) const;

  Reference reference_;
  std::string host_;
  bool is_local_ = false;
  std::mutex mutex_;  // of what follows
  std::string scheme_ = "https";
  bool scheme_is_known_ = false;
  std::string authorization_;  // for requests, once it is known
  std::string user_;
  std::string password_;
  std::string identity_token_;
};

}  // namespace gantry::engine
