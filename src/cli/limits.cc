#include "cli/limits.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "base/strings.h"

namespace gantry::cli {

Result<NamedLimit> parse_limit(const std::string& text) {
  const size_t equals = std::min(text.find('='), text.size());
  const std::string name = text.substr(0, equals);
  const std::string limits = text.substr(std::min(equals + 1, text.size()));
  const size_t colon = limits.find(':');
  const std::string soft = limits.substr(0, colon);
  const auto value = [](const std::string& number) -> std::optional<int64_t> {
    if (number == "-1" || number == "unlimited") return -1;
    const auto found = parse_unsigned(number);
    return found && *found <= INT64_MAX ? std::optional(static_cast<int64_t>(*found)) : std::nullopt;
  };
  const auto first = value(soft);
  const auto second = colon == std::string::npos ? first : value(limits.substr(colon + 1));
  if (name.empty() || !first || !second) return invalid("invalid ulimit argument: " + text);
  if (*second != -1 && (*first > *second || *first == -1)) {
    return invalid("ulimit soft limit must be less than or equal to hard limit: " + soft + " > " + limits.substr(colon + 1));
  }
  return NamedLimit{.name = name, .soft = *first, .hard = *second};
}

std::string limits_json(const std::map<std::string, std::pair<int64_t, int64_t>>& limits) {
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const auto& [name, limit] : limits) {
    list.push_back({{"Name", name}, {"Soft", limit.first}, {"Hard", limit.second}});
  }
  return list.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

Result<int64_t> memory_size(const std::string& text) {
  std::string lower = to_lower(text);
  if (lower.ends_with("ib") || lower.ends_with('b')) lower.erase(lower.size() - (lower.ends_with("ib") ? 2 : 1));
  int shift = 0;
  if (!lower.empty()) {
    const size_t unit = std::string_view("kmgtp").find(lower.back());
    if (unit != std::string_view::npos) {
      shift = 10 * static_cast<int>(unit + 1);
      lower.pop_back();
    }
  }
  char* end = nullptr;
  const double value = std::strtod(lower.c_str(), &end);
  const double bytes = std::ldexp(value, shift);
  const bool plain = !lower.empty() && lower.find_first_not_of("0123456789.") == std::string::npos;
  if (!plain || *end != '\0' || bytes > 9e18) return invalid("invalid size: '" + text + "'");
  return static_cast<int64_t>(bytes);
}

}  // namespace gantry::cli
