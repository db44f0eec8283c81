#include "compose/config_hash.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "base/strings.h"

namespace gantry::compose {
namespace {

constexpr std::array<std::string_view, 5> kNotHashed = {"build", "pull_policy", "scale", "depends_on", "profiles"};

// One past the JSON value that begins at `at`. The text is our own compact output: no spaces, well formed.
size_t end_of_value(std::string_view json, size_t at) {
  int depth = 0;
  for (bool in_text = false; at < json.size(); ++at) {
    char c = json[at];
    if (in_text) {
      if (c == '\\') ++at;
      else if (c == '"') in_text = false;
      continue;
    }
    if (c == '"') in_text = true;
    else if (c == '{' || c == '[') ++depth;
    else if ((c == ',' || c == '}' || c == ']') && depth == 0) return at;
    else if (c == '}' || c == ']') --depth;
  }
  return at;
}

// Calls `f(key, member)` for each member of an object, `member` being the text `"key":value`.
template <class F>
void each_member(std::string_view object, F f) {
  for (size_t at = 1; at + 1 < object.size();) {
    size_t key_end = at + 1;
    while (key_end < object.size() && object[key_end] != '"') key_end += object[key_end] == '\\' ? 2 : 1;
    size_t value_end = end_of_value(object, key_end + 2);
    f(object.substr(at + 1, key_end - at - 1), object.substr(at, value_end - at));
    at = value_end + 1;
  }
}

using Drop = bool (*)(std::string_view key);

bool is_replicas(std::string_view key) { return key == "replicas"; }
bool is_not_hashed(std::string_view key) {
  return std::find(kNotHashed.begin(), kNotHashed.end(), key) != kNotHashed.end();
}

// The object without the members that `drop` names; within `deploy`, without the number of replicas.
std::string without(std::string_view object, Drop drop) {
  std::string out = "{";
  each_member(object, [&](std::string_view key, std::string_view member) {
    if (drop(key)) return;
    if (out.size() > 1) out += ',';
    if (key == "deploy") {
      out += "\"deploy\":";
      out += without(member.substr(std::string_view("\"deploy\":").size()), is_replicas);
    } else {
      out += member;
    }
  });
  return out + "}";
}

}  // namespace

std::string hashed_part(const std::string& canonical_json) {
  return canonical_json.empty() ? "{}" : without(canonical_json, is_not_hashed);
}

std::string config_hash(const Service& service) { return sha256_hex(without(service.canonical_json, is_not_hashed)); }

std::string config_hash(const Network& network) { return sha256_hex(network.canonical_json); }

std::string config_hash(const Volume& volume) {
  if (!volume.driver.empty()) return sha256_hex(volume.canonical_json);
  // A volume without a driver is one of the driver "local".
  std::string json = volume.canonical_json;
  size_t name_end = json.find("\"name\":\"") == 1 ? end_of_value(json, 8) : 0;
  std::string member = "\"driver\":\"local\"";
  if (name_end > 0) json.insert(name_end, "," + member);
  else json.insert(1, member + (json.size() > 2 ? "," : ""));
  return sha256_hex(json);
}

}  // namespace gantry::compose
