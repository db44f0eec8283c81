#include "base/ignore_patterns.h"

#include <filesystem>

#include "base/strings.h"

namespace gantry {
namespace {

// "a/./b//" → "a/b", as Go's path.Clean; "" and "." give ".".
std::string cleaned(std::string_view path) {
  std::string text = std::filesystem::path(path).lexically_normal().string();
  while (text.size() > 1 && text.back() == '/') text.pop_back();
  return text.empty() ? "." : text;
}

bool matches_it_or_a_parent(const Glob& glob, std::string_view path) {
  if (glob.matches(path)) return true;
  for (size_t slash = path.find('/'); slash != std::string_view::npos; slash = path.find('/', slash + 1)) {
    if (glob.matches(path.substr(0, slash))) return true;
  }
  return false;
}

}  // namespace

Result<IgnorePatterns> IgnorePatterns::parse(std::string_view text) {
  constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";
  if (text.starts_with(kByteOrderMark)) text.remove_prefix(kByteOrderMark.size());
  IgnorePatterns patterns;
  size_t number = 0;
  for (const std::string& line : split(text, '\n')) {
    ++number;
    if (line.starts_with('#')) continue;
    TRY(patterns.add(line).within("line " + std::to_string(number)));
  }
  return patterns;
}

Result<> IgnorePatterns::add(std::string_view pattern) {
  pattern = trim(pattern);
  if (pattern.empty()) return {};
  const bool takes_back = pattern.front() == '!';
  if (takes_back) {
    pattern = trim(pattern.substr(1));
    if (pattern.empty()) return invalid("illegal exclusion pattern: \"!\"");
  }
  std::string path = cleaned(pattern);
  if (path.size() > 1 && path.front() == '/') path.erase(0, 1);
  if (path == ".") return {};  // the root itself cannot be left out; Docker passes over such lines, too
  patterns_.push_back({.glob = TRY(Glob::compile(path, Glob::Stars::deep)), .takes_back = takes_back});
  return {};
}

bool IgnorePatterns::matches(std::string_view path) const {
  for (auto pattern = patterns_.rbegin(); pattern != patterns_.rend(); ++pattern) {
    if (matches_it_or_a_parent(pattern->glob, path)) return !pattern->takes_back;
  }
  return false;
}

bool IgnorePatterns::can_skip(std::string_view directory) const {
  const std::string prefix = std::string(directory) + "/";
  // A line that takes back matters only behind the last one that leaves the whole directory out.
  for (auto pattern = patterns_.rbegin(); pattern != patterns_.rend(); ++pattern) {
    if (!pattern->takes_back && matches_it_or_a_parent(pattern->glob, directory)) return true;
    if (pattern->takes_back && pattern->glob.could_match_below(prefix)) return false;
  }
  return false;
}

}  // namespace gantry
