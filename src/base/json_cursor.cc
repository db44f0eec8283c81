#include "base/json_cursor.h"

#include <charconv>
#include <nlohmann/json.hpp>

namespace gantry {
namespace {

using Json = nlohmann::json;

constexpr int kMostDepth = 500;
constexpr size_t kSafeDigits = 18;  // always fit into an int64_t

bool is_space(char c) { return c == ' ' || c == '\n' || c == '\t' || c == '\r'; }

bool stands_for_itself(unsigned char c) { return c >= ' ' && c < 0x80 && c != '"' && c != '\\'; }

bool belongs_to_word(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || c == '-' || c == '+' || c == '.' || c == 'E';
}

// Of a number that is a plain integer; nothing if the parser has to say what it is.
bool is_plain_integer(std::string_view word) {
  if (word.starts_with('-')) word.remove_prefix(1);
  if (word.empty() || word.size() > kSafeDigits || (word.front() == '0' && word.size() > 1)) return false;
  return word.find_first_not_of("0123456789") == std::string_view::npos;
}

}  // namespace

char JsonCursor::next() {
  if (failed_) return 0;
  while (at_ != end_ && is_space(*at_)) ++at_;
  return at_ == end_ ? '\0' : *at_;
}

void JsonCursor::fail() {
  failed_ = true;
  at_ = end_;
}

bool JsonCursor::take(char c) {
  if (next() != c) return false;
  ++at_;
  return true;
}

void JsonCursor::close(char c) {
  if (!take(c)) fail();
}

bool JsonCursor::enter(char open) {
  if (take(open)) return true;
  skip();
  return false;
}

bool JsonCursor::finished() { return next() == 0 && !failed_ && at_ == end_; }

std::string_view JsonCursor::read_key(std::string& storage) {
  if (next() != '"') return fail(), std::string_view();
  const Literal literal = read_literal();
  if (!literal.plain) storage = decoded(literal);
  close(':');
  return literal.plain ? literal.text : std::string_view(storage);
}

JsonCursor::Literal JsonCursor::read_literal() {
  const char* const begin = at_++;
  while (at_ != end_ && stands_for_itself(static_cast<unsigned char>(*at_))) ++at_;
  if (at_ != end_ && *at_ == '"') {
    const std::string_view text(begin + 1, static_cast<size_t>(at_ - begin - 1));
    ++at_;
    return {text, true};
  }
  while (at_ != end_ && *at_ != '"') at_ += *at_ == '\\' && end_ - at_ > 1 ? 2 : 1;
  if (at_ == end_) return fail(), Literal{};
  ++at_;
  return {{begin, static_cast<size_t>(at_ - begin)}, false};
}

// Escapes, and whether it is UTF-8, are the parser's business.
std::string JsonCursor::decoded(Literal literal) {
  if (failed_) return {};
  if (literal.plain) return std::string(literal.text);
  Json value = Json::parse(literal.text, nullptr, false);
  if (!value.is_string()) return fail(), std::string();
  return std::move(value.get_ref<std::string&>());
}

std::string JsonCursor::text() {
  if (next() == '"') return decoded(read_literal());
  skip();
  return {};
}

std::vector<std::string> JsonCursor::texts() {
  std::vector<std::string> all;
  items([&] { all.push_back(text()); });
  return all;
}

std::string_view JsonCursor::read_word() {
  const char* const begin = at_;
  while (at_ != end_ && belongs_to_word(*at_)) ++at_;
  return {begin, static_cast<size_t>(at_ - begin)};
}

int64_t JsonCursor::number() {
  const char first = next();
  if (first != '-' && (first < '0' || first > '9')) return skip(), 0;
  const std::string_view word = read_word();
  int64_t value = 0;
  if (is_plain_integer(word)) {
    std::from_chars(word.data(), word.data() + word.size(), value);
    return value;
  }
  const Json parsed = Json::parse(word, nullptr, false);
  if (!parsed.is_number()) return fail(), 0;
  return parsed.get<int64_t>();
}

bool JsonCursor::flag() {
  const bool is_true = next() == 't';
  skip();
  return is_true && !failed_;
}

void JsonCursor::skip() {
  const char first = next();
  if (first == '"') {
    const Literal literal = read_literal();
    if (!literal.plain) decoded(literal);
  } else if (first == '{' || first == '[') {
    if (++depth_ > kMostDepth) return fail();
    if (first == '{') members([this](std::string_view) { skip(); });
    else items([this] { skip(); });
    --depth_;
  } else {
    const std::string_view word = read_word();
    if (word == "true" || word == "false" || word == "null" || is_plain_integer(word)) return;
    if (!Json::parse(word, nullptr, false).is_number()) fail();
  }
}

}  // namespace gantry
