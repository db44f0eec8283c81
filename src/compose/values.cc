#include "compose/values.h"

#include <arpa/inet.h>

#include <charconv>
#include <cmath>
#include <limits>

#include "base/strings.h"
#include "compose/scalar.h"

namespace gantry::compose {
namespace {

struct Unit {
  std::string_view name;
  double nanoseconds;
};
constexpr double kSecond = 1e9;
constexpr Unit kUnits[] = {
    {"ns", 1},         {"us", 1e3},       {"\u00b5s", 1e3},    {"\u03bcs", 1e3},       {"ms", 1e6},
    {"s", kSecond},    {"m", 60 * kSecond}, {"h", 3600 * kSecond}, {"d", 86400 * kSecond}, {"w", 604800 * kSecond},
};

std::string fraction(int64_t value, int digits) {
  std::string text = std::to_string(value);
  text.insert(0, static_cast<size_t>(digits) - std::min<size_t>(text.size(), static_cast<size_t>(digits)), '0');
  while (!text.empty() && text.back() == '0') text.pop_back();
  return text.empty() ? "" : "." + text;
}

}  // namespace

Result<int64_t> parse_bytes(std::string_view text) {
  if (auto plain = parse_integer(text)) return *plain;
  size_t end = 0;
  while (end < text.size() && (is_digit(text[end]) || text[end] == '.' || text[end] == '-' || text[end] == '+')) ++end;
  auto number = parse_number(text.substr(0, end));
  if (!number) return invalid("invalid size: " + gantry::quoted(text) + "; write for example 512m or 1.5g");
  std::string suffix = to_lower(text.substr(end));
  if (suffix.starts_with(' ')) suffix.erase(0, 1);
  int power = 0;
  if (!suffix.empty() && suffix != "b") {
    size_t at = std::string_view("kmgtp").find(suffix[0]);
    std::string_view rest = std::string_view(suffix).substr(1);
    if (at == std::string_view::npos || (rest != "" && rest != "b" && rest != "ib")) {
      return invalid("invalid suffix: '" + suffix + "' in size " + gantry::quoted(text) + "; known are b, k, m, g, t, p");
    }
    power = static_cast<int>(at) + 1;
  }
  double bytes = std::trunc(std::ldexp(*number, 10 * power));
  if (std::abs(bytes) >= std::ldexp(1.0, 63)) return invalid("size " + gantry::quoted(text) + " is too large");
  return static_cast<int64_t>(bytes);
}

Result<std::chrono::nanoseconds> parse_duration(std::string_view text) {
  auto malformed = [&] { return invalid("invalid duration " + gantry::quoted(text) + "; write for example 90s or 1m30s"); };
  std::string_view rest = text;
  bool negative = rest.starts_with('-');
  if (negative || rest.starts_with('+')) rest.remove_prefix(1);
  if (rest == "0") return std::chrono::nanoseconds(0);
  if (rest.empty()) return malformed();
  long double total = 0;
  while (!rest.empty()) {
    size_t end = 0;
    while (end < rest.size() && (is_digit(rest[end]) || rest[end] == '.')) ++end;
    auto number = parse_number(rest.substr(0, end));
    if (!number) return malformed();
    rest.remove_prefix(end);
    size_t unit_end = 0;
    while (unit_end < rest.size() && !is_digit(rest[unit_end]) && rest[unit_end] != '.') ++unit_end;
    std::string_view name = rest.substr(0, unit_end);
    if (name.empty()) {
      return invalid("missing unit in duration " + gantry::quoted(text) + "; for seconds write " +
                     gantry::quoted(std::string(text) + "s"));
    }
    const Unit* unit = nullptr;
    for (const Unit& known : kUnits) {
      if (known.name == name) unit = &known;
    }
    if (unit == nullptr) {
      return invalid("unknown unit " + gantry::quoted(name) + " in duration " + gantry::quoted(text) +
                     "; known are ns, us, ms, s, m, h, d, w");
    }
    total += static_cast<long double>(*number) * static_cast<long double>(unit->nanoseconds);
    rest.remove_prefix(unit_end);
  }
  if (total >= 9.2e18L) return invalid("duration " + gantry::quoted(text) + " is too long");
  auto count = static_cast<int64_t>(std::llround(total));
  return std::chrono::nanoseconds(negative ? -count : count);
}

std::string format_duration(std::chrono::nanoseconds duration) {
  int64_t value = duration.count();
  if (value == 0) return "0s";
  std::string sign = value < 0 ? "-" : "";
  value = value < 0 ? -value : value;
  if (value < 1'000) return sign + std::to_string(value) + "ns";
  if (value < 1'000'000) return sign + std::to_string(value / 1'000) + fraction(value % 1'000, 3) + "\u00b5s";
  if (value < 1'000'000'000) return sign + std::to_string(value / 1'000'000) + fraction(value % 1'000'000, 6) + "ms";
  int64_t seconds = value / 1'000'000'000;
  std::string out = sign;
  if (seconds >= 3600) out += std::to_string(seconds / 3600) + "h";
  if (seconds >= 60) out += std::to_string(seconds / 60 % 60) + "m";
  return out + std::to_string(seconds % 60) + fraction(value % 1'000'000'000, 9) + "s";
}

Result<std::vector<std::string>> split_command(std::string_view text) {
  std::vector<std::string> words;
  std::string word;
  bool in_word = false;
  auto malformed = [&](const char* why) {
    return invalid("invalid command line string: " + std::string(why) + " in " + gantry::quoted(text) +
                   "; use the list form for words with special characters");
  };
  auto finish = [&] {
    if (in_word) words.push_back(std::move(word));
    word.clear();
    in_word = false;
  };
  for (size_t i = 0; i < text.size(); ++i) {
    char c = text[i];
    if (c == ' ' || c == '\t' || c == '\n' || c == '\r') {
      finish();
    } else if (c == '\'') {
      size_t close = text.find('\'', i + 1);
      if (close == std::string_view::npos) return malformed("unclosed quote");
      word += text.substr(i + 1, close - i - 1);
      in_word = true;
      i = close;
    } else if (c == '"') {
      in_word = true;
      for (++i; i < text.size() && text[i] != '"'; ++i) {
        if (text[i] == '\\' && i + 1 < text.size()) ++i;
        word += text[i];
      }
      if (i == text.size()) return malformed("unclosed quote");
    } else if (c == '\\') {
      if (i + 1 == text.size()) return malformed("backslash at the end");
      word += text[++i];
      in_word = true;
    } else if (c == '`' || (c == '$' && i + 1 < text.size() && text[i + 1] == '(')) {
      // Kept as text up to its end: one word, however many spaces are in it.
      size_t close = text.find(c == '`' ? '`' : ')', i + 1);
      if (close == std::string_view::npos) return malformed(c == '`' ? "unclosed backquote" : "unclosed $(");
      word += text.substr(i, close - i + 1);
      in_word = true;
      i = close;
    } else if (c == '(' || c == ')') {
      return malformed("unquoted parenthesis");
    } else if (c == ';' || c == '&' || c == '|' || c == '<' || c == '>') {
      // A shell operator ends what other implementations read; no shell is there to act on it.
      if (c == '>' && in_word && !word.empty() && is_digit(word[0])) word.clear(), in_word = false;
      break;
    } else {
      word += c;
      in_word = true;
    }
  }
  finish();
  return words;
}

Result<BooleanText> parse_boolean(std::string_view text) {
  std::string lower = to_lower(text);
  if (lower == "true") return BooleanText{true, false};
  if (lower == "false") return BooleanText{false, false};
  if (lower == "yes" || lower == "y" || lower == "on") return BooleanText{true, true};
  if (lower == "no" || lower == "n" || lower == "off") return BooleanText{false, true};
  return invalid("invalid boolean: " + (text.empty() ? "an empty text" : std::string(text)) + "; write true or false");
}

std::string clean_path(std::string_view path) {
  bool absolute = path.starts_with('/');
  std::vector<std::string_view> parts;
  for (size_t at = 0; at <= path.size();) {
    size_t end = std::min(path.find('/', at), path.size());
    std::string_view part = path.substr(at, end - at);
    if (part == "..") {
      if (!parts.empty() && parts.back() != "..") parts.pop_back();
      else if (!absolute) parts.push_back(part);
    } else if (!part.empty() && part != ".") {
      parts.push_back(part);
    }
    at = end + 1;
  }
  std::string out = absolute ? "/" : "";
  for (size_t i = 0; i < parts.size(); ++i) {
    if (i > 0) out += '/';
    out += parts[i];
  }
  return out.empty() ? "." : out;
}

bool is_ip_address(const std::string& text) {
  unsigned char buffer[16];
  return inet_pton(AF_INET, text.c_str(), buffer) == 1 || inet_pton(AF_INET6, text.c_str(), buffer) == 1;
}

}  // namespace gantry::compose
