// Registry credentials as Docker's tools keep them: ~/.docker/config.json (or $DOCKER_CONFIG), with credential
// helpers (docker-credential-NAME programs). What is sent is the value of X-Registry-Auth. One thread.
#pragma once

#include <filesystem>
#include <map>
#include <string>

#include "base/result.h"

namespace gantry::cli {

struct RegistryLogin {
  std::string user;
  std::string password;
  std::string identity_token;
  std::string registry_token;
  bool empty() const { return user.empty() && identity_token.empty() && registry_token.empty(); }
};

class CredentialStore {
 public:
  // `environment`: DOCKER_CONFIG, HOME, PATH are looked at. Nothing is read before the first call.
  explicit CredentialStore(const std::map<std::string, std::string>& environment);

  // For the registry of an image ("host:5000", "docker.io"); empty if there is none. credHelpers before credsStore
  // before what the file itself holds. Errors: a file that is no JSON, a helper that fails.
  Result<RegistryLogin> find(const std::string& domain);
  // Base64 of the JSON that the API wants; "" without credentials.
  Result<std::string> header(const std::string& domain);
  // All of them, for builds: X-Registry-Config.
  Result<std::string> header_of_all();

  // Replaces what was there for this server. Returns where it was put, for a warning about plain text.
  Result<std::filesystem::path> store(const std::string& server, const RegistryLogin& login);
  // False: there was none.
  Result<bool> erase(const std::string& server);

  const std::filesystem::path& file() const { return file_; }
  // The helper that store() uses for this server; "" = the file itself.
  Result<std::string> helper_for(const std::string& server);

 private:
  Result<std::string> run_helper(const std::string& helper, const std::string& action, const std::string& input);
  Result<RegistryLogin> ask_helper(const std::string& helper, const std::string& server);

  std::map<std::string, std::string> environment_;
  std::filesystem::path file_;
};

// The registry's name in an image reference: "docker.io" for Docker Hub.
std::string registry_of(const std::string& image);
// As the file names it: "https://index.docker.io/v1/" for Docker Hub.
std::string server_key(const std::string& domain);
std::string auth_header(const RegistryLogin& login, const std::string& server);

}  // namespace gantry::cli
