#include "cli/providers.h"

#include <algorithm>
#include <set>

#include "base/fd.h"
#include "base/strings.h"
#include "cli/child_program.h"
#include "cli/operation.h"
#include "cli/json_view.h"
#include "compose/load.h"

namespace gantry::cli {

namespace {

namespace fs = std::filesystem;
using Parameters = std::vector<ProviderMetadata::Parameter>;

constexpr const char* kPluginDirectories[] = {"/usr/local/lib/docker/cli-plugins", "/usr/local/libexec/docker/cli-plugins",
                                              "/usr/lib/docker/cli-plugins", "/usr/libexec/docker/cli-plugins"};

std::optional<Provider> provider_of(const compose::Service& service) {
  if (service.canonical_json.find("\"provider\":") == std::string::npos) return std::nullopt;
  const OrderedJson json = OrderedJson::parse(service.canonical_json, nullptr, false);
  const auto found = json.is_object() ? json.find("provider") : json.end();
  if (!json.is_object() || found == json.end() || !found->is_object()) return std::nullopt;
  Provider provider{.service = service.name, .type = text_member(*found, "type")};
  const OrderedJson options = found->value("options", OrderedJson::object());
  for (const auto& [name, values] : options.items()) {
    for (const OrderedJson& value : values) provider.options[name].push_back(value.is_string() ? value.get<std::string>() : value.dump());
  }
  for (const auto& [name, dependency] : service.depends_on) provider.needs.push_back(name);
  return provider;
}

// Depth first; the loader has refused circles.
void add_in_order(const std::map<std::string, Provider>& providers, const std::string& name, std::set<std::string>& seen,
                  std::vector<Provider>& ordered) {
  const auto found = providers.find(name);
  if (found == providers.end() || !seen.insert(name).second) return;
  for (const std::string& needed : found->second.needs) add_in_order(providers, needed, seen, ordered);
  ordered.push_back(found->second);
}

Parameters parameters_of(const OrderedJson& command) {
  Parameters parameters;
  const OrderedJson list = command.is_object() ? command.value("parameters", OrderedJson::array()) : OrderedJson::array();
  for (const OrderedJson& item : list) {
    if (!item.is_object()) continue;
    parameters.push_back({.name = text_member(item, "name"), .required = item.contains("required") && item["required"] == true});
  }
  return parameters;
}

bool is_executable(const fs::path& path) {
  std::error_code problem;
  return fs::is_regular_file(path, problem) && ::access(path.c_str(), X_OK) == 0;
}

// A plug-in of Docker's command line, else a program on PATH.
Result<fs::path> program_of(const Session& session, const Provider& provider) {
  if (provider.type == "compose") return invalid("'compose' is not a valid provider type");
  std::vector<fs::path> directories;
  const std::string config = session.variable("DOCKER_CONFIG");
  directories.push_back((config.empty() ? fs::path(session.variable("HOME")) / ".docker" : fs::path(config)) / "cli-plugins");
  directories.insert(directories.end(), std::begin(kPluginDirectories), std::end(kPluginDirectories));
  for (const fs::path& directory : directories) {
    if (is_executable(directory / ("docker-" + provider.type))) return directory / ("docker-" + provider.type);
  }
  if (provider.type.find('/') != std::string::npos && is_executable(provider.type)) return fs::absolute(provider.type);
  for (const std::string& directory : split(session.variable("PATH"), ':')) {
    if (!directory.empty() && is_executable(fs::path(directory) / provider.type)) return fs::path(directory) / provider.type;
  }
  return not_found("service " + gantry::quoted(provider.service) + ": no program for provider type " +
                   gantry::quoted(provider.type) + ": looked for a plug-in docker-" + provider.type + " and on PATH");
}

std::optional<ProviderMetadata> metadata_of(const Session& session, const fs::path& program) {
  std::string text;
  const auto status = run_child({.program = program, .arguments = {"compose", "metadata"}, .environment = session.environment(),
                                 .quiet = true},
                                [&](std::string_view line) {
                                  text.append(line).append("\n");
                                  return Result<>();
                                });
  if (!status.ok() || *status != 0) return std::nullopt;
  return parse_provider_metadata(text);
}

struct ActionWords {
  const char* doing;
  const char* done;
  const char* failure;
};
ActionWords words_of(const std::string& action) {
  if (action == "up") return {"Creating", "Created", "failed to create service provider: "};
  if (action == "stop") return {"Stopping", "Stopped", "failed to stop service provider: "};
  return {"Removing", "Removed", "failed to remove service provider: "};
}

}  // namespace

std::vector<Provider> take_providers(compose::Project& project) {
  std::map<std::string, Provider> found;
  for (const auto& [name, service] : project.services) {
    if (auto provider = provider_of(service)) found.emplace(name, std::move(*provider));
  }
  std::vector<Provider> ordered;
  std::set<std::string> seen;
  for (const auto& [name, provider] : found) {
    project.services.erase(name);
    project.disabled_services.push_back(name);
    add_in_order(found, name, seen, ordered);
  }
  return ordered;
}

std::optional<ProviderMetadata> parse_provider_metadata(std::string_view text) {
  const OrderedJson json = OrderedJson::parse(text, nullptr, false);
  if (!json.is_object() || !json.contains("up")) return std::nullopt;
  ProviderMetadata metadata{.up = parameters_of(json["up"]), .down = parameters_of(json.value("down", OrderedJson())), .stop = {}};
  if (json.contains("stop")) metadata.stop = parameters_of(json["stop"]);
  return metadata;
}

Result<std::vector<std::string>> provider_arguments(const Provider& provider, const std::string& project,
                                                    const std::string& action,
                                                    const std::optional<ProviderMetadata>& metadata) {
  std::vector<std::string> arguments = {"compose", "--project-name=" + project, action};
  const Parameters* known = nullptr;
  if (metadata) known = action == "up" ? &metadata->up : action == "stop" && metadata->stop ? &*metadata->stop : &metadata->down;
  if (known != nullptr) {
    for (const auto& parameter : *known) {
      if (!parameter.required || provider.options.contains(parameter.name)) continue;
      return invalid("required parameter " + gantry::quoted(parameter.name) + " is missing from provider " +
                     gantry::quoted(provider.type) + " definition");
    }
  }
  for (const auto& [name, values] : provider.options) {
    const auto is_this = [&, &name = name](const auto& parameter) { return parameter.name == name; };
    if (known != nullptr && std::none_of(known->begin(), known->end(), is_this)) continue;
    for (const std::string& value : values) arguments.push_back("--" + name + "=" + value);
  }
  arguments.push_back(provider.service);
  return arguments;
}

Result<std::string> take_provider_line(std::string_view line, ProvidedVariables& variables) {
  const OrderedJson json = OrderedJson::parse(line, nullptr, false);
  if (!json.is_object()) return invalid("it wrote what is no JSON message: " + gantry::quoted(line.substr(0, 200)));
  const std::string type = text_member(json, "type");
  const std::string message = text_member(json, "message");
  if (type == "info") return message;
  if (type == "debug") return std::string();
  if (type == "error") return internal_error(message);
  if (type != "setenv" && type != "rawsetenv") return invalid("it wrote a message of an unknown type " + gantry::quoted(type));
  const size_t equals = message.find('=');
  if (equals == std::string::npos || equals == 0) {
    return invalid("it wrote a variable that is no NAME=VALUE: " + gantry::quoted(message));
  }
  (type == "setenv" ? variables.own : variables.raw)[message.substr(0, equals)] = message.substr(equals + 1);
  return std::string();
}

std::vector<std::string> add_variables(compose::Project& project, const Provider& provider,
                                       const ProvidedVariables& variables) {
  std::string prefix;
  for (const char c : provider.service) prefix += c == '-' || c == '.' ? '_' : static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  std::map<std::string, std::string> all = variables.raw;
  for (const auto& [name, value] : variables.own) all[prefix + "_" + name] = value;
  std::vector<std::string> replaced;
  if (all.empty()) return replaced;
  for (auto& [service_name, service] : project.services) {
    if (!service.depends_on.contains(provider.service)) continue;
    OrderedJson json = OrderedJson::parse(service.canonical_json, nullptr, false);
    if (!json["environment"].is_object()) json["environment"] = OrderedJson::object();
    for (const auto& [name, value] : all) {
      if (variables.raw.contains(name) && service.environment.contains(name)) replaced.push_back(name);
      service.environment[name] = value;
      json["environment"][name] = value;
    }
    service.canonical_json = json.dump(-1, ' ', false, OrderedJson::error_handler_t::replace);
  }
  return replaced;
}

Result<std::vector<Provider>> find_providers(const Session& session, const compose::Project& project,
                                             const std::vector<std::string>& services, bool with_dependencies) {
  if (project.disabled_services.empty()) return std::vector<Provider>();  // where take_providers() left them
  compose::LoadOptions options = session.load_options();
  options.services = services;
  options.with_dependencies = with_dependencies;
  options.print_yaml = options.print_json = false;
  compose::LoadResult whole = compose::load(options);  // its warnings have been told
  if (!whole.ok()) return internal_error("the files have changed meanwhile");
  return take_providers(*whole.project);
}

Result<ProvidedVariables> run_provider(const Session& session, const Provider& provider, const std::string& project,
                                       const std::string& action, ProgressView& view) {
  using Status = compose::Progress::Status;
  const ActionWords words = words_of(action);
  const auto tell = [&](Status status, const std::string& text, const std::string& details = {}) {
    view.show({.resource = compose::Progress::Resource::service,
               .name = provider.service,
               .service = provider.service,
               .status = status,
               .text = text,
               .details = details});
  };
  ProvidedVariables variables;
  const auto run = [&]() -> Result<> {
    const fs::path program = TRY(program_of(session, provider));
    const auto metadata = metadata_of(session, program);
    if (action == "stop" && !(metadata && metadata->stop)) return {};
    const auto arguments = TRY(provider_arguments(provider, project, action, metadata));
    tell(Status::working, words.doing);
    const int status = TRY(run_child({.program = program, .arguments = arguments, .environment = session.environment()},
                                     [&](std::string_view line) -> Result<> {
                                       const std::string text = TRY(take_provider_line(line, variables));
                                       if (!text.empty()) tell(Status::working, text);
                                       return {};
                                     }));
    if (status != 0) return internal_error("exit status " + std::to_string(status));
    tell(Status::done, words.done);
    return {};
  };
  if (auto ran = run(); !ran.ok()) {
    tell(Status::error, "Error", ran.error().message());
    return Error(ran.error().code(), words.failure + ran.error().message());
  }
  return variables;
}

Result<> provide(Session& session, const std::vector<Provider>& providers, compose::Project& project,
                 const ProgressStyle& style) {
  if (providers.empty()) return {};
  OperationView drawing(style, session);
  for (const Provider& provider : providers) {
    const auto variables = TRY(run_provider(session, provider, project.name, "up", drawing.view()));
    for (const std::string& name : add_variables(project, provider, variables)) {
      session.warn("provider " + gantry::quoted(provider.service) + " overrides variable " + gantry::quoted(name));
    }
  }
  return {};
}

Result<> withdraw(Session& session, const std::vector<Provider>& providers, const std::string& project,
                  const std::string& action, const ProgressStyle& style) {
  if (providers.empty()) return {};
  OperationView drawing(style, session);
  for (auto provider = providers.rbegin(); provider != providers.rend(); ++provider) {
    TRY(run_provider(session, *provider, project, action, drawing.view()));
  }
  return {};
}

}  // namespace gantry::cli
