#include "compose/explain_change.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "base/strings.h"
#include "compose/config_hash.h"

namespace gantry::compose {
namespace {

using OrderedJson = nlohmann::ordered_json;

constexpr size_t kMostShown = 3;
constexpr size_t kLongestValue = 60;
constexpr size_t kMaxDepth = 64;

std::string dumped(const OrderedJson& value) { return value.dump(-1, ' ', false, OrderedJson::error_handler_t::replace); }

class Comparison {
 public:
  Comparison(const Project& project, std::string subject, std::vector<Difference>& found)
      : project_(project), subject_(std::move(subject)), found_(found) {}

  void compare(const std::string& path, const OrderedJson& was, const OrderedJson& now, size_t depth) {
    if (was == now) return;
    if (depth < kMaxDepth && was.is_object() && now.is_object()) return compare_objects(path, was, now, depth);
    if (was.is_array() && now.is_array()) return compare_arrays(path, was, now, depth);
    add(path, dumped(was), dumped(now));
  }

 private:
  void compare_objects(const std::string& path, const OrderedJson& was, const OrderedJson& now, size_t depth) {
    for (const auto& [key, value] : now.items()) {
      const std::string child = path.empty() ? key : path + "." + key;
      const auto before = was.find(key);
      if (before != was.end()) compare(child, *before, value, depth + 1);
      else add(child, "", dumped(value));
    }
    for (const auto& [key, value] : was.items()) {
      if (!now.contains(key)) add(path.empty() ? key : path + "." + key, dumped(value), "");
    }
  }

  // A list in which one item changed its place by an insertion is told as that insertion.
  void compare_arrays(const std::string& path, const OrderedJson& was, const OrderedJson& now, size_t depth) {
    const auto holds = [](const OrderedJson& list, const OrderedJson& item) {
      return std::find(list.begin(), list.end(), item) != list.end();
    };
    if (was.size() == now.size() && depth < kMaxDepth) {
      size_t changed = 0;
      for (size_t i = 0; i < now.size(); ++i) changed += was[i] == now[i] ? 0 : 1;
      if (changed == 1) {
        for (size_t i = 0; i < now.size(); ++i) compare(path + "[" + std::to_string(i) + "]", was[i], now[i], depth + 1);
        return;
      }
    }
    size_t told = found_.size();
    for (size_t i = 0; i < now.size(); ++i) {
      if (!holds(was, now[i])) add(path + "[" + std::to_string(i) + "]", "", dumped(now[i]));
    }
    for (const OrderedJson& item : was) {
      if (!holds(now, item)) add(path, dumped(item), "");
    }
    if (found_.size() == told) add(path, dumped(was), dumped(now));  // the order alone
  }

  void add(const std::string& path, std::string was, std::string now) {
    found_.push_back({.path = path,
                      .was = std::move(was),
                      .now = std::move(now),
                      .mark = project_.mark_of(subject_ + "." + path)});
  }

  const Project& project_;
  std::string subject_;
  std::vector<Difference>& found_;
};

bool looks_secret(const std::string& path) {
  constexpr std::array<std::string_view, 7> kWords = {"password", "passwd", "secret",     "token",
                                                      "api_key",  "apikey", "private_key"};
  const std::string lower = to_lower(path);
  return std::any_of(kWords.begin(), kWords.end(),
                     [&](std::string_view word) { return lower.find(word) != std::string::npos; });
}

std::string shown(const std::string& value, bool secret) {
  if (secret) return "(not shown)";
  if (value.size() <= kLongestValue) return value;
  size_t end = kLongestValue;
  while (end > 0 && (static_cast<unsigned char>(value[end]) & 0xC0) == 0x80) --end;  // not within a character
  return value.substr(0, end) + "…";
}

std::string file_name(const std::string& path) {
  const size_t slash = path.rfind('/');
  return slash == std::string::npos ? path : path.substr(slash + 1);
}

std::string place(const Mark& mark) {
  if (mark.file.empty() || mark.line == 0) return "";
  return file_name(mark.file) + ":" + std::to_string(mark.line);
}

std::string one_line(const Difference& difference) {
  const bool secret = looks_secret(difference.path);
  const std::string where = place(difference.mark);
  std::string text = difference.path;
  std::vector<std::string> details;
  if (!where.empty()) details.push_back(where);
  if (difference.was.empty()) {
    text += " added";
    details.push_back("now " + shown(difference.now, secret));
  } else if (difference.now.empty()) {
    text += " removed";
    details.push_back("was " + shown(difference.was, secret));
  } else {
    text += " changed";
    details.push_back("was " + shown(difference.was, secret));
    details.push_back("now " + shown(difference.now, secret));
  }
  return text + " (" + join(details, ", ") + ")";
}

}  // namespace

std::vector<Difference> differences(const Project& project, const std::string& subject, const std::string& was,
                                    const std::string& now) {
  std::vector<Difference> found;
  const bool is_service = subject.starts_with("services.");
  const OrderedJson before = OrderedJson::parse(is_service ? hashed_part(was) : was, nullptr, false);
  const OrderedJson after = OrderedJson::parse(is_service ? hashed_part(now) : now, nullptr, false);
  if (!before.is_object() || !after.is_object()) return found;
  Comparison(project, subject, found).compare("", before, after, 0);
  return found;
}

std::string explain_differences(const std::vector<Difference>& differences) {
  std::string text;
  for (size_t i = 0; i < differences.size() && i < kMostShown; ++i) {
    text += (i == 0 ? "" : "; ") + one_line(differences[i]);
  }
  if (differences.size() > kMostShown) text += "; and " + std::to_string(differences.size() - kMostShown) + " more";
  return text;
}

void add_earlier_versions(Desired& desired, const Project& now, const Project& before) {
  for (auto& [name, service] : desired.services) {
    const auto old = before.services.find(name);
    const auto current = now.services.find(name);
    if (old == before.services.end() || current == now.services.end()) continue;
    service.earlier.hash = config_hash(old->second);
    if (service.earlier.hash == service.hash) continue;
    service.earlier.text = explain_differences(
        differences(now, "services." + name, old->second.canonical_json, current->second.canonical_json));
  }
  for (auto& [key, network] : desired.networks) {
    const auto old = before.networks.find(key);
    const auto current = now.networks.find(key);
    if (old == before.networks.end() || current == now.networks.end()) continue;
    network.earlier.hash = config_hash(old->second);
    if (network.earlier.hash == network.hash) continue;
    network.earlier.text =
        explain_differences(differences(now, "networks." + key, old->second.canonical_json, current->second.canonical_json));
  }
}

}  // namespace gantry::compose
