#include "cli/flags.h"

#include <charconv>

#include "base/strings.h"

namespace gantry::cli {

namespace {

std::optional<bool> parse_switch(std::string_view text) {
  const std::string lower = to_lower(text);
  if (lower == "true" || lower == "1" || lower == "t") return true;
  if (lower == "false" || lower == "0" || lower == "f") return false;
  return std::nullopt;
}

std::optional<int64_t> parse_number(std::string_view text) {
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::string name_on_screen(const Flag& flag) {
  std::string name = "--" + std::string(flag.name);
  return flag.letter != 0 ? std::string("-") + flag.letter + ", " + name : name;
}

}  // namespace

// Walks over the words once; one object per command line.
class Parser {
 public:
  Parser(std::vector<const Flag*> flags, bool stop_at_argument, std::span<const std::string> words)
      : flags_(std::move(flags)), stop_at_argument_(stop_at_argument), words_(words) {}

  Result<Arguments> run() {
    while (next_ < words_.size()) {
      const std::string& word = words_[next_];
      if (word == "--") {
        ++next_;
        take_rest();
      } else if (word.starts_with("--")) {
        ++next_;
        TRY(long_flag(std::string_view(word).substr(2)));
      } else if (word.size() > 1 && word[0] == '-') {
        ++next_;
        TRY(letters(std::string_view(word).substr(1)));
      } else if (stop_at_argument_) {
        take_rest();
      } else {
        ++next_;
        arguments_.positional_.push_back(word);
      }
    }
    return std::move(arguments_);
  }

 private:
  void take_rest() {
    for (; next_ < words_.size(); ++next_) arguments_.positional_.push_back(words_[next_]);
  }

  Result<> long_flag(std::string_view text) {
    const size_t equals = text.find('=');
    const std::string_view name = text.substr(0, equals);
    const Flag* flag = find(name);
    if (flag == nullptr) {
      std::vector<std::string> known;
      for (const Flag* candidate : flags_) {
        if (!candidate->hidden) known.push_back(std::string(candidate->name));
      }
      auto near = nearest(name, known);
      return invalid("unknown flag: --" + std::string(name) + (near ? ": did you mean --" + *near + "?" : ""));
    }
    if (equals != std::string_view::npos) return set(*flag, text.substr(equals + 1));
    if (flag->kind == FlagKind::boolean) return set(*flag, "true");
    if (next_ == words_.size()) return invalid("flag needs an argument: --" + std::string(name));
    return set(*flag, words_[next_++]);
  }

  Result<> letters(std::string_view text) {
    for (size_t i = 0; i < text.size(); ++i) {
      const Flag* flag = find(text[i]);
      if (flag == nullptr) {
        return invalid(std::string("unknown shorthand flag: '") + text[i] + "' in -" + std::string(text));
      }
      std::string_view rest = text.substr(i + 1);
      if (flag->kind == FlagKind::boolean) {
        if (rest.starts_with('=')) return set(*flag, rest.substr(1));
        TRY(set(*flag, "true"));
        continue;
      }
      if (rest.starts_with('=')) rest.remove_prefix(1);
      if (!rest.empty()) return set(*flag, rest);
      if (next_ == words_.size()) {
        return invalid(std::string("flag needs an argument: '") + text[i] + "' in -" + std::string(text));
      }
      return set(*flag, words_[next_++]);
    }
    return {};
  }

  Result<> set(const Flag& flag, std::string_view value) {
    const std::string complaint =
        "invalid argument " + gantry::quoted(value) + " for \"" + name_on_screen(flag) + "\" flag: ";
    auto& values = arguments_.values_[std::string(flag.name)];
    if (flag.kind == FlagKind::boolean) {
      const auto on = parse_switch(value);
      if (!on) return invalid(complaint + "true or false is needed");
      if (*on && !flag.refused.empty()) return refuse(flag);
      values = {*on ? "true" : "false"};
      return {};
    }
    if (!flag.refused.empty()) return refuse(flag);
    if (flag.kind == FlagKind::number && !parse_number(value)) return invalid(complaint + "a number is needed");
    if (flag.kind != FlagKind::list) values.clear();
    values.emplace_back(value);
    return {};
  }

  static Result<> refuse(const Flag& flag) {
    return unsupported("--" + std::string(flag.name) + " is not supported: " + std::string(flag.refused));
  }

  const Flag* find(std::string_view name) const {
    for (const Flag* flag : flags_) {
      if (flag->name == name) return flag;
    }
    return nullptr;
  }
  const Flag* find(char letter) const {
    for (const Flag* flag : flags_) {
      if (flag->letter == letter) return flag;
    }
    return nullptr;
  }

  std::vector<const Flag*> flags_;
  bool stop_at_argument_;
  std::span<const std::string> words_;
  size_t next_ = 0;
  Arguments arguments_;
};

bool Arguments::given(std::string_view flag) const { return values_.contains(flag); }

bool Arguments::on(std::string_view flag) const {
  const auto found = values_.find(flag);
  return found != values_.end() && found->second.back() == "true";
}

std::string Arguments::text(std::string_view flag, std::string_view fallback) const {
  const auto found = values_.find(flag);
  return found != values_.end() ? found->second.back() : std::string(fallback);
}

std::vector<std::string> Arguments::list(std::string_view flag) const {
  const auto found = values_.find(flag);
  return found != values_.end() ? found->second : std::vector<std::string>();
}

std::optional<int64_t> Arguments::number(std::string_view flag) const {
  const auto found = values_.find(flag);
  return found != values_.end() ? parse_number(found->second.back()) : std::nullopt;
}

namespace {

std::vector<const Flag*> pointers(std::span<const Flag> first, std::span<const Flag> second) {
  std::vector<const Flag*> flags;
  for (const Flag& flag : first) flags.push_back(&flag);
  for (const Flag& flag : second) flags.push_back(&flag);
  return flags;
}

std::string plural_arguments(size_t count) { return std::to_string(count) + (count == 1 ? " argument" : " arguments"); }

Result<> check_count(const Syntax& syntax, size_t count) {
  if (count < syntax.least_arguments) {
    return invalid("requires at least " + std::to_string(syntax.least_arguments) + " arg(s), only received " +
                   std::to_string(count));
  }
  if (count > syntax.most_arguments) {
    return invalid("accepts at most " + plural_arguments(syntax.most_arguments) + ", received " +
                   std::to_string(count));
  }
  return {};
}

}  // namespace

Result<Arguments> parse(const Syntax& syntax, std::span<const Flag> extra, std::span<const std::string> words) {
  Arguments arguments = TRY(Parser(pointers(syntax.flags, extra), !syntax.interspersed, words).run());
  if (arguments.on("help")) return arguments;
  TRY(check_count(syntax, arguments.positional().size()));
  return arguments;
}

Result<Arguments> parse_leading(std::span<const Flag> flags, std::span<const std::string> words,
                                std::vector<std::string>& rest) {
  Arguments arguments = TRY(Parser(pointers(flags, {}), true, words).run());
  rest = arguments.positional();
  return arguments;
}

std::string options_help(std::span<const Flag> flags) {
  std::vector<std::pair<std::string, const Flag*>> rows;
  size_t width = 0;
  for (const Flag& flag : flags) {
    if (flag.hidden) continue;
    std::string left = flag.letter != 0 ? std::string("  -") + flag.letter + ", " : "      ";
    left += "--" + std::string(flag.name);
    if (!flag.value_name.empty()) left += " " + std::string(flag.value_name);
    width = std::max(width, left.size());
    rows.emplace_back(std::move(left), &flag);
  }
  std::sort(rows.begin(), rows.end(), [](const auto& a, const auto& b) { return std::string_view(a.second->name) < std::string_view(b.second->name); });
  std::string text;
  for (const auto& [left, flag] : rows) {
    const std::string help = flag->refused.empty() ? std::string(flag->help) : "Not supported: " + std::string(flag->refused);
    text += left + std::string(width - left.size() + 3, ' ') + help + "\n";
  }
  return text;
}

std::string help_page(std::string_view program, const Syntax& syntax, std::span<const Flag> extra) {
  std::string text = "Usage:  " + std::string(program) + " " + std::string(syntax.name) + " [OPTIONS]";
  if (!syntax.arguments.empty()) text += " " + std::string(syntax.arguments);
  text += "\n\n" + std::string(syntax.summary) + "\n\nOptions:\n";
  std::vector<Flag> flags(syntax.flags.begin(), syntax.flags.end());
  flags.insert(flags.end(), extra.begin(), extra.end());
  return text + options_help(flags);
}

std::string suggestion(std::string_view word, const std::vector<std::string>& known) {
  const auto near = nearest(word, known);
  return near ? ": did you mean " + gantry::quoted(*near) + "?" : "";
}

}  // namespace gantry::cli
