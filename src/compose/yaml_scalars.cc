// The scanner's half that reads scalars: plain, quoted, and block ones, with their rules for line folding.
#include <algorithm>
#include <array>
#include <optional>

#include "base/strings.h"
#include "compose/yaml_scanner.h"

namespace gantry::compose::yaml {
namespace {

bool is_flow_indicator(char c) { return c == ',' || c == '[' || c == ']' || c == '{' || c == '}'; }

// What neither ends a word nor may be a sign of the grammar.
constexpr std::array<bool, 256> kWordCharacter = [] {
  std::array<bool, 256> out{};
  for (size_t byte = '!'; byte < out.size(); ++byte) out[byte] = true;
  for (char sign : {':', ',', '[', ']', '{', '}', '?'}) out[static_cast<size_t>(sign)] = false;
  return out;
}();

// One break is a space, n breaks are n - 1.
void fold(std::string& out, size_t breaks) {
  if (breaks == 1) out += ' ';
  else out.append(breaks - 1, '\n');
}

std::optional<uint32_t> hexadecimal(std::string_view digits) {
  uint32_t value = 0;
  for (char c : digits) {
    uint32_t digit = c >= '0' && c <= '9' ? static_cast<uint32_t>(c - '0')
                     : c >= 'a' && c <= 'f' ? static_cast<uint32_t>(c - 'a' + 10)
                     : c >= 'A' && c <= 'F' ? static_cast<uint32_t>(c - 'A' + 10) : 16;
    if (digit == 16) return std::nullopt;
    value = value << 4 | digit;
  }
  return value;
}

}  // namespace

bool Scanner::scan_plain(Token& token) {
  const int indent = indent_ + 1;
  const size_t begin = at_;
  size_t end = at_;
  bool folded = false, leading_blanks = false;
  size_t breaks = 0;
  std::string joined;
  for (;;) {
    if (column() == 0 && (at_document_mark('-') || at_document_mark('.'))) break;
    if (at() == '#') break;
    size_t start = at_;
    for (;;) {
      while (at_ < text_.size() && kWordCharacter[static_cast<unsigned char>(text_[at_])]) ++at_;
      const char c = at();
      if (ends_word(c)) break;
      if (c == ':' && (ends_word(at(1)) || (flow_ > 0 && is_flow_indicator(at(1))))) break;
      if (flow_ > 0 && (is_flow_indicator(c) || (c == '?' && ends_word(at(1))))) break;
      ++at_;
    }
    if (at_ == start) break;
    if (breaks > 0) {
      if (!folded) joined.assign(text_.substr(begin, end - begin));
      folded = true;
      fold(joined, breaks);
      joined.append(text_.substr(start, at_ - start));
    } else if (folded) {
      joined.append(text_.substr(end, at_ - end));
    }
    end = at_;
    leading_blanks = false;
    breaks = 0;
    if (!is_blank(at()) && !is_break(at())) break;
    while (is_blank(at()) || is_break(at())) {
      if (is_break(at())) {
        skip_line();
        leading_blanks = true;
        ++breaks;
      } else {
        if (leading_blanks && at() == '\t' && static_cast<int>(column()) < indent) {
          return fail_here("found a tab character that violates indentation", "indent with spaces");
        }
        ++at_;
      }
    }
    if (flow_ == 0 && static_cast<int>(column()) < indent) break;
  }
  if (leading_blanks) key_allowed_ = true;
  token.text = folded ? keep(std::move(joined)) : text_.substr(begin, end - begin);
  return true;
}

// ---- quoted

bool Scanner::scan_quoted(char quote, Token& token) {
  size_t end = at_ + 1;
  while (end < text_.size() && text_[end] != quote && !is_break(text_[end]) && !(quote == '"' && text_[end] == '\\')) {
    ++end;
  }
  bool simple = end < text_.size() && text_[end] == quote &&
                !(quote == '\'' && end + 1 < text_.size() && text_[end + 1] == '\'');
  if (!simple) return scan_quoted_slowly(quote, token);
  token.text = text_.substr(at_ + 1, end - at_ - 1);
  at_ = end + 1;
  return true;
}

bool Scanner::scan_quoted_slowly(char quote, Token& token) {
  std::string out;
  ++at_;
  for (;;) {
    if (column() == 0 && (at_document_mark('-') || at_document_mark('.'))) {
      return fail(token.line, token.column, "found unexpected document indicator: the quote is never closed");
    }
    if (at_ >= text_.size()) {
      return fail(token.line, token.column, "found unexpected end of stream: the quote is never closed");
    }
    char c = at();
    if (c == quote && !(quote == '\'' && at(1) == '\'')) break;
    if (c == '\'' && quote == '\'') {
      out += '\'';
      at_ += 2;
    } else if (c == '\\' && quote == '"') {
      if (!scan_escape(out)) return false;
    } else if (is_blank(c) || is_break(c)) {
      fold_blanks(out);
    } else {
      out += c;
      ++at_;
    }
  }
  ++at_;
  token.text = keep(std::move(out));
  return true;
}

// Blanks and breaks inside quotes: blanks stay, unless there is a break among them.
void Scanner::fold_blanks(std::string& out) {
  size_t blanks = at_;
  size_t breaks = skip_blanks_and_breaks();
  if (breaks == 0) out.append(text_.substr(blanks, at_ - blanks));
  else fold(out, breaks);
}

size_t Scanner::skip_blanks_and_breaks() {
  size_t breaks = 0;
  while (is_blank(at()) || is_break(at())) {
    if (is_break(at())) skip_line(), ++breaks;
    else ++at_;
  }
  return breaks;
}

bool Scanner::scan_escape(std::string& out) {
  constexpr std::string_view kFrom = "0abt\tnvfre \"'/\\";
  constexpr std::string_view kTo{"\0\a\b\t\t\n\v\f\r\x1b \"'/\\", 15};
  char c = at(1);
  if (is_break(c)) {  // joins the lines without a space
    ++at_;
    skip_line();
    out.append(skip_blanks_and_breaks(), '\n');
    return true;
  }
  if (size_t known = kFrom.find(c); c != '\0' && known != std::string_view::npos) {
    out += kTo[known];
    at_ += 2;
    return true;
  }
  if (c == 'N' || c == '_' || c == 'L' || c == 'P') {
    append_utf8(out, c == 'N' ? 0x85 : c == '_' ? 0xA0 : c == 'L' ? 0x2028 : 0x2029);
    at_ += 2;
    return true;
  }
  size_t length = c == 'x' ? 2 : c == 'u' ? 4 : c == 'U' ? 8 : 0;
  if (length == 0) {
    return fail_here("found unknown escape character", "write \\\\ for a backslash, or use single quotes");
  }
  std::string_view digits = at_ + 2 + length <= text_.size() ? text_.substr(at_ + 2, length) : "";
  auto value = hexadecimal(digits);
  if (digits.empty() || !value) return fail_here("did not find expected hexadecimal number");
  if ((*value >= 0xD800 && *value <= 0xDFFF) || *value > 0x10FFFF) {
    return fail_here("found invalid Unicode character escape code");
  }
  append_utf8(out, *value);
  at_ += 2 + length;
  return true;
}

// ---- block scalars

bool Scanner::scan_block_header(int& chomping, int& increment) {
  ++at_;
  for (int i = 0; i < 2; ++i) {
    char c = at();
    if ((c == '+' || c == '-') && chomping == 0) {
      chomping = c == '+' ? 1 : -1;
      ++at_;
    } else if (c >= '0' && c <= '9' && increment == 0) {
      if (c == '0') return fail_here("found an indentation indicator equal to 0");
      increment = c - '0';
      ++at_;
    }
  }
  size_t blanks = at_;
  while (is_blank(at())) ++at_;
  if (at() == '#' && at_ > blanks) at_ = std::min(text_.find_first_of("\r\n", at_), text_.size());
  if (!is_break(at()) && at_ < text_.size()) {
    return fail_here("did not find expected comment or line break", "the text begins on the next line");
  }
  skip_line();
  return true;
}

// Over the indentation and empty lines; `indent` 0: finds it out.
bool Scanner::scan_block_breaks(int& indent, size_t& breaks) {
  int deepest = 0;
  for (;;) {
    while ((indent == 0 || static_cast<int>(column()) < indent) && at() == ' ') ++at_;
    deepest = std::max(deepest, static_cast<int>(column()));
    if (at() == '\t' && (indent == 0 || static_cast<int>(column()) < indent)) {
      return fail_here("found a tab character where an indentation space is expected", "indent with spaces");
    }
    if (!is_break(at())) break;
    skip_line();
    ++breaks;
  }
  if (indent == 0) indent = std::max({deepest, indent_ + 1, 1});
  return true;
}

bool Scanner::scan_block(Token& token) {
  const bool literal = at() == '|';
  int chomping = 0, increment = 0;
  if (!scan_block_header(chomping, increment)) return false;
  int indent = increment == 0 ? 0 : indent_ >= 0 ? indent_ + increment : increment;
  std::string out;
  size_t breaks = 0;         // empty lines
  bool line_ended = false;   // the break after the last line with text is still to be written
  bool leading_blank = false;
  if (!scan_block_breaks(indent, breaks)) return false;
  while (static_cast<int>(column()) == indent && at_ < text_.size()) {
    bool blank = is_blank(at());
    if (!literal && line_ended && !leading_blank && !blank) {
      if (breaks == 0) out += ' ';
    } else if (line_ended) {
      out += '\n';
    }
    out.append(breaks, '\n');
    breaks = 0;
    leading_blank = blank;
    size_t end = std::min(text_.find_first_of("\r\n", at_), text_.size());
    out.append(text_.substr(at_, end - at_));
    at_ = end;
    line_ended = at_ < text_.size();
    skip_line();
    if (!scan_block_breaks(indent, breaks)) return false;
  }
  if (chomping != -1 && line_ended) out += '\n';
  if (chomping == 1) out.append(breaks, '\n');
  token.text = keep(std::move(out));
  return true;
}

}  // namespace gantry::compose::yaml
