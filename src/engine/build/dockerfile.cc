#include "engine/build/dockerfile.h"

#include <algorithm>
#include <array>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/strings.h"
#include "engine/build/expand.h"

namespace gantry::engine {
namespace {

constexpr size_t kLongestLine = 65535;  // BuildKit's scanner
constexpr size_t kMostHereDocuments = 100;

bool is_space(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\v' || c == '\f'; }

std::string_view trim_left(std::string_view text) {
  while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
  return text;
}

std::string upper(std::string_view text) {
  std::string result(text);
  for (char& c : result) {
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
  }
  return result;
}

// How many arguments an instruction wants, for the message when it has none.
struct Known {
  std::string_view keyword;
  std::string_view wants;  // "" = may stand alone
};
constexpr std::array<Known, 18> kKnown = {{
    {"ADD", "at least two arguments"},
    {"ARG", "at least one argument"},
    {"CMD", ""},
    {"COPY", "at least two arguments"},
    {"ENTRYPOINT", ""},
    {"ENV", "at least one argument"},
    {"EXPOSE", "at least one argument"},
    {"FROM", "either one or three arguments"},
    {"HEALTHCHECK", "at least one argument"},
    {"LABEL", "at least one argument"},
    {"MAINTAINER", "exactly one argument"},
    {"ONBUILD", "at least one argument"},
    {"RUN", "at least one argument"},
    {"SHELL", "at least one argument"},
    {"STOPSIGNAL", "exactly one argument"},
    {"USER", "exactly one argument"},
    {"VOLUME", "at least one argument"},
    {"WORKDIR", "exactly one argument"},
}};

const Known* find_known(std::string_view keyword) {
  const auto found =
      std::find_if(kKnown.begin(), kKnown.end(), [&](const Known& known) { return known.keyword == keyword; });
  return found == kKnown.end() ? nullptr : &*found;
}

bool takes_json(std::string_view keyword) {
  constexpr std::array<std::string_view, 7> kTaking = {"ADD", "CMD", "COPY", "ENTRYPOINT", "RUN", "SHELL", "VOLUME"};
  return std::find(kTaking.begin(), kTaking.end(), keyword) != kTaking.end();
}

bool takes_here_documents(std::string_view keyword) {
  return keyword == "RUN" || keyword == "COPY" || keyword == "ADD";
}

// The list if the text is a JSON list of strings, nothing if it is no JSON (then it is shell form).
Result<std::optional<std::vector<std::string>>> parse_json_list(std::string_view text) {
  std::optional<std::vector<std::string>> none;
  if (!text.starts_with('[')) return none;
  const nlohmann::json value = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (value.is_discarded() || !value.is_array()) return none;
  std::vector<std::string> list;
  for (const nlohmann::json& item : value) {
    if (!item.is_string()) return invalid("when using JSON array syntax, arrays must be comprised of strings only");
    list.push_back(item.get<std::string>());
  }
  return std::optional(std::move(list));
}

// Takes "--name[=value]" words off the front of the text; quotes and escapes are resolved. "--" ends them.
std::vector<InstructionFlag> take_flags(std::string_view& text, char escape) {
  std::vector<InstructionFlag> flags;
  while (text.starts_with("--")) {
    std::string word;
    size_t at = 0;
    char quote = 0;
    for (; at < text.size() && (quote != 0 || !is_space(text[at])); ++at) {
      const char c = text[at];
      if (c == escape && at + 1 < text.size()) {
        word += text[++at];
      } else if (quote != 0 ? c == quote : c == '"' || c == '\'') {
        quote = quote != 0 ? 0 : c;
      } else {
        word += c;
      }
    }
    text = trim_left(text.substr(at));
    if (word == "--") break;
    const size_t equals = word.find('=');
    InstructionFlag flag{.name = word.substr(2, equals == std::string::npos ? equals : equals - 2), .value = {}};
    if (equals != std::string::npos) {
      flag.value = word.substr(equals + 1);
      flag.has_value = true;
    }
    flags.push_back(std::move(flag));
  }
  return flags;
}

// A word that begins a here-document: "<<EOF", "3<<-'E F'".
struct HereMark {
  std::string name;
  bool expands = true;
  bool strips_tabs = false;
};

std::optional<HereMark> here_mark(std::string_view word, char escape) {
  while (!word.empty() && word.front() >= '0' && word.front() <= '9') word.remove_prefix(1);
  if (!word.starts_with("<<")) return std::nullopt;
  word.remove_prefix(2);
  HereMark mark;
  if (word.starts_with('-')) {
    mark.strips_tabs = true;
    word.remove_prefix(1);
  }
  if (word.empty() || word.find('<') != std::string_view::npos) return std::nullopt;
  const VariableLookup keep = [](const std::string& name) { return std::optional("$" + name); };
  Result<std::string> name = expand(word, escape, keep);
  if (!name.ok() || name->empty()) return std::nullopt;
  mark.name = *std::move(name);
  mark.expands = mark.name == word;
  return mark;
}

// The source's physical lines, and where we are in them.
class Lines {
 public:
  explicit Lines(std::string_view text) {
    constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";
    if (text.starts_with(kByteOrderMark)) text.remove_prefix(kByteOrderMark.size());
    if (text.ends_with('\n')) text.remove_suffix(1);
    if (!text.empty()) lines_ = split(text, '\n');
  }

  bool at_end() const { return at_ == lines_.size(); }
  unsigned number() const { return static_cast<unsigned>(at_); }  // of the line taken last, from 1
  std::string_view peek() const { return lines_[at_]; }
  Result<std::string_view> take() {
    const std::string& line = lines_[at_++];
    if (line.size() > kLongestLine) {
      return dockerfile_error(number(), "dockerfile line greater than max allowed size of 65535");
    }
    return std::string_view(line);
  }
  std::vector<std::string> release() { return std::move(lines_); }

 private:
  std::vector<std::string> lines_;
  size_t at_ = 0;
};

bool is_comment(std::string_view line) { return trim_left(line).starts_with('#'); }

// Takes the escape character (and spaces behind it) off the line's end; false: the line ends the instruction.
bool take_continuation(std::string_view& line, char escape) {
  std::string_view text = line;
  while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
  if (!text.ends_with(escape)) return false;
  text.remove_suffix(1);
  if (text.ends_with(escape)) return false;  // doubled: the character itself
  line = text;
  return true;
}

class Parser {
 public:
  explicit Parser(std::string_view text) : lines_(text) {}

  Result<Dockerfile> parse() {
    TRY(read_directives());
    while (!lines_.at_end()) {
      const std::string_view line = TRY(lines_.take());
      if (trim(line).empty() || is_comment(line)) continue;
      file_.instructions.push_back(TRY(read_instruction(line)));
    }
    file_.lines = lines_.release();
    return std::move(file_);
  }

  // With the escape character given, and without directives.
  Result<Instruction> parse_one() {
    if (lines_.at_end()) return invalid("an instruction cannot be empty");
    const std::string_view line = TRY(lines_.take());
    Instruction instruction = TRY(read_instruction(line));
    while (!lines_.at_end()) {
      if (!trim(TRY(lines_.take())).empty()) return invalid("only one instruction is possible here");
    }
    return instruction;
  }

 private:
  Result<> read_directives() {
    bool escape_given = false;
    while (!lines_.at_end()) {
      std::string_view line = trim(lines_.peek());
      if (!line.starts_with('#')) return {};
      line = trim(line.substr(1));
      const size_t equals = line.find('=');
      if (equals == std::string_view::npos) return {};
      const std::string key = to_lower(trim(line.substr(0, equals)));
      const std::string_view value = trim(line.substr(equals + 1));
      if (key != "escape" && key != "syntax" && key != "check") return {};
      (void)TRY(lines_.take());
      if (key == "check") file_.check = std::string(value);
      if (key != "escape") continue;
      if (escape_given) return dockerfile_error(lines_.number(), "only one escape parser directive can be used");
      if (value != "\\" && value != "`") {
        return dockerfile_error(lines_.number(),
                                "invalid escape token '" + std::string(value) + "' does not match ` or \\");
      }
      file_.escape = value.front();
      escape_given = true;
    }
    return {};
  }

  // `line` is the first physical line, taken already.
  Result<Instruction> read_instruction(std::string_view line) {
    const unsigned number = lines_.number();
    std::string text;
    line = trim_left(line);
    while (take_continuation(line, file_.escape)) {
      text += line;
      line = {};
      while (!lines_.at_end()) {
        line = TRY(lines_.take());
        if (!is_comment(line) && !trim(line).empty()) break;
        line = {};
      }
      if (line.empty()) break;
    }
    text += line;
    Result<Instruction> instruction = interpret(trim(text), number);
    if (!instruction.ok()) return std::move(instruction).error();
    TRY(read_here_documents(*instruction));
    instruction->last_line = lines_.number();
    return instruction;
  }

  Result<Instruction> interpret(std::string_view text, unsigned line) {
    size_t end = 0;
    while (end < text.size() && !is_space(text[end])) ++end;
    Instruction instruction{.line = line, .keyword = upper(text.substr(0, end))};
    const Known* known = find_known(instruction.keyword);
    if (known == nullptr) return unknown_instruction(instruction.keyword, line);
    std::string_view rest = trim_left(text.substr(end));
    instruction.flags = take_flags(rest, file_.escape);
    instruction.arguments = std::string(rest);
    if (rest.empty() && !known->wants.empty() && instruction.keyword != "COPY" && instruction.keyword != "ADD") {
      return dockerfile_error(line, instruction.keyword + " requires " + std::string(known->wants));
    }
    if (!takes_json(instruction.keyword)) return instruction;
    auto list = parse_json_list(rest);
    if (!list.ok()) return dockerfile_error(line, list.error().message());
    if (list->has_value()) {
      instruction.is_json = true;
      instruction.list = **std::move(list);
    }
    return instruction;
  }

  static Error unknown_instruction(const std::string& keyword, unsigned line) {
    const std::vector<std::string> names = known_instructions();
    std::string message = "unknown instruction: " + keyword;
    if (const auto meant = nearest(keyword, names)) message += " (did you mean " + *meant + "?)";
    return dockerfile_error(line, message);
  }

  Result<> read_here_documents(Instruction& instruction) {
    std::string_view keyword = instruction.keyword;
    std::string trigger;
    if (keyword == "ONBUILD") {
      trigger = upper(split_words(instruction.arguments, file_.escape).front());
      keyword = trigger;
    }
    if (!takes_here_documents(keyword) || instruction.is_json) return {};
    for (const std::string& word : split_words(instruction.arguments, file_.escape)) {
      const std::optional<HereMark> mark = here_mark(word, file_.escape);
      if (!mark) continue;
      if (instruction.here_documents.size() == kMostHereDocuments) {
        return dockerfile_error(instruction.line, "too many here-documents");
      }
      instruction.here_documents.push_back(TRY(read_here_document(*mark, instruction.line)));
    }
    return {};
  }

  Result<HereDocument> read_here_document(const HereMark& mark, unsigned line_of_instruction) {
    HereDocument document{.name = mark.name, .content = {}, .expands = mark.expands};
    while (!lines_.at_end()) {
      std::string_view line = TRY(lines_.take());
      if (mark.strips_tabs) {
        while (line.starts_with('\t')) line.remove_prefix(1);
      }
      std::string_view bare = line;
      if (bare.ends_with('\r')) bare.remove_suffix(1);
      if (bare == mark.name) return document;
      document.content += line;
      document.content += '\n';
    }
    return dockerfile_error(line_of_instruction, "unterminated heredoc");
  }

  Lines lines_;
  Dockerfile file_;
};

}  // namespace

std::string Instruction::text() const {
  std::string text = keyword;
  for (const InstructionFlag& flag : flags) {
    text += " --" + flag.name;
    if (flag.has_value) text += "=" + flag.value;
  }
  if (!arguments.empty()) text += " " + arguments;
  return text;
}

Result<Dockerfile> parse_dockerfile(std::string_view text, const std::string& name) {
  Dockerfile file = TRY(Parser(text).parse());
  if (file.instructions.empty()) return invalid("the Dockerfile (" + name + ") cannot be empty");
  return file;
}

Result<Instruction> parse_instruction(std::string_view text) { return Parser(text).parse_one(); }

std::vector<std::string> known_instructions() {
  std::vector<std::string> names;
  for (const Known& known : kKnown) names.emplace_back(known.keyword);
  return names;
}

const std::vector<std::string>& known_flags(std::string_view keyword) {
  static const std::map<std::string_view, std::vector<std::string>> kFlags = {
      {"ADD", {"chown", "chmod", "link", "exclude", "checksum", "keep-git-dir", "unpack"}},
      {"COPY", {"from", "chown", "chmod", "link", "parents", "exclude"}},
      {"FROM", {"platform"}},
      {"HEALTHCHECK", {"interval", "timeout", "start-period", "start-interval", "retries"}},
      {"RUN", {"mount", "network", "security"}}};
  static const std::vector<std::string> kNone;
  const auto found = kFlags.find(keyword);
  return found == kFlags.end() ? kNone : found->second;
}

Error dockerfile_error(unsigned line, const std::string& message) {
  return invalid("dockerfile parse error on line " + std::to_string(line) + ": " + message);
}

Error unknown_flag(const std::string& name, const std::vector<std::string>& known) {
  std::string message = "unknown flag: --" + name;
  if (const auto meant = nearest(name, known)) message += " (did you mean --" + *meant + "?)";
  return invalid(message);
}

const InstructionFlag* find_flag(const Instruction& instruction, std::string_view name) {
  for (const InstructionFlag& flag : instruction.flags) {
    if (flag.name == name) return &flag;
  }
  return nullptr;
}

}  // namespace gantry::engine
