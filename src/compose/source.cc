#include "compose/source.h"

#include <algorithm>

namespace gantry::compose {
namespace {

std::string_view line_of(std::string_view text, int number) {
  for (int line = 1; line < number; ++line) {
    size_t end = text.find('\n');
    if (end == std::string_view::npos) return {};
    text.remove_prefix(end + 1);
  }
  std::string_view line = text.substr(0, text.find('\n'));
  if (line.ends_with('\r')) line.remove_suffix(1);
  return line;
}

// Bytes before the character number `column` (from 1): UTF-8 continuation bytes do not count.
size_t offset_of(std::string_view line, int column) {
  size_t at = 0;
  for (int seen = 1; at < line.size() && seen < column; ++seen) {
    do ++at;
    while (at < line.size() && (static_cast<unsigned char>(line[at]) & 0xC0) == 0x80);
  }
  return at;
}

size_t characters(std::string_view text) {
  return static_cast<size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

// The word that starts at the mark: a quoted text to its closing quote, else up to a space or punctuation of YAML.
size_t word_length(std::string_view rest) {
  if (rest.empty()) return 1;
  if (rest[0] == '"' || rest[0] == '\'') {
    size_t end = rest.find(rest[0], 1);
    return end == std::string_view::npos ? 1 : characters(rest.substr(0, end + 1));
  }
  size_t end = 0;
  while (end < rest.size() && std::string_view(" \t,]}#").find(rest[end]) == std::string_view::npos) ++end;
  if (end > 1 && rest[end - 1] == ':') --end;
  return std::max<size_t>(1, characters(rest.substr(0, end)));
}

// As much of a line as a terminal shows, with the place in it.
struct Excerpt {
  std::string text;
  size_t caret = 0;  // characters before it
  size_t left = 0;   // characters from the caret to the end
};

constexpr size_t kExcerptWidth = 120;  // characters; files of people have shorter lines
constexpr size_t kBeforeCaret = 60;

Excerpt excerpt_of(std::string_view line, int column) {
  const size_t place = offset_of(line, column);
  size_t begin = 0;
  size_t caret = column > 0 ? static_cast<size_t>(column - 1) : 0;
  if (caret > kBeforeCaret && line.size() > kExcerptWidth) {
    begin = offset_of(line, column - static_cast<int>(kBeforeCaret));
    caret = kBeforeCaret;
  }
  std::string_view shown = line.substr(begin);
  shown = shown.substr(0, offset_of(shown, static_cast<int>(kExcerptWidth) + 1));
  const size_t left = characters(shown.substr(std::min(place - begin, shown.size())));
  std::string text(shown);
  // One column each, so that the caret stands under its place; and no file steers the terminal.
  std::replace(text.begin(), text.end(), '\t', ' ');
  std::replace_if(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; }, '?');
  if (begin > 0) {
    text = "…" + text;
    ++caret;
  }
  if (begin + shown.size() < line.size()) text += "…";
  return {.text = std::move(text), .caret = caret, .left = left};
}

}  // namespace

std::string Mark::to_string() const {
  if (line == 0) return file;
  std::string out = file + ":" + std::to_string(line);
  return column == 0 ? out : out + ":" + std::to_string(column);
}

namespace {

// The message and, where there is one, the source line with a caret.
std::string without_note(const Diagnostic& diagnostic, const std::map<std::string, std::string>& texts) {
  std::string out = diagnostic.mark.to_string();
  if (!out.empty()) out += ": ";
  if (diagnostic.severity == Severity::warning) out += "warning: ";
  if (!diagnostic.path.empty()) out += diagnostic.path + ": ";
  out += diagnostic.message;

  auto file = texts.find(diagnostic.mark.file);
  if (file == texts.end() || diagnostic.mark.line == 0) {
    return diagnostic.hint.empty() ? out : out + "; " + diagnostic.hint;
  }
  std::string_view line = line_of(file->second, diagnostic.mark.line);
  std::string number = std::to_string(diagnostic.mark.line);
  const Excerpt excerpt = excerpt_of(line, diagnostic.mark.column);
  out += "\n  " + number + " | " + excerpt.text;
  if (diagnostic.mark.column == 0) return diagnostic.hint.empty() ? out : out + "\n    " + diagnostic.hint;

  std::string_view rest = line.substr(offset_of(line, diagnostic.mark.column));
  size_t length = diagnostic.length > 0 ? static_cast<size_t>(diagnostic.length) : word_length(rest);
  out += "\n  " + std::string(number.size(), ' ') + " | ";
  length = std::clamp<size_t>(length, 1, std::max<size_t>(excerpt.left, 1));
  out += std::string(excerpt.caret, ' ') + '^' + std::string(length - 1, '~');
  if (!diagnostic.hint.empty()) out += " " + diagnostic.hint;
  return out;
}

}  // namespace

std::string render(const Diagnostic& diagnostic, const std::map<std::string, std::string>& texts) {
  std::string out = without_note(diagnostic, texts);
  for (size_t at = 0; at < diagnostic.note.size();) {
    size_t end = std::min(diagnostic.note.find('\n', at), diagnostic.note.size());
    out += "\n  " + diagnostic.note.substr(at, end - at);
    at = end + 1;
  }
  return out;
}

}  // namespace gantry::compose
