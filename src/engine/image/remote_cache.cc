#include "engine/image/remote_cache.h"

#include <nlohmann/json.hpp>

#include "base/strings.h"
#include "engine/image/digest.h"
#include "engine/image/reference.h"

namespace gantry::engine {
namespace {

using Json = nlohmann::json;

constexpr size_t kMostSteps = 100'000;

enum class Direction { from, to };

Result<bool> boolean(const std::string& option, const std::string& value) {
  if (value == "true") return true;
  if (value == "false") return false;
  return invalid(option + " is true or false, not " + gantry::quoted(value));
}

Result<> set_field(CacheOption& option, const std::string& key, const std::string& value, Direction direction) {
  if (key == "ref") {
    const Reference reference = TRY(Reference::parse(value));
    option.reference = reference.canonical();
  } else if (key == (direction == Direction::from ? "src" : "dest")) {
    option.directory = value;
  } else if (key == "mode" && direction == Direction::to) {
    if (value != "min" && value != "max") return invalid("mode is min or max, not " + gantry::quoted(value));
    option.all_stages = value == "max";
  } else if (key == "ignore-error" && direction == Direction::to) {
    option.ignores_error = TRY(boolean(key, value));
  } else if (key != "compression" && key != "oci-mediatypes" && key != "image-manifest") {
    // Those three have one value here: gzip and OCI's types.
    return invalid("unknown field " + gantry::quoted(key));
  } else if (value != "gzip" && value != "true") {
    return unsupported(key + "=" + value + " is not supported");
  }
  return {};
}

Result<CacheOption> parse_option(const std::string& text, Direction direction) {
  CacheOption option;
  if (text.find('=') == std::string::npos) {
    TRY(set_field(option, "ref", text, direction));
    return option;
  }
  std::string type;
  for (const std::string& field : split(text, ',')) {
    const size_t equals = field.find('=');
    if (equals == std::string::npos) return invalid("expected key=value, not " + gantry::quoted(field));
    const std::string key = to_lower(trim(field.substr(0, equals)));
    const std::string value = field.substr(equals + 1);
    if (key == "type") {
      type = value;
    } else {
      TRY(set_field(option, key, value, direction));
    }
  }
  if (type == "registry") {
    if (option.reference.empty()) return invalid("type=registry needs ref=NAME");
  } else if (type == "local") {
    option.kind = CacheOption::Kind::local;
    const char* name = direction == Direction::from ? "src" : "dest";
    if (option.directory.empty()) return invalid(std::string("type=local needs ") + name + "=DIRECTORY");
  } else if (type == "inline" && direction == Direction::to) {
    option.kind = CacheOption::Kind::inlined;
  } else {
    return unsupported("cache type " + gantry::quoted(type) + " is not supported: use registry, local" +
                       (direction == Direction::to ? " or inline" : ""));
  }
  return option;
}

}  // namespace

Result<CacheOption> parse_cache_from(const std::string& text) {
  return parse_option(text, Direction::from).within("cache-from " + gantry::quoted(text));
}
Result<CacheOption> parse_cache_to(const std::string& text) {
  return parse_option(text, Direction::to).within("cache-to " + gantry::quoted(text));
}

std::string render_cache_index(const CacheIndex& index) {
  Json steps = Json::array();
  for (size_t i = 0; i < index.steps.size(); ++i) {
    const CachedStep& step = index.steps[i];
    steps.push_back(
        {{"key", step.key}, {"parent", step.parent}, {"diff_id", step.diff_id}, {"layer", index.layers[i]}});
  }
  return Json({{"version", 1}, {"steps", steps}}).dump();
}

Result<CacheIndex> parse_cache_index(const std::string& json, size_t layer_count) {
  const Json root = Json::parse(json, nullptr, false);
  if (!root.is_object() || root.value("version", Json()) != 1 || !root.contains("steps") || !root["steps"].is_array()) {
    return invalid("this is no build cache of a known version");
  }
  if (root["steps"].size() > kMostSteps) return invalid("build cache with too many steps");
  CacheIndex index;
  for (const Json& item : root["steps"]) {
    const auto text = [&item](const char* key) {
      return item.is_object() && item.contains(key) && item[key].is_string() ? item[key].get<std::string>() : "";
    };
    CachedStep step{.key = text("key"), .parent = text("parent"), .diff_id = text("diff_id")};
    const bool has_layer = item.is_object() && item.contains("layer") && item["layer"].is_number_unsigned();
    if (!has_layer || item["layer"].get<uint64_t>() >= layer_count)
      return invalid("build cache: a step without a layer");
    if (step.key.empty() || !is_sha256_digest(step.diff_id)) return invalid("build cache: a step without a digest");
    index.layers.push_back(item["layer"].get<size_t>());
    index.steps.push_back(std::move(step));
  }
  return index;
}

CacheIndex inline_cache_index(const ImageDocument& document) {
  CacheIndex index;
  std::string chain;
  for (size_t i = 0; i < document.diff_ids.size(); ++i) {
    const std::string& diff_id = document.diff_ids[i];
    if (i < document.cache_keys.size() && !document.cache_keys[i].empty()) {
      index.steps.push_back({.key = document.cache_keys[i], .parent = chain, .diff_id = diff_id});
      index.layers.push_back(i);
    }
    chain = chain_id(chain, diff_id);
  }
  return index;
}

}  // namespace gantry::engine
