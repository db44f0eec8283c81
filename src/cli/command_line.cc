#include "cli/command_line.h"

#include <unistd.h>

#include <algorithm>
#include <array>

#include "base/fd.h"
#include "base/strings.h"
#include "base/version.h"
#include "cli/commands/commands.h"
#include "cli/exit.h"
#include "compose/dotenv.h"

namespace gantry::cli {

namespace {

constexpr Flag kConnectionFlags[] = {
    {.name = "host",
     .letter = 'H',
     .kind = FlagKind::text,
     .value_name = "ADDRESS",
     .help = "Daemon to talk to (unix://PATH, tcp://HOST:PORT, ssh://USER@HOST)"},
    {.name = "context", .kind = FlagKind::text, .value_name = "NAME", .help = "Daemon to talk to, by its context"},
    {.name = "tls", .help = "Talk TLS, whoever the daemon is"},
    {.name = "tlsverify", .help = "Talk TLS, and check the daemon's certificate"},
    {.name = "tlscacert", .kind = FlagKind::text, .value_name = "FILE", .help = "Who signs the daemon's certificate"},
    {.name = "tlscert", .kind = FlagKind::text, .value_name = "FILE", .help = "Own certificate"},
    {.name = "tlskey", .kind = FlagKind::text, .value_name = "FILE", .help = "Key of the own certificate"},
    {.name = "data-root", .kind = FlagKind::text, .value_name = "DIR", .help = "Where the local daemon keeps its data"},
    {.name = "run-root", .kind = FlagKind::text, .value_name = "DIR", .help = "Where the local daemon has its socket"},
    {.name = "ansi", .kind = FlagKind::text, .value_name = "WHEN", .help = "Colours and cursor: auto, never, always"},
    {.name = "progress", .kind = FlagKind::text, .value_name = "KIND", .help = "auto, tty, plain, json, quiet"},
    {.name = "help", .letter = 'h', .help = "Print this help"},
    {.name = "version", .letter = 'v', .help = "Print the version"},
};

constexpr Flag kComposeFlags[] = {
    {.name = "file",
     .letter = 'f',
     .kind = FlagKind::list,
     .value_name = "FILE",
     .help = "Compose file; - is standard input"},
    {.name = "project-name", .letter = 'p', .kind = FlagKind::text, .value_name = "NAME", .help = "Project name"},
    {.name = "project-directory",
     .kind = FlagKind::text,
     .value_name = "DIR",
     .help = "Directory that relative paths begin at (that of the first file)"},
    {.name = "workdir", .kind = FlagKind::text, .help = "", .hidden = true},
    {.name = "env-file", .kind = FlagKind::list, .value_name = "FILE", .help = "Environment file instead of .env"},
    {.name = "profile", .kind = FlagKind::list, .value_name = "NAME", .help = "Profile to enable; * for all"},
    {.name = "parallel",
     .kind = FlagKind::number,
     .value_name = "N",
     .help = "Most pulls and builds at once; -1: no limit"},
    {.name = "all-resources", .help = "Keep networks and volumes that no service uses"},
    {.name = "dry-run", .help = "Print what would be done, and do nothing"},
    {.name = "compatibility", .help = "Names with underscores, as the first Compose made them"},
    {.name = "no-ansi", .help = "", .hidden = true},
    {.name = "verbose", .help = "", .hidden = true},
    {.name = "insecure-registry", .kind = FlagKind::list, .help = "", .hidden = true},
};

constexpr Flag kHelpFlag[] = {{.name = "help", .letter = 'h', .help = "Print this help"}};
constexpr Flag kComposeCommandFlags[] = {
    {.name = "help", .letter = 'h', .help = "Print this help"},
    {.name = "dry-run", .help = "Print what would be done, and do nothing"},
};

const std::array kComposeCommands = {
    &kAttach, &kBuild, &kCommit,  &kConfig,  &kCopy,   &kCreate,  &kDown,  &kEvents, &kExec,    &kExport,  &kImages,
    &kKill,   &kLogs,  &kList,    &kPause,   &kPlan,   &kPort,    &kPs,    &kPull,   &kPublish, &kPush,    &kRestart,
    &kRemove, &kRun,   &kScale,   &kStart,   &kStats,  &kStop,    &kTop,   &kUnpause, &kUp,     &kVersion, &kViz,
    &kVolumes, &kWait, &kWatch,   &kGenerate, &kBridgeConvert, &kBridgeList, &kBridgeLs, &kBridgeCreate, &kWhy, &kTimings, &kTest};


std::vector<Flag> joined(std::span<const Flag> a, std::span<const Flag> b) {
  std::vector<Flag> flags(a.begin(), a.end());
  flags.insert(flags.end(), b.begin(), b.end());
  return flags;
}

std::string value_or(const Environment& environment, const std::string& name, const std::string& fallback) {
  const auto found = environment.find(name);
  return found != environment.end() && !found->second.empty() ? found->second : fallback;
}

bool is_switched_on(std::string_view text) {
  const std::string value = to_lower(text);
  return value == "1" || value == "t" || value == "true" || value == "y" || value == "yes";
}

Result<int> parallel_limit(const Arguments& given, const Environment& environment) {
  if (const auto number = given.number("parallel")) return static_cast<int>(*number);
  const std::string text = value_or(environment, "COMPOSE_PARALLEL_LIMIT", "-1");
  if (text == "-1") return -1;
  const auto number = parse_unsigned(text);
  if (!number) return invalid("COMPOSE_PARALLEL_LIMIT must be an integer (found: " + gantry::quoted(text) + ")");
  return static_cast<int>(*number);
}

// Docker Compose has read these before it reads the env file: there they have no effect.
bool comes_too_late(std::string_view variable) {
  return variable == "COMPOSE_PROGRESS" || variable == "COMPOSE_ENV_FILES" || variable == "COMPOSE_STATUS_STDOUT";
}

// COMPOSE_… of the env file count as if they were set for the process, unless they are. What is wrong with the file is
// told when the project is loaded.
void add_compose_variables(const Arguments& given, Environment& environment) {
  std::vector<std::string> files = given.list("env-file");
  if (files.empty()) {
    std::string directory = given.text("project-directory", given.text("workdir"));
    const auto named = given.list("file");
    if (directory.empty() && !named.empty() && named.front() != "-") {
      const size_t slash = named.front().rfind('/');
      directory = slash == std::string::npos ? "." : named.front().substr(0, slash + 1);
    }
    files = {(directory.empty() ? "." : directory) + "/.env"};
  }
  const compose::Environment own(environment.begin(), environment.end());
  std::map<std::string, std::string> found;
  for (const std::string& file : files) {
    if (::access(file.c_str(), R_OK) != 0) continue;  // most often: then there is no error to be put into words
    const auto text = read_file(file, size_t{16} << 20);
    if (!text.ok()) continue;
    const auto assignments = compose::parse_dotenv(*text, compose::lookup_in(own));
    if (!assignments.ok()) continue;
    for (const auto& [name, value, line] : *assignments) {
      if (name.starts_with("COMPOSE_") && !comes_too_late(name)) found[name] = value;
    }
  }
  environment.insert(found.begin(), found.end());
}

// One family of commands: what it is called, takes in front of the command, and knows.
class Family {
 public:
  Family(Invocation& invocation, std::string program, std::vector<Flag> flags, std::span<const Flag> command_flags,
         std::span<const Command* const> commands)
      : it_(invocation),
        program_(std::move(program)),
        flags_(std::move(flags)),
        command_flags_(command_flags),
        commands_(commands) {}

  Result<int> run(std::span<const std::string> words, std::string_view summary) {
    std::vector<std::string> rest;
    const Arguments given = TRY(parse_leading(flags_, words, rest));
    if (given.on("version")) rest = {"version"};
    // Commands that were experiments for a while keep their old names.
    if (rest.size() > 1 && rest[0] == "alpha") rest.erase(rest.begin());
    if (given.on("help") || rest.empty() || rest[0] == "help") return help(rest, summary);
    size_t taken = 1;
    const Command* command = find_command(rest, taken);
    if (command == nullptr && is_group(rest[0])) return group_help(rest);
    if (command == nullptr) return unknown(rest[0]);
    return run_command(*command, given, std::span(rest).subspan(taken));
  }

 private:
  Result<int> run_command(const Command& command, const Arguments& given, std::span<const std::string> words) {
    const Arguments arguments = TRY(parse(command.syntax, command_flags_, words));
    if (arguments.on("help")) {
      it_.out.write(help_page(program_, command.syntax, command_flags_));
      return kExitOk;
    }
    if (program_ != "gantry") add_compose_variables(given, it_.environment);
    Globals globals = TRY(read_globals(given, it_.environment));
    globals.dry_run = globals.dry_run || arguments.on("dry-run");
    if (!command.refused.empty()) {
      return unsupported(program_ + " " + std::string(command.syntax.name) + " is not supported: " +
                         std::string(command.refused));
    }
    Session session(std::move(globals), it_.environment, std::move(it_.api));
    session.in = it_.in;
    session.out = it_.out;
    session.err = it_.err;
    session.program = program_;
    auto status = command.run(session, arguments);
    if (status.ok()) return status;
    session.fail(status.error().message());
    return status.error().code() == Code::cancelled ? kExitInterrupted : kExitError;
  }

  // "volume ls" is a command of two words, others have three; "container stop" is "stop" under another name.
  const Command* find_command(const std::vector<std::string>& words, size_t& taken) const {
    if (words.size() > 2) {
      taken = 3;
      if (const Command* command = find(words[0] + " " + words[1] + " " + words[2])) return command;
    }
    if (words.size() > 1) {
      const std::string both = words[0] + " " + words[1];
      taken = 2;
      if (const Command* command = find(both)) return command;
      if (const std::string_view other = program_ == "gantry" ? engine_command_alias(both) : ""; !other.empty()) {
        return find(other);
      }
      taken = 1;
    }
    return find(words[0]);
  }

  bool is_group(const std::string& word) const {
    return std::any_of(commands_.begin(), commands_.end(),
                       [&](const Command* command) { return command->syntax.name.starts_with(word + " "); });
  }

  // `gantry volume`, `gantry volume --help`, or a word behind it that is none of its commands.
  Result<int> group_help(const std::vector<std::string>& rest) {
    const std::string& group = rest[0];
    if (rest.size() > 1 && rest[1] != "--help" && rest[1] != "-h") {
      std::vector<std::string> known;
      for (const Command* command : commands_) {
        if (command->syntax.name.starts_with(group + " ")) known.emplace_back(command->syntax.name.substr(group.size() + 1));
      }
      return invalid("unknown command: " + gantry::quoted(program_ + " " + group + " " + rest[1]) +
                     suggestion(rest[1], known) + "\nRun '" + program_ + " " + group + " --help' for the list of commands");
    }
    std::string text = "Usage:  " + program_ + " " + group + " COMMAND\n\nCommands:\n";
    for (const Command* command : commands_) {
      if (!command->syntax.name.starts_with(group + " ")) continue;
      const std::string name(command->syntax.name.substr(group.size() + 1));
      text += "  " + name + std::string(std::max<size_t>(12, name.size() + 1) - name.size(), ' ') + std::string(command->syntax.summary) + "\n";
    }
    it_.out.write(text);
    return kExitOk;
  }

  Result<int> help(const std::vector<std::string>& rest, std::string_view summary) {
    const std::string name = rest.empty() ? "" : rest[0] == "help" && rest.size() > 1 ? rest[1] : rest[0];
    if (const Command* command = find(name)) {
      it_.out.write(help_page(program_, command->syntax, command_flags_));
      return kExitOk;
    }
    it_.out.write("Usage:  " + program_ + " [OPTIONS] COMMAND\n\n" + std::string(summary) + "\n\nOptions:\n" +
                  options_help(flags_) + "\nCommands:\n" + command_list() + "\nRun '" + program_ +
                  " COMMAND --help' for more information on a command.\n");
    return kExitOk;
  }

  std::string command_list() const {
    std::map<std::string, std::string> lines;
    for (const Command* command : commands_) {
      const std::string name(command->syntax.name);
      const size_t space = name.find(' ');
      if (space == std::string::npos) {
        lines[name] = command->refused.empty() ? std::string(command->syntax.summary)
                                               : "Not supported: " + std::string(command->refused);
      } else {
        lines.emplace(name.substr(0, space), "Commands for each " + name.substr(0, space) + ": see `" + program_ + " " + name.substr(0, space) + " --help`");
      }
    }
    if (program_ == "gantry") {
      lines["compose"] = "Work with the project of a compose file";
    }
    std::string text;
    for (const auto& [name, line] : lines) text += "  " + name + std::string(12 - name.size(), ' ') + line + "\n";
    return text;
  }

  const Command* find(std::string_view name) const {
    for (const Command* command : commands_) {
      if (command->syntax.name == name) return command;
    }
    return nullptr;
  }

  Error unknown(const std::string& name) const {
    std::vector<std::string> known;
    for (const Command* command : commands_) known.push_back(std::string(command->syntax.name));
    return invalid("unknown command: " + gantry::quoted(program_ + " " + name) + suggestion(name, known) + "\nRun '" +
                   program_ + " --help' for the list of commands");
  }

  Invocation& it_;
  std::string program_;
  std::vector<Flag> flags_;
  std::span<const Flag> command_flags_;
  std::span<const Command* const> commands_;
};

Result<int> run_compose(Invocation& invocation, std::string program, std::span<const std::string> words) {
  // What docker asks an executable in its plug-in directory.
  if (!words.empty() && words[0] == "docker-cli-plugin-metadata") {
    invocation.out.write(R"({"SchemaVersion":"0.1.0","Vendor":"Gantry","Version":"v)" + std::string(gantry::kVersion) +
                         R"(","ShortDescription":"Gantry Compose"})" + "\n");
    return kExitOk;
  }
  Family family(invocation, std::move(program), joined(kComposeFlags, kConnectionFlags), kComposeCommandFlags,
                kComposeCommands);
  return family.run(words, "Define and run multi-container applications");
}

Result<int> run_gantry(Invocation& invocation) {
  const std::vector<Flag> flags(std::begin(kConnectionFlags), std::end(kConnectionFlags));
  // `gantry [connection options] compose …`: the options belong to both.
  const std::vector<std::string>& words = invocation.words;
  const auto compose = std::find(words.begin(), words.end(), "compose");
  std::vector<std::string> rest;
  if (compose != words.end() && parse_leading(flags, words, rest).ok() && !rest.empty() && rest[0] == "compose") {
    std::vector<std::string> all(words.begin(), words.end() - static_cast<ptrdiff_t>(rest.size()));
    all.insert(all.end(), rest.begin() + 1, rest.end());
    return run_compose(invocation, "gantry compose", all);
  }
  Family family(invocation, "gantry", flags, kHelpFlag, engine_commands());
  return family.run(words, "Containers, and applications made of them");
}

}  // namespace

Result<Globals> read_globals(const Arguments& given, const Environment& environment) {
  if (given.given("workdir") && given.given("project-directory")) {
    return invalid("cannot specify both --workdir and --project-directory: they mean the same");
  }
  const auto parallel = TRY(parallel_limit(given, environment));
  Globals globals{.files = given.list("file"),
                  .project_name = given.text("project-name"),
                  .project_directory = given.text("project-directory", given.text("workdir")),
                  .env_files = given.list("env-file"),
                  .profiles = given.list("profile"),
                  .all_resources = given.on("all-resources"),
                  .ansi = given.text("ansi", value_or(environment, "COMPOSE_ANSI", "auto")),
                  .progress = given.text("progress", value_or(environment, "COMPOSE_PROGRESS", "auto")),
                  .parallel = parallel,
                  .dry_run = given.on("dry-run"),
                  .compatibility = given.given("compatibility") ? given.on("compatibility")
                                                                : is_switched_on(value_or(environment, "COMPOSE_COMPATIBILITY", "")),
                  .host = given.text("host"),
                  .data_root = given.text("data-root"),
                  .run_root = given.text("run-root"),
                  .connection = {.context = given.text("context"),
                                 .tls = given.on("tls"),
                                 .tls_verify = given.on("tlsverify"),
                                 .tls_ca = given.text("tlscacert"),
                                 .tls_cert = given.text("tlscert"),
                                 .tls_key = given.text("tlskey")}};
  if (given.on("no-ansi")) globals.ansi = "never";
  if (globals.ansi != "auto" && globals.ansi != "never" && globals.ansi != "always") {
    return invalid("unsupported --ansi value " + gantry::quoted(globals.ansi) + ": give auto, never or always");
  }
  return globals;
}

int run_command_line(Invocation invocation) {
  const size_t slash = invocation.program.rfind('/');
  const std::string name = slash == std::string::npos ? invocation.program : invocation.program.substr(slash + 1);
  Result<int> status = kExitError;
  if (name == "compose") {
    status = run_compose(invocation, "compose", invocation.words);
  } else if (name == "docker-compose") {
    std::span<const std::string> words = invocation.words;
    const bool as_plugin = !words.empty() && words[0] == "compose";  // docker puts its own name for it first
    status = run_compose(invocation, as_plugin ? "docker compose" : name, as_plugin ? words.subspan(1) : words);
  } else {
    status = run_gantry(invocation);
  }
  if (status.ok()) return *status;
  invocation.err.write(status.error().message() + "\n");
  return kExitError;
}

}  // namespace gantry::cli
