#include "compose/dotenv.h"

#include "base/strings.h"

namespace gantry::compose {
namespace {

bool key_part(char c) {
  return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
         std::string_view("_.-[]").find(c) != std::string_view::npos;
}

bool blank(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\v' || c == '\f'; }

std::string_view strip_mark(std::string_view text) {
  if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
  return text;
}

std::string_view trim_right(std::string_view text) {
  while (!text.empty() && (blank(text.back()) || text.back() == '\n')) text.remove_suffix(1);
  return text;
}

// The escapes of a double-quoted value; `\$` becomes `$$`, which the substitution turns into `$`.
std::string unescape(std::string_view text) {
  constexpr std::string_view kFrom = "abfnrtv\\\"";
  constexpr std::string_view kTo = "\a\b\f\n\r\t\v\\\"";
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\\' || i + 1 == text.size()) {
      out += text[i];
      continue;
    }
    char next = text[i + 1];
    if (size_t at = kFrom.find(next); at != std::string_view::npos) {
      out += kTo[at];
      ++i;
    } else if (next == '$') {
      out += "$$";
      ++i;
    } else if (next == '0') {
      int value = 0, digits = 0;
      for (size_t k = i + 2; digits < 3 && k < text.size() && text[k] >= '0' && text[k] <= '7'; ++k, ++digits) {
        value = value * 8 + (text[k] - '0');
      }
      if (digits == 0) {
        out += '\\';
        continue;
      }
      out += static_cast<char>(value);
      i += 1 + static_cast<size_t>(digits);
    } else {
      out += '\\';
    }
  }
  return out;
}

class DotenvReader {
 public:
  DotenvReader(std::string_view text, const Lookup& lookup, const Environment& earlier, std::vector<std::string>* unset)
      : rest_(strip_mark(text)), outer_(lookup), unset_(unset), own_(earlier) {}

  Result<Assignments> run() {
    while (skip_to_statement()) {
      if (auto done = statement(); !done.ok()) {
        return std::move(done).error();
      }
    }
    return std::move(out_);
  }

 private:
  // Over blank lines and comments; false at the end.
  bool skip_to_statement() {
    for (;;) {
      while (!rest_.empty() && (blank(rest_[0]) || rest_[0] == '\n')) advance(1);
      if (rest_.empty()) return false;
      if (rest_[0] != '#') return true;
      advance(std::min(rest_.find('\n'), rest_.size()));
    }
  }

  void advance(size_t count) {
    for (size_t i = 0; i < count; ++i) line_ += rest_[i] == '\n' ? 1 : 0;
    rest_.remove_prefix(count);
  }

  Error at_line(const std::string& message) const { return invalid("line " + std::to_string(line_) + ": " + message); }

  Result<> statement() {
    statement_line_ = line_;
    std::string_view line = rest_.substr(0, rest_.find('\n'));
    if (line.starts_with("export") && line.size() > 6 && blank(line[6])) {
      advance(6);
      while (!rest_.empty() && blank(rest_[0])) advance(1);
      line = rest_.substr(0, rest_.find('\n'));
    }
    size_t end = 0;
    while (end < line.size() && key_part(line[end])) ++end;
    size_t separator = end;
    while (separator < line.size() && blank(line[separator])) ++separator;
    bool ends = separator == line.size();
    if (!ends && line[separator] != '=' && line[separator] != ':') {
      std::string_view whole = trim_right(line);
      if (separator > end && key_part(line[separator])) return at_line("key cannot contain a space");
      return at_line("unexpected character \"" + std::string(1, line[separator]) + "\" in variable name " +
                     gantry::quoted(whole));
    }
    std::string key(line.substr(0, end));
    if (key.empty()) return at_line("unexpected character \"" + std::string(1, line[0]) + "\" in variable name " +
                                    gantry::quoted(trim_right(line)));
    if (ends) {
      advance(line.size());
      if (const std::string* value = outer_(key)) assign(key, *value);
      return {};
    }
    advance(separator + 1);
    while (!rest_.empty() && blank(rest_[0])) advance(1);
    return value(key);
  }

  Result<> value(const std::string& key) {
    if (!rest_.empty() && (rest_[0] == '"' || rest_[0] == '\'')) return quoted_value(key, rest_[0]);
    std::string_view line = rest_.substr(0, rest_.find('\n'));
    size_t end = line.size();
    for (size_t i = 0; i < line.size(); ++i) {
      // Only after a space: `KEY=#text` is a value.
      if (line[i] == '#' && i > 0 && line[i - 1] == ' ') {
        end = i;
        break;
      }
    }
    std::string text = TRY(expand(trim_right(line.substr(0, end))));
    advance(line.size());
    assign(key, std::move(text));
    return {};
  }

  Result<> quoted_value(const std::string& key, char quote) {
    size_t close = 1;
    while (close < rest_.size() && !(rest_[close] == quote && rest_[close - 1] != '\\')) ++close;
    // A closing quote after an escaped backslash ("…\\") ends the value, too.
    if (close >= rest_.size()) {
      close = rest_.substr(0, rest_.find('\n')).rfind(quote);
      if (close == 0 || close == std::string_view::npos || close < 3 || rest_[close - 2] != '\\') {
        std::string_view line = rest_.substr(0, rest_.find('\n'));
        return at_line("unterminated quoted value " + std::string(trim_right(line)));
      }
    }
    std::string_view inside = rest_.substr(1, close - 1);
    std::string text;
    if (quote == '\'') {
      for (size_t i = 0; i < inside.size(); ++i) {
        if (inside[i] == '\\' && i + 1 < inside.size() && inside[i + 1] == '\'') continue;
        text += inside[i];
      }
    } else {
      text = TRY(expand(unescape(inside)));
    }
    advance(close + 1);
    assign(key, std::move(text));
    return {};
  }

  Result<std::string> expand(std::string_view text) {
    if (text.find('$') == std::string_view::npos) return std::string(text);
    Lookup lookup = [this](std::string_view name) -> const std::string* {
      if (const std::string* value = outer_(name)) return value;
      auto found = own_.find(name);
      return found == own_.end() ? nullptr : &found->second;
    };
    auto result = substitute(text, lookup);
    if (!result.ok()) return at_line(result.error().message());
    if (unset_ != nullptr) unset_->insert(unset_->end(), result->unset.begin(), result->unset.end());
    size_ += result->text.size();
    if (size_ > kLargestValues) return at_line("the values are larger than 64 MiB once their variables are replaced");
    return std::move(result->text);
  }

  void assign(const std::string& key, std::string text) {
    own_[key] = text;
    out_.push_back({key, std::move(text), statement_line_});
  }

  std::string_view rest_;
  const Lookup& outer_;
  std::vector<std::string>* unset_;
  Environment own_;
  size_t size_ = 0;  // of the values with variables so far
  int line_ = 1;
  int statement_line_ = 1;
  Assignments out_;
};

}  // namespace

Result<Assignments> parse_dotenv(std::string_view text, const Lookup& lookup, const Environment& earlier,
                                 std::vector<std::string>* unset) {
  return DotenvReader(text, lookup, earlier, unset).run();
}

Result<Assignments> parse_raw_env(std::string_view text, const Lookup& lookup) {
  text = strip_mark(text);
  Assignments out;
  for (int number = 1; !text.empty(); ++number) {
    size_t end = text.find('\n');
    std::string_view line = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    if (line.ends_with('\r')) line.remove_suffix(1);
    while (!line.empty() && (line[0] == ' ' || line[0] == '\t')) line.remove_prefix(1);
    if (line.empty() || line[0] == '#') continue;
    size_t equals = line.find('=');
    std::string key(line.substr(0, equals));
    if (key.empty()) return invalid("no variable name on line '" + std::string(line) + "'");
    if (key.find_first_of(" \t") != std::string::npos) return invalid("variable '" + key + "' contains whitespaces");
    if (equals != std::string_view::npos) out.push_back({key, std::string(line.substr(equals + 1)), number});
    else if (const std::string* value = lookup(key)) out.push_back({key, *value, number});
  }
  return out;
}

}  // namespace gantry::compose
