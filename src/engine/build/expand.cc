#include "engine/build/expand.h"

#include <algorithm>

#include "base/strings.h"

namespace gantry::engine {
namespace {

constexpr int kDeepestExpansion = 100;
constexpr size_t kLongestForPatterns = 64 * 1024;
constexpr size_t kMostPatternSteps = 50'000'000;  // a second or so: hostile patterns end here
constexpr std::string_view kSpaces = " \t\r\n\v\f";

bool is_name_start(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }

// ---- Patterns of ${v#p}, ${v%p} and ${v/p/r}: only * and ?, and \x for x itself.

struct PatternItem {
  enum class Kind { literal, any_one, any_run } kind;
  char literal = 0;
};

std::vector<PatternItem> compile(std::string_view pattern, char escape) {
  std::vector<PatternItem> items;
  for (size_t i = 0; i < pattern.size(); ++i) {
    if (pattern[i] == escape && i + 1 < pattern.size()) {
      items.push_back({PatternItem::Kind::literal, pattern[++i]});
    } else if (pattern[i] == '*') {
      items.push_back({PatternItem::Kind::any_run});
    } else if (pattern[i] == '?') {
      items.push_back({PatternItem::Kind::any_one});
    } else {
      items.push_back({PatternItem::Kind::literal, pattern[i]});
    }
  }
  return items;
}

class Matcher {
 public:
  Matcher(std::vector<PatternItem> items, std::string_view text) : items_(std::move(items)), text_(text) {}

  // Length of the longest (or shortest) match that starts at `begin`; nothing if there is none.
  Result<std::optional<size_t>> match(size_t begin, bool longest) {
    std::vector<bool> states(items_.size() + 1);
    states[0] = true;
    close_over(states);
    std::optional<size_t> found;
    for (size_t at = begin;; ++at) {
      if (states.back()) {
        found = at - begin;
        if (!longest) break;
      }
      if (at == text_.size()) break;
      states = step(states, text_[at]);
      close_over(states);
      steps_ += items_.size() + 1;
      if (steps_ > kMostPatternSteps) return invalid("pattern takes too long to match");
      if (std::find(states.begin(), states.end(), true) == states.end()) break;
    }
    return found;
  }

 private:
  void close_over(std::vector<bool>& states) const {
    for (size_t i = 0; i < items_.size(); ++i) {
      if (states[i] && items_[i].kind == PatternItem::Kind::any_run) states[i + 1] = true;
    }
  }
  std::vector<bool> step(const std::vector<bool>& from, char c) const {
    std::vector<bool> to(from.size());
    for (size_t i = 0; i < items_.size(); ++i) {
      if (!from[i]) continue;
      if (items_[i].kind == PatternItem::Kind::any_run) {
        to[i] = true;
      } else if (items_[i].kind == PatternItem::Kind::any_one || items_[i].literal == c) {
        to[i + 1] = true;
      }
    }
    return to;
  }

  std::vector<PatternItem> items_;
  std::string_view text_;
  size_t steps_ = 0;
};

Result<std::string> without_prefix(const std::string& value, std::string_view pattern, char escape, bool longest) {
  Matcher matcher(compile(pattern, escape), value);
  const std::optional<size_t> length = TRY(matcher.match(0, longest));
  return length ? value.substr(*length) : value;
}

Result<std::string> without_suffix(const std::string& value, std::string_view pattern, char escape, bool longest) {
  // The suffix of the value is a prefix of its mirror image.
  std::vector<PatternItem> items = compile(pattern, escape);
  std::reverse(items.begin(), items.end());
  const std::string mirrored(value.rbegin(), value.rend());
  Matcher matcher(std::move(items), mirrored);
  const std::optional<size_t> length = TRY(matcher.match(0, longest));
  return length ? value.substr(0, value.size() - *length) : value;
}

Result<std::string> replaced(const std::string& value, std::string_view pattern, std::string_view replacement,
                             char escape, bool all) {
  Matcher matcher(compile(pattern, escape), value);
  std::string result;
  size_t at = 0;
  while (at < value.size()) {
    const std::optional<size_t> length = TRY(matcher.match(at, /*longest=*/true));
    if (!length || *length == 0) {
      result += value[at++];
      continue;
    }
    result += replacement;
    at += *length;
    if (!all) break;
  }
  return result + value.substr(std::min(at, value.size()));
}

// ---- The words themselves: recursive descent, one method a construct.

class Expander {
 public:
  Expander(std::string_view text, char escape, const VariableLookup& lookup, Quotes quotes)
      : text_(text), escape_(escape), lookup_(lookup), quotes_(quotes) {}

  Result<std::string> run() { return word({}); }

 private:
  bool at_end() const { return at_ == text_.size(); }
  char peek() const { return text_[at_]; }

  // Up to (not including) the first unquoted character of `stops`, or the end.
  Result<std::string> word(std::string_view stops) {
    std::string result;
    while (!at_end() && stops.find(peek()) == std::string_view::npos) {
      const char c = peek();
      if (c == '$') {
        result += TRY(dollar());
      } else if (c == escape_) {
        escaped(result, stops);
      } else if (c == '\'' && quotes_ == Quotes::remove) {
        result += TRY(single_quoted());
      } else if (c == '"' && quotes_ == Quotes::remove) {
        result += TRY(double_quoted());
      } else {
        result += c;
        ++at_;
      }
    }
    return result;
  }

  void escaped(std::string& result, std::string_view stops) {
    ++at_;
    if (at_end()) {
      result += escape_;
      return;
    }
    const char next = text_[at_++];
    const bool means_itself = quotes_ == Quotes::remove || next == '$' || stops.find(next) != std::string_view::npos;
    if (!means_itself) result += escape_;
    result += next;
  }

  Result<std::string> single_quoted() {
    const size_t end = text_.find('\'', ++at_);
    if (end == std::string_view::npos) {
      return invalid("unexpected end of statement while looking for matching single-quote");
    }
    std::string result(text_.substr(at_, end - at_));
    at_ = end + 1;
    return result;
  }

  Result<std::string> double_quoted() {
    ++at_;
    std::string result;
    while (!at_end()) {
      const char c = peek();
      if (c == '"') {
        ++at_;
        return result;
      }
      if (c == '$') {
        result += TRY(dollar());
        continue;
      }
      ++at_;
      if (c != escape_ || at_end()) {
        result += c;
        continue;
      }
      const char next = text_[at_++];
      if (next != '"' && next != '$' && next != escape_) result += c;
      result += next;
    }
    return invalid("unexpected end of statement while looking for matching double-quote");
  }

  Result<std::string> dollar() {
    ++at_;
    if (at_end()) return std::string("$");
    if (peek() == '{') return braces();
    const std::string name = take_name();
    if (name.empty()) return std::string("$");
    return lookup_(name).value_or("");
  }

  std::string take_name() {
    const size_t begin = at_;
    if (!at_end() && is_name_start(peek())) {
      while (!at_end() && (is_name_start(peek()) || is_digit(peek()))) ++at_;
    } else {
      while (!at_end() && is_digit(peek())) ++at_;
    }
    return std::string(text_.substr(begin, at_ - begin));
  }

  static Error missing_brace() { return invalid("syntax error: missing '}'"); }

  Result<std::string> braces() {
    if (++depth_ > kDeepestExpansion) return invalid("variables are nested too deeply");
    ++at_;
    if (at_end()) return missing_brace();
    const std::string name = take_name();
    if (at_end()) return missing_brace();
    if (name.empty()) return invalid("syntax error: bad substitution");
    std::string value;
    if (peek() == '}') {
      value = lookup_(name).value_or("");
    } else {
      value = TRY(modified(name));
    }
    if (at_end()) return missing_brace();
    ++at_;  // the brace
    --depth_;
    return value;
  }

  // What follows the name: an operator and its words, up to the closing brace.
  Result<std::string> modified(const std::string& name) {
    bool empty_counts_as_unset = false;
    char operation = text_[at_++];
    if (operation == ':') {
      if (at_end()) return missing_brace();
      empty_counts_as_unset = true;
      operation = text_[at_++];
    }
    if (operation == '-' || operation == '+' || operation == '?') {
      return with_fallback(name, operation, empty_counts_as_unset);
    }
    const bool is_pattern = operation == '#' || operation == '%' || operation == '/';
    if (!is_pattern || empty_counts_as_unset) {
      return invalid(std::string("unsupported modifier (") + (empty_counts_as_unset ? ":" : "") + operation +
                     ") in substitution");
    }
    return with_pattern(name, operation);
  }

  Result<std::string> with_fallback(const std::string& name, char operation, bool empty_counts_as_unset) {
    const std::string other = TRY(word("}"));
    const std::optional<std::string> value = lookup_(name);
    const bool is_set = value.has_value() && !(empty_counts_as_unset && value->empty());
    if (operation == '+') return is_set ? other : std::string();
    if (is_set) return *value;
    if (operation == '-') return other;
    if (!other.empty()) return invalid(name + ": " + other);
    return invalid(name + (value.has_value() ? ": not allowed to be empty" : ": not allowed to be unset"));
  }

  Result<std::string> with_pattern(const std::string& name, char operation) {
    const bool doubled = !at_end() && peek() == operation;
    if (doubled) ++at_;
    const std::string pattern = TRY(pattern_word(operation == '/' ? "/}" : "}"));
    std::string replacement;
    if (operation == '/') {
      if (at_end()) return missing_brace();
      if (peek() == '/') {
        ++at_;
        replacement = TRY(word("}"));
      }
    }
    if (at_end()) return missing_brace();
    const std::string value = lookup_(name).value_or("");
    if (value.size() > kLongestForPatterns) return invalid(name + " is too long for a pattern");
    if (operation == '#') return without_prefix(value, pattern, escape_, doubled);
    if (operation == '%') return without_suffix(value, pattern, escape_, doubled);
    return replaced(value, pattern, replacement, escape_, doubled);
  }

  // As word(), but escapes stay for the pattern: "\*" is a star. Only a stop's escape goes.
  Result<std::string> pattern_word(std::string_view stops) {
    std::string result;
    while (!at_end() && stops.find(peek()) == std::string_view::npos) {
      const char c = peek();
      if (c == '$') {
        result += TRY(dollar());
        continue;
      }
      ++at_;
      if (c == escape_ && !at_end()) {
        const char next = text_[at_++];
        if (stops.find(next) == std::string_view::npos) result += c;
        result += next;
        continue;
      }
      result += c;
    }
    return result;
  }

  std::string_view text_;
  char escape_;
  const VariableLookup& lookup_;
  Quotes quotes_;
  size_t at_ = 0;
  int depth_ = 0;
};

}  // namespace

Result<std::string> expand(std::string_view text, char escape, const VariableLookup& lookup, Quotes quotes) {
  return Expander(text, escape, lookup, quotes).run();
}

std::vector<std::string> split_words(std::string_view text, char escape) {
  std::vector<std::string> words;
  std::string word;
  bool in_word = false;
  char quote = 0;
  for (size_t at = 0; at < text.size(); ++at) {
    const char c = text[at];
    if (quote == 0 && kSpaces.find(c) != std::string_view::npos) {
      if (in_word) words.push_back(std::move(word));
      word.clear();
      in_word = false;
      continue;
    }
    in_word = true;
    word += c;
    if (c == escape && quote != '\'' && at + 1 < text.size()) {
      word += text[++at];
    } else if (quote != 0 ? c == quote : c == '"' || c == '\'') {
      quote = quote != 0 ? 0 : c;
    }
  }
  if (in_word) words.push_back(std::move(word));
  return words;
}

}  // namespace gantry::engine
