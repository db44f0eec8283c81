#include "daemon/docker/filters.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <regex>

#include "base/strings.h"

namespace gantry::daemon::docker {
namespace {

using nlohmann::json;

constexpr size_t kMaxPattern = 1000;  // std::regex recurses by length; a filter is a name

bool regex_matches(const std::string& pattern, std::string_view candidate) {
  if (pattern.size() > kMaxPattern || candidate.size() > kMaxPattern) return false;
  try {
    return std::regex_search(candidate.begin(), candidate.end(), std::regex(pattern));
  } catch (const std::regex_error&) {
    return false;
  }
}

bool label_matches(const engine::Labels& labels, const std::string& wanted) {
  const size_t equals = wanted.find('=');
  const auto at = labels.find(wanted.substr(0, equals));
  if (at == labels.end()) return false;
  return equals == std::string::npos || at->second == wanted.substr(equals + 1);
}

}  // namespace

Result<Filters> Filters::parse(std::string_view text, std::span<const std::string_view> known) {
  Filters filters;
  if (trim(text).empty()) return filters;
  const json given = json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!given.is_object()) return invalid("invalid filter");
  for (const auto& [key, values] : given.items()) {
    if (!known.empty() && std::find(known.begin(), known.end(), key) == known.end()) {
      return invalid("invalid filter '" + key + "'");
    }
    std::set<std::string> chosen;
    if (values.is_object()) {
      for (const auto& [value, on] : values.items()) {
        if (!on.is_boolean()) return invalid("invalid filter");
        if (on.get<bool>()) chosen.insert(value);
      }
    } else if (values.is_array()) {
      for (const json& value : values) {
        if (!value.is_string()) return invalid("invalid filter");
        chosen.insert(value.get<std::string>());
      }
    } else {
      return invalid("invalid filter");
    }
    if (!chosen.empty()) filters.values_.emplace(key, std::move(chosen));
  }
  return filters;
}

const std::set<std::string>& Filters::values(const std::string& key) const {
  static const std::set<std::string> none;
  const auto at = values_.find(key);
  return at == values_.end() ? none : at->second;
}

bool Filters::exact(const std::string& key, std::string_view candidate) const {
  return !has(key) || values(key).contains(std::string(candidate));
}

bool Filters::any_exact(const std::string& key, std::span<const std::string> candidates) const {
  return !has(key) || std::any_of(candidates.begin(), candidates.end(),
                                  [&](const std::string& candidate) { return values(key).contains(candidate); });
}

bool Filters::match(const std::string& key, std::span<const std::string> candidates) const {
  if (any_exact(key, candidates)) return true;
  for (const std::string& pattern : values(key)) {
    for (const std::string& candidate : candidates) {
      if (regex_matches(pattern, candidate)) return true;
    }
  }
  return false;
}

bool Filters::fuzzy(const std::string& key, std::span<const std::string> candidates) const {
  if (!has(key)) return true;
  for (const std::string& value : values(key)) {
    for (const std::string& candidate : candidates) {
      if (candidate.starts_with(value)) return true;
    }
  }
  return false;
}

bool Filters::labels(const engine::Labels& labels) const {
  const auto holds = [&](const std::string& wanted) { return label_matches(labels, wanted); };
  const std::set<std::string>& wanted = values("label");
  const std::set<std::string>& unwanted = values("label!");
  return std::all_of(wanted.begin(), wanted.end(), holds) && std::none_of(unwanted.begin(), unwanted.end(), holds);
}

Result<std::optional<bool>> Filters::flag(const std::string& key) const {
  if (!has(key)) return std::optional<bool>();
  const std::set<std::string>& given = values(key);
  const std::string value = to_lower(*given.begin());
  const bool is_true = value == "1" || value == "true";
  const bool is_false = value == "0" || value == "false";
  if (given.size() != 1 || is_true == is_false) {
    return invalid("invalid filter '" + key + "=[" + join(std::vector<std::string>(given.begin(), given.end()), " ") +
                   "]'");
  }
  return std::optional<bool>(is_true);
}

}  // namespace gantry::daemon::docker
