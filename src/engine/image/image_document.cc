#include "engine/image/image_document.h"

#include <nlohmann/json.hpp>

#include "base/strings.h"
#include "engine/image/digest.h"
#include "engine/json_members.h"

namespace gantry::engine {
namespace {

using Json = nlohmann::json;

constexpr size_t kMostLayers = 500;  // overlayfs's limit

// Go writes null for empty lists, and leaves out what is empty: both count as "nothing".
Result<std::string> optional_text(const Json& object, const char* key) {
  const Json& value = member(object, key);
  if (value.is_null()) return std::string();
  if (!value.is_string()) return invalid("image config: " + std::string(key) + " is no string");
  return value.get_ref<const std::string&>();
}

Result<std::vector<std::string>> texts(const Json& object, const char* key) {
  const Json& value = member(object, key);
  std::vector<std::string> list;
  if (value.is_null()) return list;
  if (value.is_string()) return std::vector<std::string>{value.get_ref<const std::string&>()};
  const Error error = invalid("image config: " + std::string(key) + " is no list of strings");
  if (!value.is_array()) return error;
  for (const Json& item : value) {
    if (!item.is_string()) return error;
    list.push_back(item.get_ref<const std::string&>());
  }
  return list;
}

// {"80/tcp": {}} → {"80/tcp"}
Result<std::vector<std::string>> keys(const Json& object, const char* key) {
  const Json& value = member(object, key);
  std::vector<std::string> list;
  if (value.is_null()) return list;
  if (!value.is_object()) return invalid("image config: " + std::string(key) + " is no object");
  for (const auto& [name, unused] : value.items()) list.push_back(name);
  return list;
}

std::optional<ExposedPort> parse_exposed_port(std::string_view text) {
  const size_t slash = text.find('/');
  const std::string_view protocol = slash == std::string_view::npos ? "tcp" : text.substr(slash + 1);
  const std::optional<uint64_t> number = parse_unsigned(text.substr(0, slash));
  if (!number.has_value() || *number > 65535) return std::nullopt;
  ExposedPort port{.port = static_cast<uint16_t>(*number)};
  if (protocol == "udp") {
    port.protocol = PortProtocol::udp;
  } else if (protocol == "sctp") {
    port.protocol = PortProtocol::sctp;
  } else if (protocol != "tcp") {
    return std::nullopt;
  }
  return port;
}

std::string render_port(const ExposedPort& port) {
  const char* protocol = port.protocol == PortProtocol::udp    ? "/udp"
                         : port.protocol == PortProtocol::sctp ? "/sctp"
                                                               : "/tcp";
  return std::to_string(port.port) + protocol;
}

std::optional<std::chrono::nanoseconds> duration(const Json& object, const char* key) {
  const Json& value = member(object, key);
  if (!value.is_number_integer() || value.get<int64_t>() <= 0) return std::nullopt;
  return std::chrono::nanoseconds(value.get<int64_t>());
}

Result<HealthCheck> parse_health_check(const Json& value) {
  HealthCheck check;
  check.test = TRY(texts(value, "Test"));
  check.interval = duration(value, "Interval");
  check.timeout = duration(value, "Timeout");
  check.start_period = duration(value, "StartPeriod");
  check.start_interval = duration(value, "StartInterval");
  const Json& retries = member(value, "Retries");
  if (retries.is_number_integer() && retries.get<int64_t>() > 0 && retries.get<int64_t>() < INT32_MAX) {
    check.retries = static_cast<int>(retries.get<int64_t>());
  }
  return check;
}

Result<ImageConfig> parse_config(const Json& value) {
  ImageConfig config;
  config.environment = TRY(texts(value, "Env"));
  config.entrypoint = TRY(texts(value, "Entrypoint"));
  config.command = TRY(texts(value, "Cmd"));
  config.user = TRY(optional_text(value, "User"));
  config.working_dir = TRY(optional_text(value, "WorkingDir"));
  config.stop_signal = TRY(optional_text(value, "StopSignal"));
  config.shell = TRY(texts(value, "Shell"));
  config.on_build = TRY(texts(value, "OnBuild"));
  for (const std::string& port : TRY(keys(value, "ExposedPorts"))) {
    if (const std::optional<ExposedPort> parsed = parse_exposed_port(port)) config.exposed.insert(*parsed);
  }
  for (std::string& volume : TRY(keys(value, "Volumes"))) config.volumes.insert(std::move(volume));
  const Json& labels = member(value, "Labels");
  if (labels.is_object()) {
    for (const auto& [name, label] : labels.items()) {
      if (label.is_string()) config.labels.emplace(name, label.get_ref<const std::string&>());
    }
  }
  const Json& health = member(value, "Healthcheck");
  if (health.is_object()) config.health_check = TRY(parse_health_check(health));
  return config;
}

Result<std::vector<HistoryItem>> parse_history(const Json& value) {
  std::vector<HistoryItem> history;
  if (!value.is_array()) return history;
  for (const Json& item : value) {
    const Json& empty = member(item, "empty_layer");
    HistoryItem& entry = history.emplace_back();
    entry.created = TRY(optional_text(item, "created"));
    entry.created_by = TRY(optional_text(item, "created_by"));
    entry.author = TRY(optional_text(item, "author"));
    entry.comment = TRY(optional_text(item, "comment"));
    entry.empty_layer = empty.is_boolean() && empty.get<bool>();
  }
  return history;
}

Json render_config(const ImageConfig& config) {
  Json value = Json::object();
  value["Env"] = config.environment;
  if (!config.entrypoint.empty()) value["Entrypoint"] = config.entrypoint;
  if (!config.command.empty()) value["Cmd"] = config.command;
  if (!config.user.empty()) value["User"] = config.user;
  value["WorkingDir"] = config.working_dir;
  if (!config.stop_signal.empty()) value["StopSignal"] = config.stop_signal;
  if (!config.shell.empty()) value["Shell"] = config.shell;
  if (!config.on_build.empty()) value["OnBuild"] = config.on_build;
  for (const ExposedPort& port : config.exposed) value["ExposedPorts"][render_port(port)] = Json::object();
  for (const std::string& volume : config.volumes) value["Volumes"][volume] = Json::object();
  if (!config.labels.empty()) value["Labels"] = config.labels;
  if (config.health_check.has_value()) {
    Json& health = value["Healthcheck"] = Json::object();
    if (!config.health_check->test.empty()) health["Test"] = config.health_check->test;
    const auto put = [&](const char* key, const std::optional<std::chrono::nanoseconds>& time) {
      if (time.has_value()) health[key] = time->count();
    };
    put("Interval", config.health_check->interval);
    put("Timeout", config.health_check->timeout);
    put("StartPeriod", config.health_check->start_period);
    put("StartInterval", config.health_check->start_interval);
    if (config.health_check->retries.has_value()) health["Retries"] = *config.health_check->retries;
  }
  return value;
}

}  // namespace

Result<ImageDocument> parse_image_document(const std::string& json) {
  const Json root = Json::parse(json, nullptr, false);
  if (!root.is_object()) return invalid("image config is no JSON object");
  const Json& rootfs = member(root, "rootfs");
  if (!rootfs.is_object()) return invalid("image config has no rootfs: this is no container image");
  ImageDocument document;
  document.config = TRY(parse_config(member(root, "config")));
  document.os = TRY(optional_text(root, "os"));
  document.architecture = TRY(optional_text(root, "architecture"));
  document.variant = TRY(optional_text(root, "variant"));
  document.author = TRY(optional_text(root, "author"));
  document.comment = TRY(optional_text(root, "comment"));
  document.created = TRY(optional_text(root, "created"));
  document.diff_ids = TRY(texts(rootfs, "diff_ids"));
  document.history = TRY(parse_history(member(root, "history")));
  document.cache_keys = TRY(texts(root, "gantry.cache.keys"));
  if (document.diff_ids.size() > kMostLayers) {
    return invalid("image has " + std::to_string(document.diff_ids.size()) + " layers, the kernel's limit is " +
                   std::to_string(kMostLayers));
  }
  for (const std::string& diff_id : document.diff_ids) {
    if (!is_sha256_digest(diff_id)) return invalid("image config: bad layer digest " + gantry::quoted(diff_id));
  }
  return document;
}

std::string render_image_document(const ImageDocument& document) {
  Json root = {{"architecture", document.architecture},
               {"os", document.os},
               {"config", render_config(document.config)},
               {"rootfs", {{"type", "layers"}, {"diff_ids", document.diff_ids}}}};
  const auto put = [](Json& object, const char* key, const std::string& value) {
    if (!value.empty()) object[key] = value;
  };
  put(root, "created", document.created);
  put(root, "variant", document.variant);
  put(root, "author", document.author);
  put(root, "comment", document.comment);
  if (!document.cache_keys.empty()) root["gantry.cache.keys"] = document.cache_keys;
  Json& history = root["history"] = Json::array();
  for (const HistoryItem& item : document.history) {
    Json& entry = history.emplace_back(Json::object());
    put(entry, "created", item.created);
    put(entry, "created_by", item.created_by);
    put(entry, "author", item.author);
    put(entry, "comment", item.comment);
    if (item.empty_layer) entry["empty_layer"] = true;
  }
  // Bytes that are no UTF-8 (a Dockerfile may hold anything) become U+FFFD instead of an exception.
  return root.dump(-1, ' ', false, Json::error_handler_t::replace);
}

Image image_from(const ImageDocument& document, const std::string& json) {
  Image image{.id = ImageId(digest_of(json)),
              .config = document.config,
              .os = document.os,
              .architecture = document.architecture,
              .variant = document.variant,
              .author = document.author,
              .comment = document.comment,
              .diff_ids = document.diff_ids,
              .config_json = json};
  parse_rfc3339(document.created, image.created_at);
  return image;
}

}  // namespace gantry::engine
