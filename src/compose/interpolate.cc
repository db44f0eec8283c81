#include "compose/interpolate.h"

namespace gantry::compose {
namespace {

bool name_start(char c) { return c == '_' || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z'); }
bool name_part(char c) { return name_start(c) || (c >= '0' && c <= '9'); }

size_t name_length(std::string_view text) {
  if (text.empty() || !name_start(text[0])) return 0;
  size_t length = 1;
  while (length < text.size() && name_part(text[length])) ++length;
  return length;
}

// Position of the brace that closes what was opened just before `text`; npos: none on this line.
size_t closing_brace(std::string_view text) {
  int depth = 1;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\n') break;
    if (text[i] == '{') ++depth;
    if (text[i] == '}' && --depth == 0) return i;
  }
  return std::string_view::npos;
}

Error malformed(std::string_view whole) {
  return invalid("invalid interpolation format: " + gantry::quoted(whole) + "; you may need to escape any $ with another $");
}

class Substituter {
 public:
  explicit Substituter(const Lookup& lookup) : lookup_(lookup) {}

  Result<std::string> run(std::string_view text, int depth = 0) {
    if (depth > 100) return malformed(text);
    std::string out;
    out.reserve(text.size() + 16);
    size_t at = 0;
    for (;;) {
      size_t dollar = text.find('$', at);
      out.append(text.substr(at, dollar - at));
      if (dollar == std::string_view::npos) return out;
      std::string_view rest = text.substr(dollar + 1);
      if (rest.starts_with('$')) {
        out += '$';
        at = dollar + 2;
      } else if (rest.starts_with('{')) {
        size_t close = closing_brace(rest.substr(1));
        if (close == std::string_view::npos) return malformed(text);
        out += TRY(braced(rest.substr(1, close), text, depth));
        at = dollar + close + 3;
      } else if (size_t length = name_length(rest); length > 0) {
        out += plain(rest.substr(0, length));
        at = dollar + 1 + length;
      } else {
        out += '$';
        at = dollar + 1;
      }
    }
  }

  std::vector<std::string> unset;

 private:
  std::string plain(std::string_view name) {
    if (const std::string* value = lookup_(name)) return *value;
    unset.emplace_back(name);
    return {};
  }

  Result<std::string> braced(std::string_view inside, std::string_view whole, int depth) {
    size_t length = name_length(inside);
    if (length == 0) return malformed(whole);
    std::string_view name = inside.substr(0, length);
    std::string_view rest = inside.substr(length);
    if (rest.empty()) return plain(name);
    bool empty_counts = rest.starts_with(':');
    if (empty_counts) rest.remove_prefix(1);
    char operation = rest.empty() ? '\0' : rest[0];
    if (operation != '-' && operation != '?' && operation != '+') return malformed(whole);
    std::string_view word = rest.substr(1);
    const std::string* value = lookup_(name);
    bool given = value != nullptr && !(empty_counts && value->empty());
    if (operation == '-') return given ? Result<std::string>(*value) : run(word, depth + 1);
    if (operation == '+') return given ? run(word, depth + 1) : Result<std::string>(value ? *value : "");
    if (given) return *value;
    std::string why = TRY(run(word, depth + 1));
    return invalid("required variable " + std::string(name) + " is missing a value" + (why.empty() ? "" : ": " + why));
  }

  const Lookup& lookup_;
};

}  // namespace

Lookup lookup_in(const Environment& environment) {
  return [&environment](std::string_view name) -> const std::string* {
    auto found = environment.find(name);
    return found == environment.end() ? nullptr : &found->second;
  };
}

Result<Substitution> substitute(std::string_view text, const Lookup& lookup) {
  Substituter substituter(lookup);
  std::string out = TRY(substituter.run(text));
  return Substitution{std::move(out), std::move(substituter.unset)};
}

void interpolate(Node& node, const Lookup& lookup, const Path& path, Report& report) {
  if (node.is_map()) {
    for (Entry& entry : node.entries) interpolate(entry.value, lookup, path / entry.key, report);
    return;
  }
  if (node.is_list()) {
    for (size_t i = 0; i < node.items.size(); ++i) interpolate(node.items[i], lookup, path[static_cast<int>(i)], report);
    return;
  }
  if (!node.is_string() || node.text.find('$') == std::string::npos) return;
  auto result = substitute(node.text, lookup);
  if (!result.ok()) return report.error(node.place, path, result.error().message());
  for (const std::string& name : result->unset) {
    report.warning(node.place, path, "The " + gantry::quoted(name) + " variable is not set. Defaulting to a blank string.");
  }
  node.text = std::move(result->text);
}

}  // namespace gantry::compose
