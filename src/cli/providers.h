// Services that a program provides instead of a container (`provider:`). The program runs on this machine and tells in
// lines of JSON what it does, and which variables those get who depend on the service.
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "cli/progress_view.h"
#include "cli/session.h"
#include "compose/project.h"

namespace gantry::cli {

struct Provider {
  std::string service;
  std::string type;
  std::map<std::string, std::vector<std::string>> options;
  std::vector<std::string> needs;  // services that it depends on, directly
  friend bool operator==(const Provider&, const Provider&) = default;
};

// Takes the provided services out of the project, which the engine can do nothing for: they count as disabled, so
// that nobody takes them for unknown. Each comes after those that it depends on.
std::vector<Provider> take_providers(compose::Project& project);

// What the program may be told, by its `compose metadata`.
struct ProviderMetadata {
  struct Parameter {
    std::string name;
    bool required = false;
    friend bool operator==(const Parameter&, const Parameter&) = default;
  };
  std::vector<Parameter> up;
  std::vector<Parameter> down;
  std::optional<std::vector<Parameter>> stop;  // nothing: it is not told of a stop
};
// Nothing: the program does not describe itself, and is told everything.
std::optional<ProviderMetadata> parse_provider_metadata(std::string_view json);
// The arguments behind `compose`. Errors: a required option is missing.
Result<std::vector<std::string>> provider_arguments(const Provider& provider, const std::string& project,
                                                    const std::string& action,
                                                    const std::optional<ProviderMetadata>& metadata);

// What one run of the program set.
struct ProvidedVariables {
  std::map<std::string, std::string> own;  // dependants get them as SERVICE_NAME
  std::map<std::string, std::string> raw;  // as they are
};
// Takes in one line. → the text to be shown, "" if none. Errors: what the program calls an error, and what is no message.
Result<std::string> take_provider_line(std::string_view line, ProvidedVariables& variables);

// Gives the variables to every service that depends on the provider's; they count in its configuration as if they stood in
// the file. → the names of raw ones that replaced others
std::vector<std::string> add_variables(compose::Project& project, const Provider& provider, const ProvidedVariables& variables);

// The providers among the named services and what they depend on; no names: of the whole project, whose other services
// `project` holds.
Result<std::vector<Provider>> find_providers(const Session& session, const compose::Project& project,
                                             const std::vector<std::string>& services, bool with_dependencies);

// Runs the program to its end. `action`: up, down or stop. Errors: no such program, its failure.
Result<ProvidedVariables> run_provider(const Session& session, const Provider& provider, const std::string& project,
                                       const std::string& action, ProgressView& view);

// `up` of all of them, in order, and their variables for the project's services.
Result<> provide(Session& session, const std::vector<Provider>& providers, compose::Project& project,
                 const ProgressStyle& style);
// `down` or `stop` of all of them, the last one first.
Result<> withdraw(Session& session, const std::vector<Provider>& providers, const std::string& project,
                  const std::string& action, const ProgressStyle& style);

}  // namespace gantry::cli
