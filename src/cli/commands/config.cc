// config: the project as it was understood.
#include <algorithm>

#include "base/strings.h"
#include "cli/commands/commands.h"
#include "cli/image_build.h"
#include "cli/table.h"
#include "compose/config_hash.h"

namespace gantry::cli {

namespace {

constexpr Flag kFlags[] = {
    {.name = "format", .kind = FlagKind::text, .value_name = "FORMAT", .help = "yaml or json"},
    {.name = "output", .letter = 'o', .kind = FlagKind::text, .value_name = "FILE", .help = "Write to a file"},
    {.name = "quiet", .letter = 'q', .help = "Only check the files"},
    {.name = "services", .help = "Print the names of the services"},
    {.name = "volumes", .help = "Print the names of the volumes"},
    {.name = "networks", .help = "Print the names of the networks"},
    {.name = "profiles", .help = "Print the names of the profiles"},
    {.name = "images", .help = "Print the names of the images"},
    {.name = "hash", .kind = FlagKind::text, .value_name = "SERVICES", .help = "Print the hash of services (a,b or *)"},
    {.name = "environment", .help = "Print the environment used for variables"},
    {.name = "no-interpolate", .help = "Leave variables as they are"},
    {.name = "no-normalize", .help = "Leave out defaults"},
    {.name = "no-path-resolution", .help = "Leave paths as they are"},
    {.name = "no-consistency", .help = "Don't check that parts fit together"},
    {.name = "no-env-resolution", .help = "Don't read env_file"},
    {.name = "models", .help = "", .refused = "models are not built yet"},
    {.name = "variables", .help = "", .refused = "listing variables is not built yet; use --no-interpolate"},
    {.name = "resolve-image-digests", .help = "", .refused = "asking registries for digests is not built yet"},
    {.name = "lock-image-digests", .help = "", .refused = "asking registries for digests is not built yet"},
};

template <class Map>
std::string names_of(const Map& map) {
  std::string text;
  for (const auto& [name, value] : map) text += name + "\n";
  return text;
}

// Dependencies first, as they are started; by name among equals.
std::string services_in_order(const compose::Project& project) {
  std::string text;
  std::set<std::string> done;
  const std::function<void(const std::string&)> visit = [&](const std::string& name) {
    const auto service = project.services.find(name);
    if (service == project.services.end() || !done.insert(name).second) return;
    for (const auto& [dependency, how] : service->second.depends_on) visit(dependency);
    text += name + "\n";
  };
  for (const auto& [name, service] : project.services) visit(name);
  return text;
}

std::string profiles_of(const compose::Project& project) {
  std::set<std::string> profiles;
  for (const auto& [name, service] : project.services) {
    profiles.insert(service.profiles.begin(), service.profiles.end());
  }
  std::string text;
  for (const std::string& profile : profiles) text += profile + "\n";
  return text;
}

Result<std::string> hashes(const compose::Project& project, const std::string& wanted) {
  std::string text;
  const auto names = wanted == "*" ? std::vector<std::string>() : split(wanted, ',');
  for (const std::string& name : names) {
    if (!project.services.contains(name)) return not_found("no such service: " + name);
  }
  for (const auto& [name, service] : project.services) {
    if (!names.empty() && std::find(names.begin(), names.end(), name) == names.end()) continue;
    text += name + " " + compose::config_hash(service) + "\n";
  }
  return text;
}

// The first selector in this order wins. Nothing: the model itself is wanted.
Result<std::optional<std::string>> selected(const Arguments& arguments, const compose::LoadResult& result) {
  const compose::Project& project = *result.project;
  std::optional<std::string> text;
  if (arguments.on("services")) return std::optional(services_in_order(project));
  if (arguments.on("volumes")) return std::optional(names_of(project.volumes));
  if (arguments.on("networks")) return std::optional(names_of(project.networks));
  if (arguments.given("hash")) return std::optional(TRY(hashes(project, arguments.text("hash"))));
  if (arguments.on("profiles")) return std::optional(profiles_of(project));
  if (arguments.on("images")) {
    text.emplace();
    for (const auto& [name, service] : project.services) *text += image_name(project, service) + "\n";
  } else if (arguments.on("environment")) {
    text.emplace();
    for (const auto& [name, value] : result.environment) *text += name + "=" + value + "\n";
  }
  return text;
}

compose::LoadOptions options_of(const Session& session, const Arguments& arguments) {
  compose::LoadOptions options = session.load_options();
  options.services = arguments.positional();
  options.interpolate = !arguments.on("no-interpolate");
  options.normalize = !arguments.on("no-normalize");
  options.resolve_paths = !arguments.on("no-path-resolution");
  options.check_consistency = !arguments.on("no-consistency");
  options.resolve_environment = !arguments.on("no-env-resolution");
  // Every declared profile is to be told, and so are the services in them.
  if (arguments.on("profiles")) options.profiles = {"*"};
  return options;
}

Result<int> config(Session& session, const Arguments& arguments) {
  const std::string format = arguments.text("format", "yaml");
  if (format != "yaml" && format != "json") return invalid("unsupported format " + gantry::quoted(format));
  const auto result = TRY(session.load(options_of(session, arguments)));
  if (arguments.on("quiet")) return 0;
  auto text = TRY(selected(arguments, result));
  if (!text) text = format == "json" ? result.canonical_json : result.canonical_yaml;
  const std::string file = arguments.text("output");
  if (file.empty()) {
    session.out.write(*text);
  } else {
    TRY(write_file(file, *text, 0666).within("writing the output"));
  }
  return 0;
}

}  // namespace

const Command kConfig{.syntax = {.name = "config",
                                 .arguments = "[SERVICE...]",
                                 .summary = "Check the files and print the project as it was understood",
                                 .flags = kFlags},
                      .run = config};

}  // namespace gantry::cli
