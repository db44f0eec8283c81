#include "compose/yaml_quoting.h"

#include <algorithm>
#include <array>
#include <cstdint>

#include "base/strings.h"
#include "compose/scalar.h"

namespace gantry::compose {
namespace {

bool is_old_boolean(std::string_view t) {
  if (t.empty() || t.size() > 3 || std::string_view("yYnNoO").find(t[0]) == std::string_view::npos) return false;
  constexpr std::string_view kWords[] = {"y",  "Y",  "yes", "Yes", "YES", "on", "On", "ON",
                                         "n",  "N",  "no",  "No",  "NO",  "off", "Off", "OFF"};
  return std::find(std::begin(kWords), std::end(kWords), t) != std::end(kWords);
}

// ^[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?$
bool is_sexagesimal(std::string_view t) {
  size_t i = 0;
  if (i < t.size() && (t[i] == '-' || t[i] == '+')) ++i;
  if (i >= t.size() || !is_digit(t[i])) return false;
  while (i < t.size() && (is_digit(t[i]) || t[i] == '_')) ++i;
  size_t groups = 0;
  while (i < t.size() && t[i] == ':') {
    size_t digits = 0;
    while (i + 1 + digits < t.size() && is_digit(t[i + 1 + digits])) ++digits;
    if (digits == 0 || digits > 2 || (digits == 2 && t[i + 1] > '5')) return false;
    i += 1 + digits;
    ++groups;
  }
  if (groups == 0) return false;
  if (i < t.size() && t[i] == '.') {
    ++i;
    while (i < t.size() && (is_digit(t[i]) || t[i] == '_')) ++i;
  }
  return i == t.size();
}

constexpr Escape kEscapes[] = {{"\xC2\x85", "\\N"},           {"\xE2\x80\xA8", "\\L"},     {"\xE2\x80\xA9", "\\P"},
                               {"\xEF\xBB\xBF", "\\uFEFF"}, {"\xEF\xBF\xBE", "\\uFFFE"}, {"\xEF\xBF\xBF", "\\uFFFF"}};

bool has_control(std::string_view text, bool newlines_too) {
  for (size_t i = 0; i < text.size(); ++i) {
    const unsigned char byte = static_cast<unsigned char>(text[i]);
    if (byte == '\n' ? newlines_too : (byte < 0x20 || byte == 0x7f)) return true;
    if (byte >= 0x80 && (is_c1_control(text.substr(i)) || escape_at(text.substr(i)) != nullptr)) return true;
  }
  return false;
}

bool unsafe_plain(std::string_view t) {
  constexpr std::string_view kIndicators = "[]{},&*!|>'\"%@`#";
  if (kIndicators.find(t[0]) != std::string_view::npos) return true;
  if (t[0] == '-' || t[0] == '?' || t[0] == ':') {
    if (t.size() == 1 || t[1] == ' ') return true;
  }
  if (t.starts_with("---") || t.starts_with("...")) return true;
  if (t.front() == ' ' || t.back() == ' ' || t.back() == ':') return true;
  return t.find(": ") != std::string_view::npos || t.find(" #") != std::string_view::npos;
}

// What is in a text that may need care. `odd`: control characters and what is beyond ASCII.
enum : uint8_t { kColon = 1, kSpace = 2, kOdd = 4 };

constexpr std::array<uint8_t, 256> kCare = [] {
  std::array<uint8_t, 256> out{};
  for (size_t byte = 0; byte < out.size(); ++byte) out[byte] = byte < ' ' || byte > '~' ? kOdd : 0;
  out[':'] = kColon;
  out[' '] = kSpace;
  return out;
}();

// Of a text that is no number, word or indicator by its first letter.
bool is_plain_throughout(std::string_view text) {
  unsigned found = 0;
  for (char c : text) found |= kCare[static_cast<unsigned char>(c)];
  if (found == 0) return true;
  if ((found & kOdd) != 0 || text.back() == ' ' || text.back() == ':') return false;
  if ((found & kSpace) == 0) return true;
  return text.find(": ") == std::string_view::npos && text.find(" #") == std::string_view::npos;
}

}  // namespace

const Escape* escape_at(std::string_view text) {
  if (static_cast<unsigned char>(text[0]) < 0x80) return nullptr;
  for (const Escape& known : kEscapes) {
    if (text.starts_with(known.character)) return &known;
  }
  return nullptr;
}

bool is_c1_control(std::string_view text) {
  return text.size() > 1 && text[0] == '\xC2' && static_cast<unsigned char>(text[1]) < 0xA0;
}

Quoting quoting_of(std::string_view t, bool key) {
  if (is_plainly_text(t) && is_plain_throughout(t)) return Quoting::plain;
  if (t.empty() || has_control(t, key)) return Quoting::double_;
  if (t.find('\n') != std::string_view::npos) return Quoting::literal;
  if (resolves_to_other_than_string(t) || is_old_boolean(t) || is_sexagesimal(t) || t == "<<") return Quoting::double_;
  return unsafe_plain(t) ? Quoting::single_ : Quoting::plain;
}

}  // namespace gantry::compose
