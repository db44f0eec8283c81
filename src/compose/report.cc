#include "compose/report.h"

#include <algorithm>

namespace gantry::compose {
namespace {

// A value may be megabytes; what is said about it is read by people.
constexpr size_t kLongestMessage = 1000;

std::string shortened(std::string text) {
  if (text.size() <= kLongestMessage) return text;
  size_t head = kLongestMessage / 2;
  size_t tail = text.size() - kLongestMessage / 2;
  const auto inside_character = [&](size_t at) { return (static_cast<unsigned char>(text[at]) & 0xC0) == 0x80; };
  while (head > 0 && inside_character(head)) --head;
  while (tail < text.size() && inside_character(tail)) ++tail;
  return text.substr(0, head) + " … " + text.substr(tail);
}

}  // namespace

std::string Path::str() const {
  if (parent == nullptr) return {};
  std::string out = parent->str();
  if (index >= 0) return out + "[" + std::to_string(index) + "]";
  if (!out.empty()) out += '.';
  bool plain = !key.empty() && key.find_first_of(" \t\n\"[]") == std::string_view::npos;
  if (plain) return out += key;
  return out + '"' + std::string(key) + '"';
}

int Report::add_file(std::string name, std::string text) {
  names_.push_back(std::move(name));
  texts_.push_back(std::move(text));
  return static_cast<int>(names_.size()) - 1;
}

void Report::error(const Place& place, const Path& path, std::string message, std::string hint) {
  add(Severity::error, place, path.str(), std::move(message), std::move(hint), 0);
}

void Report::error_at(const Place& place, std::string path, std::string message, std::string hint, int length) {
  add(Severity::error, place, std::move(path), std::move(message), std::move(hint), length);
}

void Report::warning(const Place& place, const Path& path, std::string message, std::string hint) {
  add(Severity::warning, place, path.str(), std::move(message), std::move(hint), 0);
}

void Report::add(Severity severity, const Place& place, std::string path, std::string message, std::string hint,
                 int length) {
  bool is_error = severity == Severity::error;
  size_t& count = is_error ? errors_ : warnings_;
  if (++count > kMostErrors || silent_) return;
  entries_.push_back({place,
                      {.severity = severity,
                       .mark = mark(place),
                       .path = shortened(std::move(path)),
                       .message = shortened(std::move(message)),
                       .hint = std::move(hint),
                       .note = note_about(place),
                       .length = length}});
}

std::string Report::note_about(const Place& place) const {
  auto found = history.interpolations.find(place);
  return place.line == 0 || found == history.interpolations.end() ? "" : found->second.variables;
}

Mark Report::mark(const Place& place) const {
  if (place.file < 0) return {};
  return {.file = file_name(place.file), .line = place.line, .column = place.column};
}

std::vector<Diagnostic> Report::take() {
  auto before = [](const Entry& a, const Entry& b) {
    auto key = [](const Place& p) { return std::tuple(p.file, p.line, p.column); };
    return key(a.place) < key(b.place);
  };
  std::stable_sort(entries_.begin(), entries_.end(), before);
  std::vector<Diagnostic> out;
  for (Entry& entry : entries_) {
    if (out.empty() || !(out.back() == entry.diagnostic)) out.push_back(std::move(entry.diagnostic));
  }
  if (errors_ > kMostErrors) {
    out.push_back({.message = "and more than that: only the first " + std::to_string(kMostErrors) + " errors are shown"});
  }
  entries_.clear();
  errors_ = warnings_ = 0;
  return out;
}

std::map<std::string, std::string> Report::texts() const {
  std::map<std::string, std::string> out;
  for (size_t i = 0; i < names_.size(); ++i) out.emplace(names_[i], texts_[i]);
  return out;
}

}  // namespace gantry::compose
