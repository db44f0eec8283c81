#include "cli/mount_options.h"

#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/strings.h"
#include "cli/limits.h"

namespace gantry::cli {
namespace {

using OrderedJson = nlohmann::ordered_json;

class MountReader {
 public:
  explicit MountReader(const std::string& text) : text_(text) {}

  Result<OrderedJson> read() {
    for (const std::string& field : csv_fields(text_)) {
      const size_t equals = field.find('=');
      const std::string key = to_lower(field.substr(0, equals));
      TRY(take(key, equals == std::string::npos ? std::nullopt : std::optional(field.substr(equals + 1)), field));
    }
    if (!mount_.contains("Type")) mount_["Type"] = "volume";
    const std::string type = mount_["Type"];
    if (!mount_.contains("Target")) return invalid("target is required");
    if (type != "bind" && !bind_.empty()) return invalid("cannot mix 'bind-*' options with mount type '" + type + "'");
    if (type != "volume" && !volume_.empty()) return invalid("cannot mix 'volume-*' options with mount type '" + type + "'");
    if (type != "tmpfs" && !tmpfs_.empty()) return invalid("cannot mix 'tmpfs-*' options with mount type '" + type + "'");
    if (type != "image" && !image_.empty()) return invalid("cannot mix 'image-*' options with mount type '" + type + "'");
    if (!bind_.empty()) mount_["BindOptions"] = std::move(bind_);
    if (!volume_.empty()) mount_["VolumeOptions"] = std::move(volume_);
    if (!tmpfs_.empty()) mount_["TmpfsOptions"] = std::move(tmpfs_);
    if (!image_.empty()) mount_["ImageOptions"] = std::move(image_);
    return std::move(mount_);
  }

 private:
  Result<bool> flag(const std::string& key, const std::optional<std::string>& value) const {
    if (!value || *value == "true" || *value == "1") return true;
    if (*value == "false" || *value == "0") return false;
    return invalid("invalid value for " + key + ": " + *value);
  }

  Result<> take(const std::string& key, const std::optional<std::string>& value, const std::string& field) {
    // Switches, which need no value.
    if (key == "readonly" || key == "ro") {
      mount_["ReadOnly"] = TRY(flag(key, value));
      return {};
    }
    if (key == "volume-nocopy") {
      volume_["NoCopy"] = TRY(flag(key, value));
      return {};
    }
    if (key == "bind-nonrecursive") {
      bind_["NonRecursive"] = TRY(flag(key, value));
      return {};
    }
    if (key == "bind-create-src") {
      bind_["CreateMountpoint"] = TRY(flag(key, value));
      return {};
    }
    if (!value) return invalid("invalid field '" + field + "' must be a key=value pair");
    if (key == "type") {
      mount_["Type"] = to_lower(*value);
    } else if (key == "source" || key == "src") {
      const bool relative = value->starts_with("./") || value->starts_with("../") || *value == "." || *value == "..";
      mount_["Source"] = relative ? (std::filesystem::current_path() / *value).lexically_normal().string() : *value;
    } else if (key == "target" || key == "dst" || key == "destination") {
      mount_["Target"] = *value;
    } else if (key == "consistency") {
      mount_["Consistency"] = to_lower(*value);
    } else if (key == "bind-propagation") {
      bind_["Propagation"] = to_lower(*value);
    } else if (key == "bind-recursive") {
      TRY(recursion(*value));
    } else if (key == "volume-subpath") {
      volume_["Subpath"] = *value;
    } else if (key == "volume-label") {
      const size_t equals = value->find('=');
      volume_["Labels"][value->substr(0, equals)] = equals == std::string::npos ? "" : value->substr(equals + 1);
    } else if (key == "volume-driver") {
      volume_["DriverConfig"]["Name"] = *value;
    } else if (key == "volume-opt") {
      const size_t equals = value->find('=');
      volume_["DriverConfig"]["Options"][value->substr(0, equals)] = equals == std::string::npos ? "" : value->substr(equals + 1);
    } else if (key == "image-subpath") {
      image_["Subpath"] = *value;
    } else if (key == "tmpfs-size") {
      tmpfs_["SizeBytes"] = TRY(memory_size(*value).within("invalid value for " + key));
    } else if (key == "tmpfs-mode") {
      char* end = nullptr;
      const unsigned long mode = std::strtoul(value->c_str(), &end, 8);
      if (value->empty() || *end != '\0' || mode > 07777) return invalid("invalid value for " + key + ": " + *value);
      tmpfs_["Mode"] = mode;
    } else {
      return invalid("unexpected key '" + key + "' in '" + field + "'");
    }
    return {};
  }

  Result<> recursion(const std::string& value) {
    if (value == "enabled") return {};
    if (value == "disabled") bind_["NonRecursive"] = true;
    else if (value == "writable") bind_["ReadOnlyNonRecursive"] = true;
    else if (value == "readonly") bind_["ReadOnlyForceRecursive"] = true;
    else return invalid("invalid value for bind-recursive: " + value + " (must be \"enabled\", \"disabled\", \"writable\", or \"readonly\")");
    return {};
  }

  const std::string& text_;
  OrderedJson mount_ = OrderedJson::object();
  OrderedJson bind_ = OrderedJson::object();
  OrderedJson volume_ = OrderedJson::object();
  OrderedJson tmpfs_ = OrderedJson::object();
  OrderedJson image_ = OrderedJson::object();
};

}  // namespace

std::vector<std::string> csv_fields(const std::string& text) {
  std::vector<std::string> fields(1);
  bool is_quoted = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (is_quoted && c == '"' && i + 1 < text.size() && text[i + 1] == '"') {
      fields.back() += '"';
      ++i;
    } else if (c == '"') {
      is_quoted = !is_quoted;
    } else if (c == ',' && !is_quoted) {
      fields.emplace_back();
    } else {
      fields.back() += c;
    }
  }
  return fields;
}

Result<OrderedJson> mount_json(const std::string& text) { return MountReader(text).read(); }

}  // namespace gantry::cli
