#include "compose/files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>

#include "base/fd.h"
#include "base/strings.h"
#include "compose/dotenv.h"
#include "compose/env_files.h"
#include "compose/values.h"
#include "compose/yaml_tree.h"

namespace gantry::compose {
namespace {

constexpr std::array kNames = {"compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml"};
constexpr std::array kOverrides = {"compose.override.yml", "compose.override.yaml", "docker-compose.override.yml",
                                   "docker-compose.override.yaml"};

bool is_file(const std::string& path) {
  struct stat status {};
  return ::stat(path.c_str(), &status) == 0 && !S_ISDIR(status.st_mode);
}

// Without a byte order mark, and in UTF-8 where the mark says UTF-16.
std::string to_utf8(std::string text) {
  if (text.starts_with("\xEF\xBB\xBF")) return text.substr(3);
  bool little = text.starts_with("\xFF\xFE");
  if (!little && !text.starts_with("\xFE\xFF")) return text;
  auto unit = [&](size_t at) {
    auto first = static_cast<unsigned char>(text[at]), second = static_cast<unsigned char>(text[at + 1]);
    return static_cast<uint32_t>(little ? second << 8 | first : first << 8 | second);
  };
  std::string out;
  for (size_t at = 2; at + 1 < text.size(); at += 2) {
    uint32_t c = unit(at);
    if (c >= 0xD800 && c < 0xDC00 && at + 3 < text.size()) {
      c = 0x10000 + ((c - 0xD800) << 10) + (unit(at + 2) - 0xDC00);
      at += 2;
    }
    append_utf8(out, c);
  }
  return out;
}

Result<std::string> read_all(int fd, const std::string& name) {
  std::string text;
  char buffer[1 << 16];
  for (;;) {
    ssize_t count = ::read(fd, buffer, sizeof buffer);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return Error::from_errno(errno, "read", name);
    if (count == 0) return to_utf8(std::move(text));
    text.append(buffer, static_cast<size_t>(count));
    if (text.size() > kLargestFile) return invalid(name + ": larger than 64 MiB");
  }
}

bool truthy(const std::string& text) {
  std::string lower = to_lower(text);
  return lower == "1" || lower == "t" || lower == "true" || lower == "y" || lower == "yes";
}

class Finder {
 public:
  Finder(const LoadOptions& options, Report& report) : options_(options), report_(report) {}

  Result<Inputs> run() {
    inputs_.working_dir = TRY(current_directory());
    for (const auto& [key, value] : options_.environment) inputs_.environment.emplace(key, value);
    TRY(read_first_env_files());
    std::vector<std::string> paths = TRY(choose_files());
    if (inputs_.project_dir.empty()) inputs_.project_dir = inputs_.working_dir;
    TRY(read_default_env_file(inputs_.project_dir));
    for (const std::string& path : paths) TRY(read_input(path));
    TRY(choose_name());
    choose_profiles();
    return std::move(inputs_);
  }

 private:
  const std::string* variable(std::string_view name) const {
    auto found = inputs_.environment.find(name);
    return found == inputs_.environment.end() ? nullptr : &found->second;
  }

  Result<std::string> current_directory() const {
    if (!options_.working_dir.empty()) return clean_path(options_.working_dir);
    char buffer[4096];
    if (::getcwd(buffer, sizeof buffer) == nullptr) return Error::from_errno(errno, "getcwd");
    return std::string(buffer);
  }

  std::string home() const {
    const std::string* home = variable("HOME");
    return home == nullptr ? "" : *home;
  }

  // --project-directory, else the directory of the first -f, else the current one.
  std::string early_directory() const {
    if (!options_.project_directory.empty()) return absolute_path(inputs_.working_dir, options_.project_directory);
    for (const std::string& file : options_.files) {
      if (file != "-") return directory_of(absolute_path(inputs_.working_dir, file));
    }
    return inputs_.working_dir;
  }

  Result<> read_first_env_files() {
    std::vector<std::string> given = options_.env_files;
    if (const std::string* list = variable("COMPOSE_ENV_FILES"); given.empty() && list != nullptr && !list->empty()) {
      for (const std::string& name : split(*list, ',')) given.emplace_back(trim(name));
    }
    if (given.empty()) return read_default_env_file(early_directory());
    // Later files win over earlier ones, but not over the process's variables.
    explicit_ = true;
    FileVariables collected;
    for (const std::string& name : given) {
      std::string path = name.starts_with("~/") && !home().empty() ? home() + name.substr(1) : name;
      path = absolute_path(inputs_.working_dir, path);
      if (path != "/dev/null" && !is_file(path)) return not_found("couldn't find env file: " + path);
      inputs_.env_files.push_back(path);
      collected.override_with(TRY(read_env_file(path, shown_path(inputs_.working_dir, path),
                                                lookup_in(inputs_.environment), collected.values, report_)));
    }
    collected.add_to(inputs_.environment, inputs_.origins);
    return {};
  }

  Result<> read_default_env_file(const std::string& directory) {
    auto disable = options_.environment.find("COMPOSE_DISABLE_ENV_FILE");
    if (explicit_ || (disable != options_.environment.end() && truthy(disable->second))) return {};
    std::string path = directory + "/.env";
    if (path == default_read_ || !is_file(path)) return {};
    if (default_read_.empty()) default_read_ = path;
    FileVariables found = TRY(read_env_file(path, shown_path(inputs_.working_dir, path),
                                            lookup_in(inputs_.environment), {}, report_));
    found.add_to(inputs_.environment, inputs_.origins);
    return {};
  }

  Result<std::vector<std::string>> choose_files() {
    std::vector<std::string> named = options_.files;
    if (named.empty()) {
      if (const std::string* list = variable("COMPOSE_FILE"); list != nullptr && !list->empty()) {
        const std::string* separator = variable("COMPOSE_PATH_SEPARATOR");
        named = split(*list, separator == nullptr || separator->empty() ? ':' : (*separator)[0]);
      }
    }
    if (named.empty()) return search();
    std::vector<std::string> paths;
    for (const std::string& name : named) {
      if (std::string why = why_not_a_path(name); !why.empty()) return invalid(why);
      std::string path = name == "-" ? "-" : absolute_path(inputs_.working_dir, name);
      if (path != "-" && inputs_.project_dir.empty()) inputs_.project_dir = directory_of(path);
      paths.push_back(std::move(path));
    }
    if (!options_.project_directory.empty()) inputs_.project_dir = early_directory();
    return paths;
  }

  // Upwards from the project directory to the first folder with a compose file.
  Result<std::vector<std::string>> search() {
    std::string start = early_directory();
    for (std::string directory = start;; directory = directory_of(directory)) {
      std::string file = one_of(directory, kNames);
      if (!file.empty()) {
        std::vector<std::string> paths{file};
        std::string override_file = one_of(directory, kOverrides);
        if (!override_file.empty()) paths.push_back(override_file);
        inputs_.project_dir = options_.project_directory.empty() ? directory : start;
        return paths;
      }
      if (directory == "/") break;
    }
    return not_found("no configuration file provided: not found: neither " + start +
                     " nor a directory above it has a compose.yaml; name one with -f");
  }

  template <size_t N>
  std::string one_of(const std::string& directory, const std::array<const char*, N>& names) {
    std::vector<std::string> found;
    for (const char* name : names) {
      std::string path = (directory == "/" ? "" : directory) + "/" + name;
      if (is_file(path)) found.push_back(path);
    }
    if (found.empty()) return {};
    if (found.size() > 1) {
      report_.warning({}, Path::root(), "Found multiple config files with supported names: " + join(found, ", "));
      report_.warning({}, Path::root(), "Using " + found[0]);
    }
    return found[0];
  }

  Result<> read_input(const std::string& path) {
    InputFile file{.shown = shown_path(inputs_.working_dir, path), .absolute = path, .text = {}};
    if (path == "-") {
      file.text = options_.standard_input ? *options_.standard_input : TRY(read_all(STDIN_FILENO, "standard input"));
    } else {
      file.text = TRY(read_text_file(path));
    }
    inputs_.files.push_back(std::move(file));
    return {};
  }

  Result<> choose_name() {
    if (!options_.project_name.empty()) inputs_.given_name = options_.project_name;
    else if (const std::string* name = variable("COMPOSE_PROJECT_NAME")) inputs_.given_name = *name;
    if (!inputs_.given_name.empty() && !is_project_name(inputs_.given_name)) return bad_project_name(inputs_.given_name);
    return {};
  }

  void choose_profiles() {
    inputs_.profiles = options_.profiles;
    const std::string* list = variable("COMPOSE_PROFILES");
    if (!inputs_.profiles.empty() || list == nullptr) return;
    for (const std::string& name : split(*list, ',')) {
      if (auto trimmed = trim(name); !trimmed.empty()) inputs_.profiles.emplace_back(trimmed);
    }
  }

  const LoadOptions& options_;
  Report& report_;
  Inputs inputs_;
  bool explicit_ = false;
  std::string default_read_;
};

}  // namespace

Result<Inputs> find_inputs(const LoadOptions& options, Report& report) { return Finder(options, report).run(); }

std::string why_not_a_path(std::string_view reference) {
  bool remote = reference.starts_with("git@") || reference.starts_with("github.com/");
  for (const char* scheme : {"https://", "http://", "git://", "ssh://", "oci://"}) {
    remote = remote || reference.starts_with(scheme);
  }
  if (!remote) return {};
  return "compose files of repositories and registries are not fetched: fetch " + gantry::quoted(reference) +
         " yourself, and name the file";
}

Result<std::string> read_text_file(const std::string& path) {
  Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY));
  if (!fd) return Error::from_errno(errno, "open", path);
  return read_all(fd.get(), path);
}

std::string absolute_path(const std::string& base, const std::string& path) {
  return clean_path(path.starts_with('/') ? path : base + "/" + path);
}

std::string directory_of(const std::string& path) {
  size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

std::string shown_path(const std::string& working_dir, const std::string& path) {
  if (path == "-") return "<stdin>";
  std::string prefix = working_dir == "/" ? "/" : working_dir + "/";
  return path.starts_with(prefix) ? path.substr(prefix.size()) : path;
}

void FileVariables::override_with(FileVariables later) {
  for (auto& [key, value] : later.values) values[key] = std::move(value);
  for (auto& [key, origin] : later.origins) origins[key] = std::move(origin);
}

void FileVariables::add_to(Environment& environment, Origins& environment_origins) {
  for (auto& [key, value] : values) {
    if (environment.emplace(key, std::move(value)).second) environment_origins[key] = origins[key];
  }
}

Result<FileVariables> read_env_file(const std::string& path, const std::string& shown, const Lookup& lookup,
                                    const Environment& earlier, Report& report) {
  std::string text = TRY(read_text_file(path));
  auto assignments = parse_dotenv(text, lookup, earlier);
  if (!assignments.ok()) {
    Error error = std::move(assignments).error().within("failed to read " + path);
    report_env_file(error, report.add_file(shown, std::move(text)), {}, "", report);
    return error;
  }
  FileVariables out;
  for (Assignment& one : *assignments) {
    out.origins[one.key] = shown + ":" + std::to_string(one.line);
    out.values[one.key] = std::move(one.value);
  }
  return out;
}

bool is_project_name(std::string_view name) {
  for (char c : name) {
    if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-')) return false;
  }
  return !name.empty() && name[0] != '_' && name[0] != '-';
}

std::string normalized_project_name(std::string_view text) {
  std::string out;
  for (char c : to_lower(text)) {
    bool first_fits = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
    if (first_fits || (!out.empty() && (c == '_' || c == '-'))) out += c;
  }
  return out;
}

Error bad_project_name(std::string_view name) {
  return invalid("invalid project name " + gantry::quoted(name) +
                 ": must consist only of lowercase alphanumeric characters, hyphens, and underscores as well as start "
                 "with a letter or number");
}

}  // namespace gantry::compose
