#include "cli/log_filter.h"

#include <array>
#include <regex>

#include "base/strings.h"

namespace gantry::cli {

namespace {

constexpr size_t kLongest = size_t{16} << 10;  // of a line that is matched; regular expressions are not linear

struct Word {
  std::string_view text;
  LogLevel level;
};
constexpr std::array<Word, 13> kWords = {{{"trace", LogLevel::trace},
                                          {"debug", LogLevel::debug},
                                          {"info", LogLevel::info},
                                          {"notice", LogLevel::info},
                                          {"warning", LogLevel::warn},
                                          {"warn", LogLevel::warn},
                                          {"error", LogLevel::error},
                                          {"err", LogLevel::error},
                                          {"fatal", LogLevel::error},
                                          {"critical", LogLevel::error},
                                          {"crit", LogLevel::error},
                                          {"panic", LogLevel::error},
                                          {"emerg", LogLevel::error}}};

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

std::optional<LogLevel> level_of_word(std::string_view word) {
  for (const Word& known : kWords) {
    if (equals_ignoring_case(word, known.text)) return known.level;
  }
  return std::nullopt;
}

}  // namespace

struct LogFilter::Pattern {
  std::regex expression;
};

// The first word that names a level, near the begin, written as levels are: in capitals, in brackets, or behind
// "level". "no errors found" says nothing about its own level.
std::optional<LogLevel> level_of_line(std::string_view line) {
  constexpr size_t kNear = 200;
  line = line.substr(0, kNear);
  for (size_t at = 0; at < line.size();) {
    if (!is_letter(line[at])) {
      ++at;
      continue;
    }
    size_t end = at;
    bool capitals = true;
    for (; end < line.size() && is_letter(line[end]); ++end) capitals = capitals && line[end] < 'a';
    const std::string_view word = line.substr(at, end - at);
    const std::string before = to_lower(line.substr(at > 10 ? at - 10 : 0, std::min<size_t>(at, 10)));
    const bool after_key = before.find("level") != std::string::npos || before.find("lvl") != std::string::npos ||
                           before.find("severity") != std::string::npos;
    const bool bracketed = at > 0 && (line[at - 1] == '[' || line[at - 1] == '<') && end < line.size() &&
                           (line[end] == ']' || line[end] == '>');
    const bool opens_line = at == 0 && end < line.size() && line[end] == ':';
    if (capitals || after_key || bracketed || opens_line) {
      if (const auto level = level_of_word(word)) return level;
    }
    at = end;
  }
  return std::nullopt;
}

LogFilter::LogFilter() = default;

Result<LogFilter> LogFilter::create(const std::string& pattern, const std::string& level) {
  LogFilter filter;
  if (!level.empty()) {
    filter.least_ = level_of_word(level);
    if (!filter.least_) return invalid("invalid --level " + gantry::quoted(level) + ": give debug, info, warn or error");
  }
  if (pattern.empty()) return filter;
  try {
    filter.pattern_ = std::make_shared<Pattern>(Pattern{std::regex(pattern, std::regex::ECMAScript | std::regex::optimize)});
  } catch (const std::regex_error& error) {
    return invalid("invalid --grep " + gantry::quoted(pattern) + ": no regular expression");
  }
  return filter;
}

bool LogFilter::passes(std::string_view line) const {
  if (least_) {
    const auto level = level_of_line(line);
    if (level ? *level < *least_ : *least_ >= LogLevel::warn) return false;
  }
  if (pattern_ == nullptr) return true;
  const std::string_view matched = line.substr(0, kLongest);
  try {
    return std::regex_search(matched.begin(), matched.end(), pattern_->expression);
  } catch (const std::regex_error&) {  // too complex for this line
    return false;
  }
}

}  // namespace gantry::cli
