#include "engine/container/log_config.h"

#include <regex.h>

#include <algorithm>
#include <functional>
#include <nlohmann/json.hpp>

#include "base/strings.h"

namespace gantry::engine {
namespace {

constexpr uint64_t kDefaultBuffer = 1 << 20;
constexpr size_t kLongestPattern = 1024;

// "10m" → 10000000 (`kilo` 1000), or binary with 1024.
std::optional<uint64_t> size_of(std::string_view text, uint64_t kilo) {
  std::string lower = to_lower(text);
  if (!lower.empty() && lower.back() == 'b') lower.pop_back();
  uint64_t unit = 1;
  if (!lower.empty()) {
    const char last = lower.back();
    if (last == 'k') unit = kilo;
    if (last == 'm') unit = kilo * kilo;
    if (last == 'g') unit = kilo * kilo * kilo;
    if (unit != 1) lower.pop_back();
  }
  const auto number = parse_unsigned(lower);
  if (!number || *number > UINT64_MAX / unit) return std::nullopt;
  return *number * unit;
}

Result<bool> flag_of(const std::string& key, const std::string& value) {
  if (value == "true" || value == "1") return true;
  if (value == "false" || value == "0") return false;
  return invalid("invalid value for " + key + ": " + gantry::quoted(value) + ": use true or false");
}

// A POSIX extended regular expression; the C library's matcher needs no stack that grows with the text.
class Pattern {
 public:
  static Result<std::shared_ptr<Pattern>> make(const std::string& key, const std::string& text) {
    auto pattern = std::make_shared<Pattern>();
    const int error = text.size() > kLongestPattern
                          ? REG_ESPACE
                          : ::regcomp(&pattern->compiled_, text.c_str(), REG_EXTENDED | REG_NOSUB);
    pattern->usable_ = error == 0;
    if (error != 0) return invalid("invalid regular expression for " + key + ": " + gantry::quoted(text));
    return pattern;
  }
  Pattern() = default;
  Pattern(const Pattern&) = delete;
  Pattern& operator=(const Pattern&) = delete;
  ~Pattern() {
    if (usable_) ::regfree(&compiled_);
  }
  bool matches(const std::string& text) const { return ::regexec(&compiled_, text.c_str(), 0, nullptr, 0) == 0; }

 private:
  regex_t compiled_{};
  bool usable_ = false;
};

// "{{.Name}}/{{.ID}}": the fields of Docker's log tags.
Result<std::string> expand_tag(const std::string& text, const LogSubject& subject) {
  std::string tag;
  for (size_t at = 0; at < text.size();) {
    const size_t open = text.find("{{", at);
    tag += text.substr(at, open == std::string::npos ? open : open - at);
    if (open == std::string::npos) break;
    const size_t close = text.find("}}", open);
    if (close == std::string::npos) return invalid("log tag " + gantry::quoted(text) + ": \"{{\" without \"}}\"");
    const std::string field(trim(std::string_view(text).substr(open + 2, close - open - 2)));
    if (field == ".ID")
      tag += subject.id.substr(0, 12);
    else if (field == ".FullID")
      tag += subject.id;
    else if (field == ".Name")
      tag += subject.name;
    else if (field == ".ImageName")
      tag += subject.image;
    else if (field == ".ImageID")
      tag += subject.image_id.substr(subject.image_id.starts_with("sha256:") ? 7 : 0, 12);
    else if (field == ".ImageFullID")
      tag += subject.image_id;
    else if (field == ".DaemonName")
      tag += "gantry";
    else
      return invalid("log tag: unknown field " + gantry::quoted(field) +
                     ": use .ID, .FullID, .Name, .ImageName, .ImageID, .ImageFullID or .DaemonName");
    at = close + 2;
  }
  return tag;
}

using Attributes = std::map<std::string, std::string>;

void add_labels(const LogSubject& subject, const std::string& names, Attributes& attributes) {
  for (const std::string& name : split(names, ',')) {
    const auto found = subject.labels.find(std::string(trim(name)));
    if (found != subject.labels.end()) attributes[found->first] = found->second;
  }
}

void add_variables(const LogSubject& subject, const std::function<bool(const std::string&)>& wanted,
                   Attributes& attributes) {
  for (const std::string& variable : subject.environment) {
    const size_t equals = variable.find('=');
    if (equals != std::string::npos && wanted(variable.substr(0, equals))) {
      attributes[variable.substr(0, equals)] = variable.substr(equals + 1);
    }
  }
}

Result<LogSettings::Driver> driver_of(const std::string& name) {
  if (name.empty() || name == "json-file") return LogSettings::Driver::json_file;
  if (name == "local") return LogSettings::Driver::local;
  if (name == "none") return LogSettings::Driver::none;
  return invalid("logger: no log driver named '" + name + "' is registered");
}

// Reads one option. False: there is no such option.
class Reader {
 public:
  Reader(LogSettings& settings, const LogSubject& subject) : settings_(settings), subject_(subject) {}

  Result<bool> read(const std::string& key, const std::string& value) {
    if (key == "max-size") {
      if (value == "-1") return true;
      const auto size = size_of(value, 1000);
      if (!size || *size == 0) return invalid("invalid value for max-size: " + gantry::quoted(value));
      settings_.maximum_size = *size;
    } else if (key == "max-file") {
      const auto count = parse_unsigned(value);
      if (!count || *count == 0 || *count > 10'000) return invalid("max-file cannot be less than 1");
      settings_.maximum_files = static_cast<unsigned>(*count);
    } else if (key == "compress") {
      settings_.compress = TRY(flag_of(key, value));
      compress_given_ = settings_.compress;
    } else if (key == "mode") {
      if (value != "blocking" && value != "non-blocking") {
        return invalid("logger: unsupported mode " + gantry::quoted(value) + ": use blocking or non-blocking");
      }
      non_blocking_ = value == "non-blocking";
    } else if (key == "max-buffer-size") {
      const auto size = size_of(value, 1024);
      if (!size || *size == 0) return invalid("error parsing option max-buffer-size: " + gantry::quoted(value));
      buffer_ = *size;
    } else if (settings_.driver == LogSettings::Driver::json_file) {
      return attribute(key, value);
    } else {
      return false;
    }
    return true;
  }

  Result<> finish() {
    if (buffer_ && !non_blocking_)
      return invalid("logger: max-buffer-size option is only supported with 'mode=non-blocking'");
    if (non_blocking_) settings_.buffer_size = buffer_.value_or(kDefaultBuffer);
    if (settings_.maximum_files > 1 && settings_.maximum_size == 0) {
      return invalid("max-size should be set if max-file is set");
    }
    if (compress_given_ && (settings_.maximum_files < 2 || settings_.maximum_size == 0)) {
      return invalid("compress cannot be true when max-file is less than 2 or max-size is not set");
    }
    if (settings_.maximum_files < 2) settings_.compress = false;
    if (!attributes_.empty()) {
      settings_.attributes = nlohmann::json(attributes_).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
    }
    return {};
  }

 private:
  Result<bool> attribute(const std::string& key, const std::string& value) {
    if (key == "labels") {
      add_labels(subject_, value, attributes_);
    } else if (key == "labels-regex") {
      const std::shared_ptr<Pattern> pattern = TRY(Pattern::make(key, value));
      for (const auto& [name, label] : subject_.labels) {
        if (pattern->matches(name)) attributes_[name] = label;
      }
    } else if (key == "env") {
      std::vector<std::string> names = split(value, ',');
      for (std::string& name : names) name = std::string(trim(name));
      add_variables(
          subject_, [&](const std::string& name) { return std::ranges::find(names, name) != names.end(); },
          attributes_);
    } else if (key == "env-regex") {
      const std::shared_ptr<Pattern> pattern = TRY(Pattern::make(key, value));
      add_variables(
          subject_, [&](const std::string& name) { return pattern->matches(name); }, attributes_);
    } else if (key == "tag") {
      const std::string tag = TRY(expand_tag(value, subject_));
      if (!tag.empty()) attributes_["tag"] = tag;
    } else {
      return false;
    }
    return true;
  }

  LogSettings& settings_;
  const LogSubject& subject_;
  Attributes attributes_;
  bool compress_given_ = false;
  bool non_blocking_ = false;
  std::optional<uint64_t> buffer_;
};

}  // namespace

Result<LogSettings> log_settings(const LogConfig& config, const LogSubject& subject) {
  LogSettings settings;
  settings.driver = TRY(driver_of(config.driver));
  if (settings.driver == LogSettings::Driver::local) {
    settings.maximum_size = 20'000'000;
    settings.maximum_files = 5;
    settings.compress = true;
  }
  // The driver that keeps nothing takes options for another one, as Docker's does.
  if (settings.driver == LogSettings::Driver::none) return settings;
  Reader reader(settings, subject);
  for (const auto& [key, value] : config.options) {
    if (TRY(reader.read(key, value))) continue;
    const char* name = settings.driver == LogSettings::Driver::local ? "local" : "json-file";
    return invalid("unknown log opt '" + key + "' for " + name + " log driver");
  }
  TRY(reader.finish());
  return settings;
}

Result<> check_log_config(const LogConfig& config) {
  TRY(log_settings(config, {}));
  return {};
}

std::filesystem::path log_file(const std::filesystem::path& directory, const ContainerId& id,
                               const std::string& driver) {
  if (driver == "none") return {};
  return directory / (id.str() + (driver == "local" ? "-local.log" : "-json.log"));
}

}  // namespace gantry::engine
