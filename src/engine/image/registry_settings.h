// How this machine talks to registries: which are trusted without TLS, mirrors of Docker Hub, certificates per host.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "engine/image/http_client.h"

namespace gantry::engine {

// Bearer tokens until they run out, by host, scopes and who asked. Any thread.
class TokenCache {
 public:
  std::optional<std::string> get(const std::string& key);
  void put(const std::string& key, const std::string& token, int64_t seconds);
  void forget(const std::string& key);

 private:
  struct Token {
    std::string text;
    int64_t expires_ms = 0;  // of the monotonic clock
  };
  std::mutex mutex_;
  std::map<std::string, Token> tokens_;
};

struct RegistrySettings {
  // "host", "host:port" or networks ("10.0.0.0/8"): HTTPS unverified, then HTTP. This machine always belongs to them.
  std::vector<std::string> insecure;
  std::vector<std::string> mirrors;  // URLs, tried in order before Docker Hub itself
  // DIR/HOST:PORT/*.crt: authorities for that host; *.cert with *.key: the client's own certificate.
  std::vector<std::filesystem::path> certificates = {"/etc/gantry/certs.d", "/etc/docker/certs.d"};
  unsigned downloads = 3;  // at once, per pull
  unsigned uploads = 5;    // at once, per push
  std::shared_ptr<TokenCache> tokens = std::make_shared<TokenCache>();

  // Errors: an entry that is no host, network or URL.
  Result<> check() const;
};

// One host to talk to.
struct RegistryHost {
  std::string name;              // "host:port"
  std::string scheme = "https";
  bool may_be_plain = false;     // HTTP is tried when HTTPS finds nobody
  bool verifies_tls = true;
  TlsFiles tls;
};

// `domain` as in a reference. Looks at the certificates' directories and, for networks, asks the resolver. Blocking.
Result<RegistryHost> describe_registry(const RegistrySettings& settings, const std::string& domain);
// A mirror, given by URL.
Result<RegistryHost> describe_mirror(const RegistrySettings& settings, const std::string& url);

}  // namespace gantry::engine
