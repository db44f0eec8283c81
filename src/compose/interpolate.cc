#include "compose/interpolate.h"

#include <algorithm>
#include <functional>
#include <set>
#include <span>
#include <utility>

#include "base/result.h"
#include "base/strings.h"

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
    if (depth == 0) out.reserve(text.size() + 16);
    size_t at = 0;
    for (;;) {
      size_t dollar = text.find('$', at);
      out.append(text.substr(at, dollar - at));
      if (out.size() > kLargestValue) return invalid("the value is larger than 16 MiB once its variables are replaced");
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

  std::vector<std::string> used;
  std::vector<std::string> unset;

 private:
  const std::string* look_up(std::string_view name) {
    if (!seen_.contains(name)) {
      seen_.emplace(name);
      used.emplace_back(name);
    }
    return lookup_(name);
  }

  std::string plain(std::string_view name) {
    if (const std::string* value = look_up(name)) return *value;
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
    const std::string* value = look_up(name);
    bool given = value != nullptr && !(empty_counts && value->empty());
    if (operation == '-') return given ? Result<std::string>(*value) : run(word, depth + 1);
    if (operation == '+') return given ? run(word, depth + 1) : Result<std::string>(value ? *value : "");
    if (given) return *value;
    std::string why = TRY(run(word, depth + 1));
    return invalid("required variable " + std::string(name) + " is missing a value" + (why.empty() ? "" : ": " + why));
  }

  const Lookup& lookup_;
  std::set<std::string, std::less<>> seen_;  // what `used` holds
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
  return Substitution{std::move(out), std::move(substituter.used), std::move(substituter.unset)};
}

std::string describe_variable(const std::string& name, const Environment& environment, const Origins& origins) {
  if (!environment.contains(name)) return name + " is not set";
  auto origin = origins.find(name);
  return name + " comes from " + (origin == origins.end() ? "the environment" : origin->second);
}

namespace {

class Interpolator {
 public:
  Interpolator(const Environment& environment, const Origins& origins, Report& report)
      : environment_(environment), origins_(origins), lookup_(lookup_in(environment)), report_(report) {}

  void run(Node& node, const Path& path) {
    if (node.is_map()) {
      for (Entry& entry : node.entries) run(entry.value, path / entry.key);
    } else if (node.is_list()) {
      for (size_t i = 0; i < node.items.size(); ++i) run(node.items[i], path[static_cast<int>(i)]);
    } else if (node.is_string() && node.text.find('$') != std::string::npos) {
      text(node, path);
    }
  }

 private:
  void text(Node& node, const Path& path) {
    auto result = substitute(node.text, lookup_);
    if (!result.ok()) return report_.error(node.place, path, result.error().message());
    size_ += result->text.size();
    if (size_ > kLargestValues) {
      node.text.clear();
      if (std::exchange(too_large_, true)) return;
      return report_.error(node.place, path, "the file's values are larger than 64 MiB once their variables are replaced");
    }
    for (const std::string& name : std::span(result->unset).first(std::min(result->unset.size(), kMostWarnings))) {
      report_.warning(node.place, path,
                      "The " + gantry::quoted(name) + " variable is not set. Defaulting to a blank string.",
                      near(name));
    }
    if (!result->used.empty()) remember(node, result->used);
    node.text = std::move(result->text);
  }

  void remember(Node& node, const std::vector<std::string>& used) {
    std::string lines;
    for (const std::string& name : used) {
      lines += (lines.empty() ? "" : "\n") + describe_variable(name, environment_, origins_);
    }
    report_.history.interpolations[node.place] = {node.text, std::move(lines)};
  }

  // Only among those that files set: the process's environment is full of names that look alike.
  std::string near(const std::string& name) const {
    if (origins_.size() > 1000) return {};
    std::vector<std::string> names;
    for (const auto& [known, origin] : origins_) names.push_back(known);
    auto found = nearest(name, names);
    return found ? "did you mean " + gantry::quoted(*found) + "?" : "";
  }

  static constexpr size_t kMostWarnings = 100;  // about one value: more are not shown anyway

  const Environment& environment_;
  const Origins& origins_;
  Lookup lookup_;
  Report& report_;
  size_t size_ = 0;  // of the values with variables so far
  bool too_large_ = false;
};

// The variables of one template; reads as the substitution does, without values.
void collect_variables(std::string_view text, std::vector<VariableUse>& out, int depth) {
  if (depth > 100) return;
  for (size_t at = text.find('$'); at != std::string_view::npos; at = text.find('$', at)) {
    std::string_view rest = text.substr(at + 1);
    if (rest.starts_with('$')) {
      at += 2;
    } else if (rest.starts_with('{')) {
      size_t close = closing_brace(rest.substr(1));
      if (close == std::string_view::npos) return;
      std::string_view inside = rest.substr(1, close);
      at += close + 3;
      size_t length = name_length(inside);
      if (length == 0) return;
      VariableUse use{.name = std::string(inside.substr(0, length))};
      std::string_view word = inside.substr(length);
      if (word.starts_with(':')) word.remove_prefix(1);
      char operation = word.empty() ? '\0' : word[0];
      word = word.substr(std::min<size_t>(1, word.size()));
      use.required = operation == '?';
      if (operation == '-') use.default_value = word;
      if (operation == '+') use.alternative = word;
      out.push_back(std::move(use));
      collect_variables(word, out, depth + 1);
    } else {
      size_t length = name_length(rest);
      if (length > 0) out.push_back({.name = std::string(rest.substr(0, length))});
      at += 1 + length;
    }
  }
}

}  // namespace

void interpolate(Node& node, const Environment& environment, const Origins& origins, const Path& path, Report& report) {
  Interpolator(environment, origins, report).run(node, path);
}

std::vector<VariableUse> variables_in(std::string_view text) {
  std::vector<VariableUse> out;
  collect_variables(text, out, 0);
  return out;
}

}  // namespace gantry::compose
