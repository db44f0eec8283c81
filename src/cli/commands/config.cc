// config: the project as it was understood.
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <deque>
#include <utility>

#include "base/fd.h"
#include "base/strings.h"
#include "cli/commands/commands.h"
#include "cli/image_build.h"
#include "cli/image_digests.h"
#include "cli/table.h"
#include "compose/config_hash.h"

namespace gantry::cli {

namespace {

constexpr Flag kConfigFlags[] = {
    {.name = "format", .kind = FlagKind::text, .value_name = "FORMAT", .help = "yaml or json"},
    {.name = "output", .letter = 'o', .kind = FlagKind::text, .value_name = "FILE", .help = "Write to a file"},
    {.name = "quiet", .letter = 'q', .help = "Only check the files"},
    {.name = "services", .help = "Print the names of the services"},
    {.name = "volumes", .help = "Print the names of the volumes"},
    {.name = "networks", .help = "Print the names of the networks"},
    {.name = "models", .help = "Print the names of the models"},
    {.name = "profiles", .help = "Print the names of the profiles"},
    {.name = "images", .help = "Print the names of the images"},
    {.name = "hash", .kind = FlagKind::text, .value_name = "SERVICES", .help = "Print the hash of services (a,b or *)"},
    {.name = "variables", .help = "Print the variables that the files mention, with their defaults"},
    {.name = "environment", .help = "Print the environment used for variables"},
    {.name = "explain",
     .kind = FlagKind::text,
     .value_name = "PATH",
     .help = "Print what decided a value, for example services.web.environment.URL"},
    {.name = "no-interpolate", .help = "Leave variables as they are"},
    {.name = "no-normalize", .help = "Leave out defaults"},
    {.name = "no-path-resolution", .help = "Leave paths as they are"},
    {.name = "no-consistency", .help = "Don't check that parts fit together"},
    {.name = "no-env-resolution", .help = "Don't read env_file"},
    {.name = "resolve-image-digests", .help = "Name images by the digests that their registries have"},
    {.name = "lock-image-digests", .help = "Print the digests of the images alone, as an override file"},
};

template <class Map>
std::string names_of(const Map& map) {
  std::string text;
  for (const auto& [name, value] : map) text += name + "\n";
  return text;
}

std::string lines_of(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += name + "\n";
  return text;
}

std::string quoted_as_json(std::string_view text) {
  std::string out = "\"";
  for (char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    if (static_cast<unsigned char>(c) >= 0x20) out += c;
    else out += c == '\n' ? "\\n" : c == '\t' ? "\\t" : " ";
  }
  return out + '"';
}

std::string variables_as_json(const std::vector<compose::VariableUse>& variables) {
  std::string text = "{";
  for (const compose::VariableUse& variable : variables) {
    text += text.size() > 1 ? ",\n" : "\n";
    text += "    " + quoted_as_json(variable.name) + ": {\n        \"Name\": " + quoted_as_json(variable.name) +
            ",\n        \"DefaultValue\": " + quoted_as_json(variable.default_value) + ",\n        \"PresenceValue\": " +
            quoted_as_json(variable.alternative) + ",\n        \"Required\": " + (variable.required ? "true" : "false") +
            "\n    }";
  }
  return text + (variables.empty() ? "}" : "\n}");
}

std::string variables_as_yaml(const std::vector<compose::VariableUse>& variables) {
  std::string text;
  for (const compose::VariableUse& variable : variables) {
    // Texts in JSON's form are YAML, too, whatever is in them.
    text += variable.name + ":\n  name: " + variable.name + "\n  defaultvalue: " + quoted_as_json(variable.default_value) +
            "\n  presencevalue: " + quoted_as_json(variable.alternative) + "\n  required: " +
            (variable.required ? "true" : "false") + "\n";
  }
  return text.empty() ? "{}\n" : text;
}

std::string variables(const std::vector<compose::VariableUse>& variables, const std::string& format) {
  if (format == "json") return variables_as_json(variables) + "\n";
  if (format == "yaml") return variables_as_yaml(variables);
  Table table({"NAME", "REQUIRED", "DEFAULT VALUE", "ALTERNATE VALUE"});
  for (const compose::VariableUse& variable : variables) {
    table.add({variable.name, variable.required ? "true" : "false", variable.default_value, variable.alternative});
  }
  return table.text();
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
  if (arguments.on("models")) return std::optional(lines_of(result.models));
  if (arguments.given("hash")) return std::optional(TRY(hashes(project, arguments.text("hash"))));
  if (arguments.on("profiles")) return std::optional(profiles_of(project));
  if (arguments.on("images")) {
    text.emplace();
    for (const auto& [name, service] : project.services) *text += image_name(project, service) + "\n";
  } else if (arguments.on("variables")) {
    text = variables(result.variables, arguments.text("format"));
  } else if (arguments.on("environment")) {
    text.emplace();
    for (const auto& [name, value] : result.environment) *text += name + "=" + value + "\n";
  }
  return text;
}

// A selector that comes before --variables.
bool names_something(const Arguments& arguments) {
  for (const char* flag : {"services", "volumes", "networks", "models", "profiles", "images"}) {
    if (arguments.on(flag)) return true;
  }
  return arguments.given("hash");
}

std::string explanation(const compose::LoadResult& result) {
  std::string text;
  for (const compose::Diagnostic& step : result.explanation) text += compose::render(step, result.texts) + "\n";
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
  options.explain = arguments.text("explain");
  options.list_variables = arguments.on("variables") && !names_something(arguments);
  options.print_json = arguments.text("format") == "json";
  options.print_yaml = !options.print_json;
  options.bind = names_something(arguments) || arguments.on("environment");
  return options;
}

// A file that exists as long as the object.
class TemporaryFile {
 public:
  static Result<TemporaryFile> make(const std::string& text) {
    char name[] = "/tmp/compose-digests-XXXXXX.yaml";
    const Fd file(::mkostemps(name, 5, O_CLOEXEC));
    if (!file) return Error::from_errno(errno, "mkostemps", name);
    TemporaryFile made(name);
    TRY(write_all(file.get(), text));
    return made;
  }
  TemporaryFile(TemporaryFile&& other) noexcept : path_(std::exchange(other.path_, "")) {}
  TemporaryFile& operator=(TemporaryFile&&) = delete;
  ~TemporaryFile() {
    if (!path_.empty()) ::unlink(path_.c_str());
  }
  const std::string& path() const { return path_; }

 private:
  explicit TemporaryFile(std::string path) : path_(std::move(path)) {}
  std::string path_;
};

// The images by digest, as an override file. `options` then name the files and the directory that were found.
Result<std::string> image_lock(Session& session, compose::LoadOptions& options) {
  compose::LoadOptions loading = options;
  loading.print_yaml = loading.print_json = false;
  loading.bind = true;
  const auto result = TRY(session.load(loading));
  options.files = result.project->config_files;
  options.project_directory = result.project->working_dir;
  options.project_name = result.project->name;
  return lock_file(*result.project, TRY(resolved_images(session, *result.project)));
}

Result<int> config(Session& session, const Arguments& arguments) {
  const std::string format = arguments.text("format", "yaml");
  if (format != "yaml" && format != "json") return invalid("unsupported format " + gantry::quoted(format));
  compose::LoadOptions options = options_of(session, arguments);
  if (!options.interpolate && !options.services.empty()) {
    session.warn("with --no-interpolate all services are printed: those named are ignored");
    options.services.clear();
  }
  const bool locks = arguments.on("lock-image-digests");
  std::string lock;
  std::optional<TemporaryFile> override_file;
  if (locks || arguments.on("resolve-image-digests")) {
    lock = TRY(image_lock(session, options));
    // The digests come as one more file, so that everything else is printed as it always is.
    if (!locks) {
      override_file.emplace(TRY(TemporaryFile::make(lock)));
      options.files.push_back(override_file->path());
    }
  }
  // Never destroyed: the process ends with this command, and the kernel takes a large model back at once.
  static auto* const kept = new std::deque<compose::LoadResult>;
  const compose::LoadResult& result = kept->emplace_back(TRY(session.load(options)));
  if (arguments.on("quiet")) return 0;
  std::optional<std::string> other;
  if (locks) other = lock;
  if (arguments.given("explain")) other = explanation(result);
  else if (!other) other = TRY(selected(arguments, result));
  const std::string& text = other ? *other : format == "json" ? result.canonical_json : result.canonical_yaml;
  const std::string file = arguments.text("output");
  if (file.empty()) {
    session.out.write(text);
  } else {
    TRY(write_file(file, text, 0666).within("writing the output"));
  }
  return 0;
}

}  // namespace

const Command kConfig{.syntax = {.name = "config",
                                 .arguments = "[SERVICE...]",
                                 .summary = "Check the files and print the project as it was understood",
                                 .flags = kConfigFlags},
                      .run = config};

}  // namespace gantry::cli
