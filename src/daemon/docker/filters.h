// The `filters` parameter of lists and prunes, in both encodings that clients send. Pure.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "engine/iface/specs.h"

namespace gantry::daemon::docker {

// Keys are AND'd, values of one key OR'd; but every `label` must hold.
class Filters {
 public:
  // {"k":{"v":true}} or {"k":["v"]}; empty text is no filter. "invalid filter" (400), "invalid filter 'k'" for a key
  // that is not in `known`; an empty `known` lets everything pass.
  static Result<Filters> parse(std::string_view text, std::span<const std::string_view> known);

  bool has(const std::string& key) const { return values_.contains(key); }
  const std::set<std::string>& values(const std::string& key) const;

  bool exact(const std::string& key, std::string_view candidate) const;  // true if the key is not given
  bool any_exact(const std::string& key, std::span<const std::string> candidates) const;
  // Exact, or the value is a regular expression that matches anywhere; a broken expression matches exactly only.
  bool match(const std::string& key, std::span<const std::string> candidates) const;
  // Exact, or the value begins the candidate: ids in event filters.
  bool fuzzy(const std::string& key, std::span<const std::string> candidates) const;
  // `label` and `label!`.
  bool labels(const engine::Labels& labels) const;
  // 0, 1, true, false; else "invalid filter 'dangling=[x]'".
  Result<std::optional<bool>> flag(const std::string& key) const;

 private:
  std::map<std::string, std::set<std::string>> values_;
};

}  // namespace gantry::daemon::docker
