#include "base/glob.h"

#include <algorithm>

namespace gantry {
namespace {

// One character of a class, perhaps escaped. False at the end of the pattern.
bool take_class_character(std::string_view pattern, size_t& at, char& c) {
  if (at < pattern.size() && pattern[at] == '\\') ++at;
  if (at >= pattern.size()) return false;
  c = pattern[at++];
  return true;
}

// Reads "^a-z]": what follows a [. False if it is not closed.
bool take_class(std::string_view pattern, size_t& at, bool& negated, std::vector<std::pair<char, char>>& ranges) {
  if (at < pattern.size() && pattern[at] == '^') {
    negated = true;
    ++at;
  }
  while (at < pattern.size() && (pattern[at] != ']' || ranges.empty())) {
    char low = 0;
    if (!take_class_character(pattern, at, low)) return false;
    char high = low;
    if (at + 1 < pattern.size() && pattern[at] == '-' && pattern[at + 1] != ']') {
      ++at;
      if (!take_class_character(pattern, at, high)) return false;
    }
    ranges.emplace_back(low, high);
  }
  if (at >= pattern.size()) return false;
  ++at;
  return true;
}

// Bits of a state. whole_directories may only end after a slash: kInName waits for that.
constexpr uint8_t kHere = 1;
constexpr uint8_t kInName = 2;

Error syntax_error(std::string_view pattern) { return invalid("syntax error in pattern " + quoted(pattern)); }

}  // namespace

Result<Glob> Glob::compile(std::string_view pattern, Stars stars) {
  using Kind = Token::Kind;
  Glob glob;
  for (size_t at = 0; at < pattern.size();) {
    const char c = pattern[at++];
    if (c == '*' && stars == Stars::deep && at < pattern.size() && pattern[at] == '*') {
      ++at;
      if (at < pattern.size() && pattern[at] == '/') ++at;
      glob.tokens_.push_back({.kind = at == pattern.size() ? Kind::everything : Kind::whole_directories});
    } else if (c == '*') {
      glob.tokens_.push_back({.kind = Kind::any_run});
    } else if (c == '?') {
      glob.tokens_.push_back({.kind = Kind::any_one});
    } else if (c == '[') {
      Token token{.kind = Kind::one_of};
      if (!take_class(pattern, at, token.negated, token.ranges)) return syntax_error(pattern);
      glob.tokens_.push_back(std::move(token));
    } else if (c == '\\') {
      if (at == pattern.size()) return syntax_error(pattern);
      glob.tokens_.push_back({.kind = Kind::literal, .literal = pattern[at++]});
    } else {
      glob.tokens_.push_back({.kind = Kind::literal, .literal = c});
    }
  }
  return glob;
}

bool Glob::accepts(const Token& token, char c) {
  switch (token.kind) {
    case Token::Kind::literal:
      return c == token.literal;
    case Token::Kind::any_one:
    case Token::Kind::any_run:
      return c != '/';
    case Token::Kind::whole_directories:
    case Token::Kind::everything:
      return true;
    case Token::Kind::one_of: {
      if (c == '/') return false;
      const auto code = static_cast<unsigned char>(c);
      for (const auto& [low, high] : token.ranges) {
        if (static_cast<unsigned char>(low) <= code && code <= static_cast<unsigned char>(high)) return !token.negated;
      }
      return token.negated;
    }
  }
  return false;
}

// A token that may match nothing lets the state behind it live, too.
void Glob::close_over(States& states) const {
  for (size_t i = 0; i < tokens_.size(); ++i) {
    const Token::Kind kind = tokens_[i].kind;
    const bool may_be_empty = kind == Token::Kind::any_run || kind == Token::Kind::everything;
    if ((states[i] & kHere) != 0 && (may_be_empty || kind == Token::Kind::whole_directories)) states[i + 1] |= kHere;
  }
}

Glob::States Glob::start() const {
  States states(tokens_.size() + 1, 0);
  states[0] = kHere;
  close_over(states);
  return states;
}

Glob::States Glob::step(const States& from, char c) const {
  States to(from.size(), 0);
  for (size_t i = 0; i < tokens_.size(); ++i) {
    if (from[i] == 0 || !accepts(tokens_[i], c)) continue;
    switch (tokens_[i].kind) {
      case Token::Kind::any_run:
      case Token::Kind::everything:
        to[i] |= kHere;
        break;
      case Token::Kind::whole_directories:
        to[i] |= c == '/' ? kHere : kInName;
        break;
      case Token::Kind::literal:
      case Token::Kind::any_one:
      case Token::Kind::one_of:
        to[i + 1] |= kHere;
        break;
    }
  }
  close_over(to);
  return to;
}

bool Glob::matches(std::string_view path) const {
  States states = start();
  for (char c : path) states = step(states, c);
  return (states.back() & kHere) != 0;
}

bool Glob::could_match_below(std::string_view prefix) const {
  States states = start();
  for (char c : prefix) states = step(states, c);
  // The last state alone has matched all and takes nothing more.
  return std::any_of(states.begin(), states.end() - 1, [](uint8_t live) { return live != 0; });
}

bool Glob::has_wildcards(std::string_view text) { return text.find_first_of("*?[\\") != std::string_view::npos; }

}  // namespace gantry
