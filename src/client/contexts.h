// Contexts: daemons by name. Kept as Docker keeps its own, below ~/.config/gantry (GANTRY_CONFIG):
//   contexts/meta/SHA256-OF-NAME/meta.json    name, description, address
//   contexts/tls/SHA256-OF-NAME/docker/*.pem  ca, cert, key
//   config.json                               {"currentContext": NAME}
// Docker's contexts (~/.docker, DOCKER_CONFIG) are read too, but which of them is Docker's current one does not matter
// here. "default" is the local daemon and always there.
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/tls.h"

namespace gantry::client {

struct Context {
  std::string name;
  std::string description;
  std::string host;
  bool skip_verify = false;        // of the server's certificate
  TlsFiles tls;                    // paths; those that are not there are empty
  bool is_dockers = false;         // read only
  std::filesystem::path metadata;  // its meta.json
};

class Contexts {
 public:
  using Environment = std::map<std::string, std::string>;
  explicit Contexts(const Environment& environment);

  // Sorted by name, without "default".
  Result<std::vector<Context>> list() const;
  // Errors: not_found, `context "x" does not exist`.
  Result<Context> find(const std::string& name) const;
  // By GANTRY_CONTEXT, DOCKER_CONTEXT, or what use() has set; "default" else.
  Result<std::string> current() const;
  // The certificates are copied. Errors: conflict if there is one of that name, invalid for the name or the address.
  Result<> create(const Context& context);
  Result<> remove(const std::string& name);
  Result<> use(const std::string& name);

 private:
  std::filesystem::path own_;
  std::filesystem::path dockers_;
  std::string from_environment_;
};

}  // namespace gantry::client
