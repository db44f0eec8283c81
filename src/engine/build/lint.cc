#include "engine/build/lint.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <map>

#include "base/strings.h"
#include "engine/image/reference.h"

namespace gantry::engine {
namespace {

constexpr std::string_view kBlank = " \t\r";

std::string_view first_word(std::string_view line) {
  line = trim(line);
  return line.substr(0, line.find_first_of(kBlank));
}

bool has_no_upper(std::string_view word) {
  return std::none_of(word.begin(), word.end(), [](unsigned char c) { return std::isupper(c) != 0; });
}

bool has_no_lower(std::string_view word) {
  return std::none_of(word.begin(), word.end(), [](unsigned char c) { return std::islower(c) != 0; });
}

// Words of a name that say that its value should not be seen.
bool is_secret_name(const std::string& name) {
  constexpr std::array<std::string_view, 9> kSecret = {"apikey",   "auth",  "credential", "credentials", "key",
                                                       "password", "pword", "passwd",     "secret"};
  const std::vector<std::string> words = split(to_lower(name), '_');
  const auto has = [&](std::string_view word) { return std::find(words.begin(), words.end(), word) != words.end(); };
  return !has("public") && (has("token") || std::any_of(kSecret.begin(), kSecret.end(), has));
}

bool takes_variables(std::string_view keyword) {
  constexpr std::array<std::string_view, 10> kTaking = {"ENV",  "LABEL",  "ADD",        "COPY",    "EXPOSE",
                                                        "USER", "VOLUME", "STOPSIGNAL", "WORKDIR", "ARG"};
  return std::find(kTaking.begin(), kTaking.end(), keyword) != kTaking.end();
}

class Linter {
 public:
  Linter(const Dockerfile& file, const StageOptions& options) : file_(file), options_(options) {}

  std::vector<LintWarning> run() {
    check_casing();
    for (const Instruction& instruction : file_.instructions) {
      check_continuation(instruction);
      if (instruction.keyword == "FROM") {
        begin_stage(instruction);
      } else if (stages_ == 0) {
        note_global_argument(instruction);
      } else {
        check(instruction);
      }
    }
    check_commands();
    std::stable_sort(found_.begin(), found_.end(),
                     [](const LintWarning& a, const LintWarning& b) { return a.line < b.line; });
    return std::move(found_);
  }

 private:
  void warn(const char* rule, unsigned line, const std::string& message) {
    found_.push_back({.rule = rule, .line = line, .message = message});
  }

  std::string_view keyword_as_written(const Instruction& instruction) const {
    return first_word(file_.lines[instruction.line - 1]);
  }

  void check_casing() {
    size_t lower = 0;
    size_t upper = 0;
    for (const Instruction& instruction : file_.instructions) {
      const std::string_view word = keyword_as_written(instruction);
      lower += has_no_upper(word) ? 1 : 0;
      upper += has_no_lower(word) ? 1 : 0;
    }
    const bool wants_lower = lower > upper;
    for (const Instruction& instruction : file_.instructions) {
      const std::string_view word = keyword_as_written(instruction);
      if (wants_lower ? has_no_upper(word) : has_no_lower(word)) continue;
      warn("ConsistentInstructionCasing", instruction.line,
           "Command '" + std::string(word) + "' should match the case of the command majority (" +
               (wants_lower ? "lowercase" : "uppercase") + ")");
    }
  }

  // Blank lines after a continuation: they are passed over, which few who write them know.
  void check_continuation(const Instruction& instruction) {
    bool continues = false;
    for (unsigned line = instruction.line; line <= instruction.last_line; ++line) {
      std::string_view text = trim(file_.lines[line - 1]);
      if (continues && text.empty()) {
        warn("NoEmptyContinuation", line, "Empty continuation line");
        return;
      }
      if (continues && text.starts_with('#')) continue;
      continues = text.ends_with(file_.escape);
      if (!continues) return;  // what follows is a here-document
    }
  }

  void note_global_argument(const Instruction& instruction) {
    for (const std::string& word : split_words(instruction.arguments, file_.escape)) {
      const size_t equals = word.find('=');
      check_secret("ARG", word.substr(0, equals), instruction.line);
      globals_[word.substr(0, equals)] = equals == std::string::npos ? "" : word.substr(equals + 1);
    }
  }

  void begin_stage(const Instruction& from) {
    check_commands();
    ++stages_;
    has_absolute_workdir_ = false;
    has_shell_ = false;
    const std::vector<std::string> words = split_words(from.arguments, file_.escape);
    if (words.empty()) return;
    check_base(from, words[0]);
    if (const InstructionFlag* platform = find_flag(from, "platform")) check_platform(from, platform->value);
    if (words.size() != 3) return;
    if (has_no_upper(words[1]) != has_no_upper(keyword_as_written(from))) {
      warn("FromAsCasing", from.line,
           "'" + words[1] + "' and '" + std::string(keyword_as_written(from)) + "' keywords' casing do not match");
    }
    const std::string name = to_lower(words[2]);
    if (name != words[2]) warn("StageNameCasing", from.line, "Stage name '" + words[2] + "' should be lowercase");
    if (name == "scratch" || name == "context") {
      warn("ReservedStageName", from.line,
           "Stage name should not use the same name as reserved stage \"" + name + "\"");
    }
    if (!names_.insert(name).second) {
      warn("DuplicateStageName", from.line, "Duplicate stage name \"" + name + "\", stage names should be unique");
    }
  }

  void check_base(const Instruction& from, const std::string& base) {
    for (const std::string& name : plain_variables(base, file_.escape)) {
      if (globals_.contains(name) || options_.platform_args.contains(name)) continue;
      warn("UndefinedArgInFrom", from.line, "FROM argument '" + name + "' is not declared");
      return;
    }
    const VariableLookup defaults = [this](const std::string& name) -> std::optional<std::string> {
      if (const auto found = globals_.find(name); found != globals_.end()) return found->second;
      const auto platform = options_.platform_args.find(name);
      if (platform != options_.platform_args.end()) return platform->second;
      return std::nullopt;
    };
    const Result<std::string> image = expand(base, file_.escape, defaults);
    if (!image.ok() || base.find('$') == std::string::npos) return;
    if (image->empty() || !Reference::parse(*image).ok()) {
      warn("InvalidDefaultArgInFrom", from.line,
           "Default value for ARG " + base + " results in empty or invalid base image name");
    }
  }

  void check_platform(const Instruction& from, const std::string& platform) {
    if (platform == "$TARGETPLATFORM" || platform == "${TARGETPLATFORM}") {
      warn("RedundantTargetPlatform", from.line,
           "Setting platform to predefined " + platform + " in FROM is redundant as this is the default behavior");
    } else if (platform.find('$') == std::string::npos) {
      warn("FromPlatformFlagConstDisallowed", from.line,
           "FROM --platform flag should not use constant value \"" + platform + "\"");
    }
  }

  void check_secret(const std::string& keyword, const std::string& name, unsigned line) {
    if (!is_secret_name(name)) return;
    warn("SecretsUsedInArgOrEnv", line,
         "Do not use ARG or ENV instructions for sensitive data (" + keyword + " \"" + name + "\")");
  }

  void check(const Instruction& instruction) {
    const std::string& keyword = instruction.keyword;
    const unsigned line = instruction.line;
    const std::vector<std::string> words = split_words(instruction.arguments, file_.escape);
    if (keyword == "CMD" || keyword == "ENTRYPOINT" || keyword == "HEALTHCHECK") last_[keyword].push_back(line);
    if (keyword == "SHELL") has_shell_ = true;
    if ((keyword == "CMD" || keyword == "ENTRYPOINT") && !instruction.is_json && !words.empty() && !has_shell_) {
      warn("JSONArgsRecommended", line,
           "JSON arguments recommended for " + keyword + " to prevent unintended behavior related to OS signals");
    }
    if (keyword == "MAINTAINER") {
      warn("MaintainerDeprecated", line, "Maintainer instruction is deprecated in favor of using label");
    }
    if (keyword == "WORKDIR") check_workdir(instruction);
    if (keyword == "ENV" || keyword == "LABEL") check_pairs(instruction, words);
    if (keyword == "EXPOSE") check_ports(instruction, words);
    if (keyword != "ARG") return;
    for (const std::string& word : words) check_secret(keyword, word.substr(0, word.find('=')), line);
  }

  void check_workdir(const Instruction& instruction) {
    const std::string& path = instruction.arguments;
    if (path.starts_with('/') || path.starts_with('$')) {
      has_absolute_workdir_ = true;
    } else if (!has_absolute_workdir_) {
      warn("WorkdirRelativePath", instruction.line,
           "Relative workdir \"" + path + "\" can have unexpected results if the base image changes");
    }
  }

  void check_pairs(const Instruction& instruction, const std::vector<std::string>& words) {
    const std::string& keyword = instruction.keyword;
    if (words.size() > 1 && words[0].find('=') == std::string::npos) {
      warn("LegacyKeyValueFormat", instruction.line,
           "\"" + keyword + " key=value\" should be used instead of legacy \"" + keyword + " key value\" format");
      if (keyword == "ENV") check_secret(keyword, words[0], instruction.line);
      return;
    }
    if (keyword != "ENV") return;
    for (const std::string& word : words) check_secret(keyword, word.substr(0, word.find('=')), instruction.line);
  }

  void check_ports(const Instruction& instruction, const std::vector<std::string>& words) {
    for (const std::string& word : words) {
      const size_t slash = word.find('/');
      if (slash != std::string::npos && to_lower(word.substr(slash)) != word.substr(slash) &&
          word.find('$') == std::string::npos) {
        warn("ExposeProtoCasing", instruction.line,
             "Defined protocol '" + word + "' in EXPOSE instruction should be lowercase");
      }
      if (word.find(':') != std::string::npos && word.find('$') == std::string::npos) {
        warn("ExposeInvalidFormat", instruction.line,
             "EXPOSE instruction should not define an IP address or host-port mapping, found '" + word + "'");
      }
    }
  }

  // Of the stage that ends: all but the last of an instruction that counts once.
  void check_commands() {
    for (const auto& [keyword, lines] : last_) {
      for (size_t i = 0; i + 1 < lines.size(); ++i) {
        warn("MultipleInstructionsDisallowed", lines[i],
             "Multiple " + keyword +
                 " instructions should not be used in the same stage because only the last one "
                 "will be used");
      }
    }
    last_.clear();
  }

  const Dockerfile& file_;
  const StageOptions& options_;
  std::vector<LintWarning> found_;
  size_t stages_ = 0;
  std::map<std::string, std::string> globals_;  // ARGs before the first FROM, with their defaults
  std::set<std::string> names_;
  std::map<std::string, std::vector<unsigned>> last_;  // lines of CMD, ENTRYPOINT, HEALTHCHECK in this stage
  bool has_absolute_workdir_ = false;
  bool has_shell_ = false;
};

}  // namespace

Result<LintRules> LintRules::parse(std::string_view directive) {
  LintRules rules;
  for (const std::string& part : split(std::string(directive), ';')) {
    const std::string_view item = trim(part);
    const size_t equals = item.find('=');
    const std::string key = to_lower(trim(item.substr(0, equals)));
    const std::string_view value = equals == std::string_view::npos ? "" : trim(item.substr(equals + 1));
    if (key == "skip") {
      for (const std::string& rule : split(std::string(value), ',')) rules.skipped.insert(to_lower(trim(rule)));
    } else if (key == "error" && (value == "true" || value == "false")) {
      rules.is_error = value == "true";
    } else if (!item.empty()) {
      return invalid("invalid check option " + gantry::quoted(std::string(item)) +
                     ": expected skip=RULE,… or error=true");
    }
  }
  return rules;
}

bool LintRules::skips(const std::string& rule) const {
  return skipped.contains("all") || skipped.contains(to_lower(rule));
}

std::vector<LintWarning> lint(const Dockerfile& file, const StageOptions& options) {
  return Linter(file, options).run();
}

std::vector<std::string> plain_variables(std::string_view text, char escape) {
  const auto is_name = [](char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_'; };
  std::vector<std::string> names;
  bool is_single = false;
  bool is_double = false;
  for (size_t at = 0; at < text.size(); ++at) {
    const char c = text[at];
    if (c == escape && !is_single) {
      ++at;
    } else if (c == '\'' && !is_double) {
      is_single = !is_single;
    } else if (c == '"' && !is_single) {
      is_double = !is_double;
    } else if (c == '$' && !is_single) {
      const bool has_brace = at + 1 < text.size() && text[at + 1] == '{';
      const size_t begin = at + (has_brace ? 2 : 1);
      size_t end = begin;
      while (end < text.size() && is_name(text[end])) ++end;
      const bool is_plain = !has_brace || (end < text.size() && text[end] == '}');
      const bool has_name = end > begin && std::isdigit(static_cast<unsigned char>(text[begin])) == 0;
      if (is_plain && has_name) names.emplace_back(text.substr(begin, end - begin));
      at = end - 1;
    }
  }
  return names;
}

std::vector<LintWarning> undefined_variables(const Instruction& instruction, char escape, const VariableLookup& lookup,
                                             const std::vector<std::string>& known) {
  std::vector<LintWarning> found;
  if (!takes_variables(instruction.keyword)) return found;
  std::string text = instruction.arguments;
  for (const InstructionFlag& flag : instruction.flags) {
    if (flag.name != "from") text += " " + flag.value;
  }
  for (const std::string& name : plain_variables(text, escape)) {
    if (lookup(name).has_value()) continue;
    LintWarning warning{
        .rule = "UndefinedVar", .line = instruction.line, .message = "Usage of undefined variable '$" + name + "'"};
    if (const auto meant = nearest(name, known)) warning.message += " (did you mean $" + *meant + "?)";
    if (std::find(found.begin(), found.end(), warning) == found.end()) found.push_back(std::move(warning));
  }
  return found;
}

std::string render_warnings(const std::vector<LintWarning>& warnings) {
  if (warnings.empty()) return "";
  std::string text =
      "\n " + std::to_string(warnings.size()) + (warnings.size() == 1 ? " warning" : " warnings") + " found:\n";
  for (const LintWarning& warning : warnings) {
    text += " - " + warning.rule + ": " + warning.message + " (line " + std::to_string(warning.line) + ")\n";
  }
  return text;
}

}  // namespace gantry::engine
