#include "compose/yaml_scanner.h"

#include <algorithm>

namespace gantry::compose::yaml {
namespace {

constexpr size_t kLongestKey = 1024;  // of the grammar

bool is_name_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

}  // namespace

Scanner::Scanner(std::string_view text, size_t most_depth, Failure& failure)
    : text_(text), most_depth_(most_depth), failure_(failure), keys_(1) {
  ascii_ = std::none_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) >= 0x80; });
  if (text_.starts_with("\xEF\xBB\xBF")) at_ = line_start_ = 3;
}

// ---- places and errors

int Scanner::shown_column(size_t position) const {
  size_t column = position - line_start_;
  if (!ascii_) {
    for (size_t i = line_start_; i < position; ++i) column -= (static_cast<unsigned char>(text_[i]) >> 6) == 2 ? 1 : 0;
  }
  return static_cast<int>(column) + 1;
}

void Scanner::skip_line() {
  if (at_ >= text_.size()) return;
  at_ += text_[at_] == '\r' && at(1) == '\n' ? 2 : 1;
  ++line_;
  line_start_ = at_;
}

Token Scanner::token(Token::Kind kind) const {
  return {.kind = kind, .plain = false, .line = line_, .column = shown_column(at_), .text = {}};
}

bool Scanner::fail(int line, int column, std::string message, std::string hint) {
  if (!failed_) failure_ = {line, column, std::move(message), std::move(hint)};
  failed_ = true;
  return false;
}

bool Scanner::fail_here(std::string message, std::string hint) {
  return fail(line_, shown_column(at_), std::move(message), std::move(hint));
}

std::string_view Scanner::keep(std::string text) {
  made_->push_back(std::move(text));
  return made_->back();
}

// ---- the queue

const Token* Scanner::peek_on() {
  while (!failed_ && needs_more()) fetch();
  return failed_ ? nullptr : &tokens_[head_];
}

void Scanner::next() {
  ++head_;
  ++taken_;
  if (head_ == tokens_.size()) {
    tokens_.clear();
    head_ = 0;
  }
}

// Nothing is there, or the first token may still turn out to be a key.
bool Scanner::needs_more() {
  if (head_ == tokens_.size()) return true;
  if (flow_ == 0 && !is_expired(keys_.front())) return keys_.front().possible && keys_.front().token == taken_;
  if (!expire_keys()) return false;
  for (const PossibleKey& key : keys_) {
    if (key.possible && key.token == taken_) return true;
  }
  return false;
}

void Scanner::insert(size_t number, Token token) {
  tokens_.insert(tokens_.begin() + static_cast<std::ptrdiff_t>(head_ + number - taken_), token);
}

// ---- possible keys

bool Scanner::is_expired(const PossibleKey& key) const {
  return key.possible && (key.line != line_ || at_ - key.at > kLongestKey);
}

bool Scanner::expire_keys() {
  for (PossibleKey& key : keys_) {
    if (!is_expired(key)) continue;
    if (key.required) {
      return fail(key.line, static_cast<int>(key.column) + 1, "could not find expected ':'",
                  "is it a key? then a colon and a space must follow on the same line");
    }
    key.possible = false;
  }
  return true;
}

bool Scanner::save_key() {
  if (!key_allowed_) return true;
  bool required = flow_ == 0 && indent_ == static_cast<int>(column());
  if (!remove_key()) return false;
  keys_.back() = {.possible = true,
                  .required = required,
                  .token = taken_ + tokens_.size() - head_,
                  .at = at_,
                  .line = line_,
                  .column = column()};
  return true;
}

bool Scanner::remove_key() {
  PossibleKey& key = keys_.back();
  if (key.possible && key.required) {
    return fail(key.line, static_cast<int>(key.column) + 1, "could not find expected ':'",
                "is it a key? then a colon and a space must follow");
  }
  key.possible = false;
  return true;
}

// ---- indentation

void Scanner::roll_indent(size_t column, size_t number, Token::Kind kind, const Token& where) {
  if (flow_ > 0 || indent_ >= static_cast<int>(column)) return;
  indents_.push_back(indent_);
  indent_ = static_cast<int>(column);
  insert(number, {.kind = kind, .plain = false, .line = where.line, .column = where.column, .text = {}});
}

void Scanner::unroll_indent(int column) {
  if (flow_ > 0) return;
  while (indent_ > column) {
    tokens_.push_back(token(Token::Kind::block_end));
    indent_ = indents_.back();
    indents_.pop_back();
  }
}

// ---- one more token

bool Scanner::skip_to_token() {
  for (;;) {
    while (at() == ' ' || (at() == '\t' && (flow_ > 0 || !key_allowed_))) ++at_;
    if (at() == '\t') {
      // A tab cannot indent; on a line with nothing else it does no harm.
      size_t end = at_;
      while (end < text_.size() && is_blank(text_[end])) ++end;
      if (end < text_.size() && !is_break(text_[end]) && text_[end] != '#') return true;
      at_ = end;
    }
    if (at() == '#') at_ = std::min(text_.find_first_of("\r\n", at_), text_.size());
    if (!is_break(at())) return true;
    skip_line();
    if (flow_ == 0) key_allowed_ = true;
  }
}

bool Scanner::at_document_mark(char c) const {
  return column() == 0 && at(0) == c && at(1) == c && at(2) == c && ends_word(at(3));
}

bool Scanner::fetch() {
  if (!skip_to_token() || (may_become_key() && !expire_keys())) return false;
  unroll_indent(static_cast<int>(column()));
  if (at_ >= text_.size()) return fetch_stream_end();
  char c = text_[at_];
  if (column() == 0) {
    if (c == '%') return fetch_directive();
    if (at_document_mark('-')) return fetch_document_mark(Token::Kind::document_start);
    if (at_document_mark('.')) return fetch_document_mark(Token::Kind::document_end);
  }
  return fetch_by_character(c);
}

bool Scanner::fetch_by_character(char c) {
  bool word_ends = ends_word(at(1));
  switch (c) {
    case '[': return fetch_flow_start(Token::Kind::flow_sequence_start);
    case '{': return fetch_flow_start(Token::Kind::flow_mapping_start);
    case ']': return fetch_flow_end(Token::Kind::flow_sequence_end);
    case '}': return fetch_flow_end(Token::Kind::flow_mapping_end);
    case ',': return fetch_flow_entry();
    case '-': return word_ends ? fetch_block_entry() : fetch_plain();
    case '?': return flow_ > 0 || word_ends ? fetch_key() : fetch_plain();
    case ':': return word_ends || (flow_ > 0 && ends_flow_key(at(1))) ? fetch_value() : fetch_plain();
    case '*': return fetch_anchor(Token::Kind::alias);
    case '&': return fetch_anchor(Token::Kind::anchor);
    case '!': return fetch_tag();
    case '\'':
    case '"': return fetch_quoted(c);
    case '|':
    case '>':
      if (flow_ == 0) return fetch_block_scalar();
      break;
    case '%':
    case '@':
    case '`': break;
    case '\t': return fail_here("found a tab character that cannot start any token: indent with spaces");
    default: return fetch_plain();
  }
  return fail_here("found character that cannot start any token", "put the text in quotes");
}

// {"a":1} and {a:} have a value where block style would need a space; {a, :b} begins a text.
bool Scanner::ends_flow_key(char next) const {
  return keys_.back().possible || std::string_view(",[]{}").find(next) != std::string_view::npos;
}

bool Scanner::fetch_stream_end() {
  unroll_indent(-1);
  if (!remove_key()) return false;
  // Nothing can become a key any more; who waits for that would wait for ever.
  for (PossibleKey& key : keys_) key.possible = false;
  key_allowed_ = false;
  tokens_.push_back(token(Token::Kind::stream_end));
  return true;
}

bool Scanner::fetch_directive() {
  unroll_indent(-1);
  if (!remove_key()) return false;
  key_allowed_ = false;
  Token directive = token(Token::Kind::directive);
  size_t end = std::min(text_.find_first_of("\r\n", at_), text_.size());
  directive.text = text_.substr(at_ + 1, end - at_ - 1);
  at_ = end;
  tokens_.push_back(directive);
  return true;
}

bool Scanner::fetch_document_mark(Token::Kind kind) {
  unroll_indent(-1);
  if (!remove_key()) return false;
  key_allowed_ = false;
  tokens_.push_back(token(kind));
  at_ += 3;
  return true;
}

bool Scanner::fetch_flow_start(Token::Kind kind) {
  if (!save_key()) return false;
  if (flow_ >= most_depth_) return fail_here("exceeded max depth of " + std::to_string(most_depth_));
  tokens_.push_back(token(kind));
  keys_.push_back({});
  ++flow_;
  key_allowed_ = true;
  ++at_;
  return true;
}

bool Scanner::fetch_flow_end(Token::Kind kind) {
  if (!remove_key()) return false;
  if (flow_ > 0) {
    keys_.pop_back();
    --flow_;
  }
  key_allowed_ = false;
  tokens_.push_back(token(kind));
  ++at_;
  return true;
}

bool Scanner::fetch_flow_entry() {
  if (!remove_key()) return false;
  key_allowed_ = true;
  tokens_.push_back(token(Token::Kind::flow_entry));
  ++at_;
  return true;
}

bool Scanner::fetch_block_entry() {
  Token entry = token(Token::Kind::block_entry);
  if (flow_ == 0) {
    if (!key_allowed_) {
      return fail_here("block sequence entries are not allowed in this context",
                       "begin the list on a line of its own");
    }
    roll_indent(column(), taken_ + tokens_.size() - head_, Token::Kind::block_sequence_start, entry);
  }
  if (!remove_key()) return false;
  key_allowed_ = true;
  tokens_.push_back(entry);
  ++at_;
  return true;
}

bool Scanner::fetch_key() {
  Token key = token(Token::Kind::key);
  if (flow_ == 0) {
    if (!key_allowed_) return fail_here("mapping keys are not allowed in this context");
    roll_indent(column(), taken_ + tokens_.size() - head_, Token::Kind::block_mapping_start, key);
  }
  if (!remove_key()) return false;
  key_allowed_ = flow_ == 0;
  tokens_.push_back(key);
  ++at_;
  return true;
}

bool Scanner::fetch_value() {
  Token value = token(Token::Kind::value);
  PossibleKey& key = keys_.back();
  if (key.possible) {
    Token before = tokens_[head_ + key.token - taken_];
    before.kind = Token::Kind::key;
    before.text = {};
    insert(key.token, before);
    roll_indent(key.column, key.token, Token::Kind::block_mapping_start, before);
    key.possible = false;
    key_allowed_ = false;
  } else {
    if (flow_ == 0) {
      if (!key_allowed_) {
        return fail_here("mapping values are not allowed in this context",
                         "put a value with \": \" in quotes, or check the indentation");
      }
      roll_indent(column(), taken_ + tokens_.size() - head_, Token::Kind::block_mapping_start, value);
    }
    key_allowed_ = flow_ == 0;
  }
  tokens_.push_back(value);
  ++at_;
  return true;
}

bool Scanner::fetch_anchor(Token::Kind kind) {
  if (!save_key()) return false;
  key_allowed_ = false;
  Token anchor = token(kind);
  size_t end = at_ + 1;
  while (end < text_.size() && (is_name_character(text_[end]) || text_[end] == '.' ||
                                static_cast<unsigned char>(text_[end]) >= 0x80)) {
    ++end;
  }
  char after = end < text_.size() ? text_[end] : '\0';
  if (end == at_ + 1 || !(ends_word(after) || std::string_view("?:,]}%@`").find(after) != std::string_view::npos)) {
    return fail_here("did not find expected alphabetic or numeric character",
                     std::string("a text that begins with ") + at() + " must be in quotes");
  }
  anchor.text = text_.substr(at_ + 1, end - at_ - 1);
  tokens_.push_back(anchor);
  at_ = end;
  return true;
}

// The token keeps the tag as it is written; the parser knows the handles.
bool Scanner::fetch_tag() {
  if (!save_key()) return false;
  key_allowed_ = false;
  Token tag = token(Token::Kind::tag);
  size_t end = at_ + 1;
  if (at(1) == '<') {
    end = text_.find('>', at_);
    if (end == std::string_view::npos || text_.substr(at_, end - at_).find_first_of(" \t\r\n") != std::string_view::npos) {
      return fail_here("did not find the expected '>' of a tag");
    }
    ++end;
  } else {
    while (end < text_.size() && !ends_word(text_[end]) && !(flow_ > 0 && text_[end] == ',') && text_[end] != '[' &&
           text_[end] != ']' && text_[end] != '{' && text_[end] != '}') {
      ++end;
    }
  }
  char after = end < text_.size() ? text_[end] : '\0';
  if (!ends_word(after) && !(flow_ > 0 && (after == ',' || after == ']' || after == '}'))) {
    return fail_here("did not find expected whitespace or line break after a tag",
                     "a text that begins with ! must be in quotes");
  }
  tag.text = text_.substr(at_, end - at_);
  tokens_.push_back(tag);
  at_ = end;
  return true;
}

bool Scanner::fetch_block_scalar() {
  if (!remove_key()) return false;
  key_allowed_ = true;
  Token scalar = token(Token::Kind::scalar);
  if (!scan_block(scalar)) return false;
  tokens_.push_back(scalar);
  return true;
}

bool Scanner::fetch_quoted(char quote) {
  if (!save_key()) return false;
  key_allowed_ = false;
  Token scalar = token(Token::Kind::scalar);
  if (!scan_quoted(quote, scalar)) return false;
  tokens_.push_back(scalar);
  return true;
}

bool Scanner::fetch_plain() {
  if (!save_key()) return false;
  key_allowed_ = false;
  Token scalar = token(Token::Kind::scalar);
  scalar.plain = true;
  if (!scan_plain(scalar)) return false;
  tokens_.push_back(scalar);
  return true;
}

}  // namespace gantry::compose::yaml
