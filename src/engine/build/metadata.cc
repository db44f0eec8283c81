#include "engine/build/metadata.h"

#include <algorithm>
#include <array>
#include <filesystem>

#include "base/strings.h"
#include "engine/container/signal_name.h"

namespace gantry::engine {
namespace {

using std::chrono::nanoseconds;

constexpr unsigned kMostPortsOfARange = 65535;

struct Scope {
  const Instruction& instruction;
  char escape;
  const VariableLookup& lookup;
  ImageDocument& document;
  MetadataState& state;

  ImageConfig& config() const { return document.config; }
  Result<std::string> expanded(std::string_view text) const { return expand(text, escape, lookup); }
};

Result<> refuse_flags(const Instruction& instruction) {
  if (instruction.flags.empty()) return {};
  return unknown_flag(instruction.flags.front().name, {});
}

std::vector<std::string> white_space_words(std::string_view text) {
  std::vector<std::string> words;
  size_t at = 0;
  while (at < text.size()) {
    const size_t begin = text.find_first_not_of(" \t\r\n", at);
    if (begin == std::string_view::npos) break;
    at = std::min(text.find_first_of(" \t\r\n", begin), text.size());
    words.emplace_back(text.substr(begin, at - begin));
  }
  return words;
}

// "A=1 B=\"x y\"", or "A the rest", as pairs, expanded.
Result<std::vector<std::pair<std::string, std::string>>> name_values(const Scope& scope) {
  const std::string& text = scope.instruction.arguments;
  std::vector<std::pair<std::string, std::string>> pairs;
  const std::vector<std::string> words = split_words(text, scope.escape);
  if (words.front().find('=') == std::string::npos) {
    const size_t end = text.find_first_of(" \t");
    if (end == std::string::npos) return invalid(scope.instruction.keyword + " must have two arguments");
    pairs.emplace_back(TRY(scope.expanded(text.substr(0, end))),
                       TRY(scope.expanded(trim(std::string_view(text).substr(end)))));
    return pairs;
  }
  for (const std::string& word : words) {
    const size_t equals = word.find('=');
    if (equals == std::string::npos) {
      return invalid("Syntax error - can't find = in " + gantry::quoted(word) + ". Must be of the form: name=value");
    }
    pairs.emplace_back(TRY(scope.expanded(word.substr(0, equals))), TRY(scope.expanded(word.substr(equals + 1))));
    if (pairs.back().first.empty()) return invalid(scope.instruction.keyword + " names can not be blank");
  }
  return pairs;
}

Result<> set_environment(const Scope& scope) {
  for (const auto& [name, value] : TRY(name_values(scope))) set_variable(scope.config().environment, name, value);
  return {};
}

Result<> set_labels(const Scope& scope) {
  for (const auto& [name, value] : TRY(name_values(scope))) scope.config().labels[name] = value;
  return {};
}

// Exec form as it is, shell form behind the shell; nothing for an empty one.
std::vector<std::string> command_line(const Scope& scope) {
  const Instruction& instruction = scope.instruction;
  if (instruction.is_json) return instruction.list;
  if (instruction.arguments.empty()) return {};
  std::vector<std::string> line = scope.config().shell;
  if (line.empty()) line = {"/bin/sh", "-c"};
  line.push_back(instruction.arguments);
  return line;
}

Result<> set_command(const Scope& scope) {
  scope.config().command = command_line(scope);
  scope.state.command_set = true;
  return {};
}

Result<> set_entrypoint(const Scope& scope) {
  scope.config().entrypoint = command_line(scope);
  if (!scope.state.command_set) scope.config().command.clear();
  return {};
}

Result<uint16_t> parse_container_port(std::string_view text) {
  const std::optional<uint64_t> port = parse_unsigned(text);
  if (!port || *port == 0 || *port > 65535) return invalid("Invalid containerPort: " + std::string(text));
  return static_cast<uint16_t>(*port);
}

Result<PortProtocol> parse_protocol(std::string_view text) {
  const std::string name = to_lower(text);
  if (name == "tcp") return PortProtocol::tcp;
  if (name == "udp") return PortProtocol::udp;
  if (name == "sctp") return PortProtocol::sctp;
  return invalid("Invalid proto: " + std::string(text));
}

Result<> add_exposed(std::string_view text, std::set<ExposedPort>& exposed) {
  const size_t slash = text.find('/');
  const PortProtocol protocol =
      slash == std::string_view::npos ? PortProtocol::tcp : TRY(parse_protocol(text.substr(slash + 1)));
  const std::string_view range = text.substr(0, slash);
  const size_t dash = range.find('-');
  const unsigned first = TRY(parse_container_port(range.substr(0, dash)));
  const unsigned last = dash == std::string_view::npos ? first : TRY(parse_container_port(range.substr(dash + 1)));
  if (last < first || last - first > kMostPortsOfARange) return invalid("Invalid range format: " + std::string(range));
  for (unsigned port = first; port <= last; ++port) {
    exposed.insert({.port = static_cast<uint16_t>(port), .protocol = protocol});
  }
  return {};
}

Result<> add_ports(const Scope& scope) {
  for (const std::string& word : white_space_words(scope.instruction.arguments)) {
    // A variable may hold several ports.
    for (const std::string& port : white_space_words(TRY(scope.expanded(word)))) {
      TRY(add_exposed(port, scope.config().exposed));
    }
  }
  return {};
}

Result<> add_volumes(const Scope& scope) {
  const std::vector<std::string> words =
      scope.instruction.is_json ? scope.instruction.list : white_space_words(scope.instruction.arguments);
  if (words.empty()) return invalid("VOLUME requires at least one argument");
  for (const std::string& word : words) {
    const std::string path = TRY(scope.expanded(word));
    if (trim(path).empty()) return invalid("VOLUME specified can not be an empty string");
    scope.config().volumes.insert(path);
  }
  return {};
}

Result<> set_user(const Scope& scope) {
  scope.config().user = TRY(scope.expanded(scope.instruction.arguments));
  return {};
}

Result<> set_working_dir(const Scope& scope) {
  const std::string path = TRY(scope.expanded(scope.instruction.arguments));
  if (path.empty()) return invalid("cannot normalize nothing");
  scope.config().working_dir = resolve_working_dir(scope.config().working_dir, path);
  return {};
}

Result<> set_stop_signal(const Scope& scope) {
  const std::string signal = TRY(scope.expanded(scope.instruction.arguments));
  TRY(parse_signal(signal));
  scope.config().stop_signal = signal;
  return {};
}

Result<> set_shell(const Scope& scope) {
  if (!scope.instruction.is_json || scope.instruction.list.empty()) {
    return invalid("SHELL requires the arguments to be in JSON form");
  }
  scope.config().shell = scope.instruction.list;
  return {};
}

Result<> set_maintainer(const Scope& scope) {
  scope.document.author = scope.instruction.arguments;
  return {};
}

Result<> set_health_flag(const InstructionFlag& flag, HealthCheck& check) {
  if (!flag.has_value || flag.value.empty()) return invalid("missing a value on flag: --" + flag.name);
  const auto duration = [&](std::optional<nanoseconds>& field) -> Result<> {
    field = TRY(parse_go_duration(flag.value));
    return {};
  };
  if (flag.name == "interval") return duration(check.interval);
  if (flag.name == "timeout") return duration(check.timeout);
  if (flag.name == "start-period") return duration(check.start_period);
  if (flag.name == "start-interval") return duration(check.start_interval);
  if (flag.name != "retries") {
    return unknown_flag(flag.name, known_flags("HEALTHCHECK"));
  }
  const std::optional<uint64_t> retries = parse_unsigned(flag.value);
  if (!retries || *retries > 1'000'000) return invalid("--retries must be a number: " + gantry::quoted(flag.value));
  check.retries = static_cast<int>(*retries);
  return {};
}

Result<> set_health_check(const Scope& scope) {
  const std::string_view text = scope.instruction.arguments;
  const size_t end = std::min(text.find_first_of(" \t"), text.size());
  const std::string_view type = text.substr(0, end);
  const std::string_view rest = trim(text.substr(end));
  HealthCheck check;
  if (equals_ignoring_case(type, "NONE")) {
    if (!rest.empty()) return invalid("HEALTHCHECK NONE takes no arguments");
    check.test = {"NONE"};
    scope.config().health_check = std::move(check);
    return {};
  }
  if (!equals_ignoring_case(type, "CMD")) {
    return invalid("Unknown type " + gantry::quoted(type) + " in HEALTHCHECK (try CMD)");
  }
  for (const InstructionFlag& flag : scope.instruction.flags) TRY(set_health_flag(flag, check));
  if (rest.empty()) return invalid("Missing command after HEALTHCHECK CMD");
  const Instruction command = TRY(parse_instruction("CMD " + std::string(rest)));
  if (command.is_json) {
    check.test = {"CMD"};
    check.test.insert(check.test.end(), command.list.begin(), command.list.end());
  } else {
    check.test = {"CMD-SHELL", std::string(rest)};
  }
  scope.config().health_check = std::move(check);
  return {};
}

Result<> add_trigger(const Scope& scope) {
  std::string text = scope.instruction.arguments;
  for (const HereDocument& document : scope.instruction.here_documents) {
    text += "\n" + document.content + document.name;
  }
  const Instruction trigger = TRY(parse_instruction(text));
  if (trigger.keyword == "ONBUILD") return invalid("Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed");
  if (trigger.keyword == "FROM" || trigger.keyword == "MAINTAINER") {
    return invalid(trigger.keyword + " isn't allowed as an ONBUILD trigger");
  }
  scope.config().on_build.push_back(std::move(text));
  return {};
}

struct Effect {
  std::string_view keyword;
  Result<> (*apply)(const Scope&);
  bool takes_flags = false;
};
constexpr std::array<Effect, 13> kEffects = {{
    {"CMD", set_command},
    {"ENTRYPOINT", set_entrypoint},
    {"ENV", set_environment},
    {"EXPOSE", add_ports},
    {"HEALTHCHECK", set_health_check, /*takes_flags=*/true},
    {"LABEL", set_labels},
    {"MAINTAINER", set_maintainer},
    {"ONBUILD", add_trigger},
    {"SHELL", set_shell},
    {"STOPSIGNAL", set_stop_signal},
    {"USER", set_user},
    {"VOLUME", add_volumes},
    {"WORKDIR", set_working_dir},
}};

const Effect* find_effect(const Instruction& instruction) {
  const auto found = std::find_if(kEffects.begin(), kEffects.end(),
                                  [&](const Effect& effect) { return effect.keyword == instruction.keyword; });
  return found == kEffects.end() ? nullptr : &*found;
}

// One number with its unit, taken off the front: "1.5h" → nanoseconds.
Result<nanoseconds> take_duration(std::string_view& rest, const std::string& whole) {
  const Error bad = invalid("time: invalid duration " + gantry::quoted(whole));
  double number = 0;
  double fraction = 0;
  bool any = false;
  for (; !rest.empty() && rest.front() >= '0' && rest.front() <= '9'; rest.remove_prefix(1), any = true) {
    number = number * 10 + (rest.front() - '0');
  }
  if (rest.starts_with('.')) {
    rest.remove_prefix(1);
    double scale = 0.1;
    for (; !rest.empty() && rest.front() >= '0' && rest.front() <= '9'; rest.remove_prefix(1), any = true) {
      fraction += (rest.front() - '0') * scale;
      scale /= 10;
    }
  }
  if (!any) return bad;
  const std::string_view unit = rest.substr(0, rest.find_first_of(".0123456789"));
  if (unit.empty()) return invalid("time: missing unit in duration " + gantry::quoted(whole));
  constexpr std::array<std::pair<std::string_view, double>, 8> kUnits = {{{"ns", 1},
                                                                           {"us", 1e3},
                                                                           {"\u00b5s", 1e3},
                                                                           {"\u03bcs", 1e3},
                                                                           {"ms", 1e6},
                                                                           {"s", 1e9},
                                                                           {"m", 60e9},
                                                                           {"h", 3600e9}}};
  const auto known = std::find_if(kUnits.begin(), kUnits.end(), [&](const auto& entry) { return entry.first == unit; });
  if (known == kUnits.end()) {
    return invalid("time: unknown unit " + gantry::quoted(unit) + " in duration " + gantry::quoted(whole));
  }
  rest.remove_prefix(unit.size());
  const double total = (number + fraction) * known->second;
  if (total > 9.2e18) return bad;
  return nanoseconds(static_cast<int64_t>(total + 0.5));
}

}  // namespace

bool is_metadata(const Instruction& instruction) {
  return instruction.keyword != "WORKDIR" && find_effect(instruction) != nullptr;
}

Result<> apply_metadata(const Instruction& instruction, char escape, const VariableLookup& lookup,
                        ImageDocument& document, MetadataState& state) {
  const Effect* effect = find_effect(instruction);
  CHECK(effect != nullptr);
  if (!effect->takes_flags) TRY(refuse_flags(instruction));
  return effect->apply({instruction, escape, lookup, document, state});
}

Result<> apply_changes(const std::vector<std::string>& changes, ImageDocument& document) {
  MetadataState state;
  for (const std::string& change : changes) {
    const Instruction instruction = TRY(parse_instruction(change).within("change " + gantry::quoted(change)));
    if (find_effect(instruction) == nullptr || instruction.keyword == "SHELL") {
      return invalid(instruction.keyword + " is not a valid change command");
    }
    const VariableLookup lookup = [&](const std::string& name) {
      return get_variable(document.config.environment, name);
    };
    TRY(apply_metadata(instruction, '\\', lookup, document, state).within("change " + gantry::quoted(change)));
  }
  return {};
}

std::optional<std::string> get_variable(const std::vector<std::string>& environment, const std::string& name) {
  for (const std::string& item : environment) {
    if (item.size() > name.size() && item[name.size()] == '=' && item.starts_with(name)) {
      return item.substr(name.size() + 1);
    }
  }
  return std::nullopt;
}

void set_variable(std::vector<std::string>& environment, const std::string& name, const std::string& value) {
  for (std::string& item : environment) {
    if (item.size() > name.size() && item[name.size()] == '=' && item.starts_with(name)) {
      item = name + "=" + value;
      return;
    }
  }
  environment.push_back(name + "=" + value);
}

std::string resolve_working_dir(const std::string& present, const std::string& argument) {
  std::string path = (std::filesystem::path("/") / present / argument).lexically_normal().string();
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  return path;
}

Result<nanoseconds> parse_go_duration(const std::string& text) {
  std::string_view rest = text;
  if (rest.starts_with('+')) rest.remove_prefix(1);
  if (rest == "0") return nanoseconds(0);
  if (rest.empty()) return invalid("time: invalid duration " + gantry::quoted(text));
  nanoseconds total(0);
  while (!rest.empty()) {
    const nanoseconds part = TRY(take_duration(rest, text));
    if (part > nanoseconds::max() - total) return invalid("time: invalid duration " + gantry::quoted(text));
    total += part;
  }
  return total;
}

}  // namespace gantry::engine
