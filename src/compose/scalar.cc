#include "compose/scalar.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <iterator>

#include "base/strings.h"

namespace gantry::compose {
namespace {

bool is_null(std::string_view t) {
  return t.empty() || t == "~" || t == "null" || t == "Null" || t == "NULL";
}

std::optional<std::string> integer_text(std::string_view text) {
  std::string digits;
  std::string_view rest = text;
  if (text.find('_') != std::string_view::npos) {
    std::copy_if(text.begin(), text.end(), std::back_inserter(digits), [](char c) { return c != '_'; });
    rest = digits;
  }
  bool negative = rest.starts_with('-');
  if (negative || rest.starts_with('+')) rest.remove_prefix(1);
  int base = 10;
  auto prefix = [&](std::string_view lower, std::string_view upper) {
    return rest.size() > 2 && rest[0] == '0' && (rest.starts_with(lower) || rest.starts_with(upper));
  };
  if (prefix("0x", "0X")) base = 16;
  else if (prefix("0o", "0O")) base = 8;
  else if (prefix("0b", "0B")) base = 2;
  if (base != 10) rest.remove_prefix(2);
  else if (rest.size() > 1 && rest[0] == '0') base = 8, rest.remove_prefix(1);
  uint64_t value = 0;
  auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), value, base);
  if (rest.empty() || error != std::errc() || end != rest.data() + rest.size()) return std::nullopt;
  if (negative && value == 0) return std::nullopt;  // "-0" is a float
  if (negative && value > uint64_t{1} << 63) return std::nullopt;
  return (negative ? "-" : "") + std::to_string(value);
}

// [-+]?(\.\d+|\d+(\.\d*)?)([eE][-+]?\d+)?
bool float_shape(std::string_view t) {
  size_t i = 0;
  if (i < t.size() && (t[i] == '+' || t[i] == '-')) ++i;
  size_t whole = 0, fraction = 0;
  while (i < t.size() && is_digit(t[i])) ++i, ++whole;
  if (i < t.size() && t[i] == '.') {
    ++i;
    while (i < t.size() && is_digit(t[i])) ++i, ++fraction;
  }
  if (whole + fraction == 0) return false;
  if (i < t.size() && (t[i] == 'e' || t[i] == 'E')) {
    ++i;
    if (i < t.size() && (t[i] == '+' || t[i] == '-')) ++i;
    size_t exponent = 0;
    while (i < t.size() && is_digit(t[i])) ++i, ++exponent;
    if (exponent == 0) return false;
  }
  return i == t.size();
}

std::optional<std::string> float_text(std::string_view t) {
  std::string_view bare = t;
  bool signed_ = bare.starts_with('-') || bare.starts_with('+');
  if (signed_) bare.remove_prefix(1);
  if (bare == ".inf" || bare == ".Inf" || bare == ".INF") return t.starts_with('-') ? "-Inf" : "+Inf";
  if (!signed_ && (t == ".nan" || t == ".NaN" || t == ".NAN")) return "NaN";
  if (!float_shape(t)) return std::nullopt;
  return format_number(std::strtod(std::string(t).c_str(), nullptr), 6);
}

}  // namespace

std::string format_number(double value, int exponent_from) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value < 0 ? "-Inf" : "+Inf";
  if (value == 0) return std::signbit(value) ? "-0" : "0";
  char buffer[400];
  auto scientific = std::to_chars(buffer, buffer + sizeof buffer, value, std::chars_format::scientific);
  std::string_view text(buffer, static_cast<size_t>(scientific.ptr - buffer));
  int exponent = std::atoi(std::string(text.substr(text.find('e') + 1)).c_str());
  if (exponent < -4 || exponent >= exponent_from) return std::string(text);
  auto fixed = std::to_chars(buffer, buffer + sizeof buffer, value, std::chars_format::fixed);
  return std::string(buffer, static_cast<size_t>(fixed.ptr - buffer));
}

bool is_timestamp(std::string_view t) {
  auto digits = [&](size_t at, size_t count) {
    if (at + count > t.size()) return false;
    for (size_t i = at; i < at + count; ++i) {
      if (!is_digit(t[i])) return false;
    }
    return true;
  };
  if (!digits(0, 4) || t.size() < 8 || t[4] != '-') return false;
  if (t.size() == 10) return digits(5, 2) && t[7] == '-' && digits(8, 2);
  size_t at = 5;
  size_t month = digits(at, 2) ? 2 : digits(at, 1) ? 1 : 0;
  at += month;
  if (month == 0 || at >= t.size() || t[at] != '-') return false;
  ++at;
  size_t day = digits(at, 2) ? 2 : digits(at, 1) ? 1 : 0;
  at += day;
  if (day == 0) return false;
  if (at == t.size()) return true;
  if (t[at] != 'T' && t[at] != 't' && t[at] != ' ') return false;
  size_t colon = t.find(':', at);
  return colon != std::string_view::npos && colon > at + 1 && digits(colon + 1, 2) && t.find(':', colon + 1) == colon + 3;
}

Scalar resolve_plain(std::string_view t) {
  if (is_null(t)) return {Node::Kind::null, ""};
  if (t == "true" || t == "True" || t == "TRUE") return {Node::Kind::boolean, "true"};
  if (t == "false" || t == "False" || t == "FALSE") return {Node::Kind::boolean, "false"};
  char first = t[0];
  if (is_digit(first) || first == '-' || first == '+' || first == '.') {
    if (auto text = integer_text(t)) return {Node::Kind::integer, *text};
    if (auto text = float_text(t)) return {Node::Kind::number, *text};
  }
  // A timestamp keeps its text: nobody wants to find "2001-12-14 00:00:00 +0000 UTC" in a label.
  return {Node::Kind::string, std::string(t)};
}

bool resolves_to_other_than_string(std::string_view plain) {
  return resolve_plain(plain).kind != Node::Kind::string || is_timestamp(plain);
}

std::optional<double> parse_number(std::string_view text) {
  if (!float_shape(text)) return std::nullopt;
  return std::strtod(std::string(text).c_str(), nullptr);
}

std::optional<int64_t> parse_integer(std::string_view text) {
  if (text.starts_with('+')) text.remove_prefix(1);
  int64_t value = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

}  // namespace gantry::compose
