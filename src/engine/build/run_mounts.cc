#include "engine/build/run_mounts.h"

#include <algorithm>
#include <filesystem>

#include "base/strings.h"
#include "engine/build/metadata.h"

namespace gantry::engine {
namespace {

const std::vector<std::string> kKeys = {"type",   "from",     "source",   "src", "target", "dst",  "destination",
                                        "readonly", "ro",     "readwrite", "rw", "id",     "sharing", "mode",
                                        "uid",    "gid",      "size",     "required", "env"};

// Comma-separated, a field in double quotes may hold commas.
std::vector<std::string> csv_fields(const std::string& text) {
  std::vector<std::string> fields(1);
  bool quoted = false;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '"') {
      if (quoted && i + 1 < text.size() && text[i + 1] == '"') fields.back() += text[i++];
      else quoted = !quoted;
    } else if (text[i] == ',' && !quoted) {
      fields.emplace_back();
    } else {
      fields.back() += text[i];
    }
  }
  return fields;
}

Result<bool> parse_switch(const std::string& key, const std::string& value) {
  if (value.empty() || value == "true" || value == "1") return true;
  if (value == "false" || value == "0") return false;
  return invalid("invalid value for " + key + ": " + value);
}

Result<uint64_t> parse_number(const std::string& key, const std::string& value, int base) {
  char* end = nullptr;
  const bool plain = !value.empty() && value.find_first_not_of("0123456789") == std::string::npos;
  const unsigned long long parsed = strtoull(value.c_str(), &end, base);
  if (!plain || *end != '\0' || parsed > UINT32_MAX) return invalid("invalid value " + value + " for " + key);
  return static_cast<uint64_t>(parsed);
}

// "64m", "1g", "100": binary units, as Docker's memory sizes.
Result<uint64_t> bytes(const std::string& value) {
  const size_t digits = std::min(value.find_first_not_of("0123456789"), value.size());
  const std::optional<uint64_t> count = parse_unsigned(std::string_view(value).substr(0, digits));
  std::string unit = to_lower(value.substr(digits));
  if (unit.ends_with("ib")) unit.resize(unit.size() - 2);
  else if (unit.size() == 2 && unit.ends_with('b')) unit.pop_back();
  const size_t power = std::string("bkmgt").find(unit.empty() ? "b" : unit);
  if (!count.has_value() || unit.size() > 1 || power == std::string::npos || *count > (UINT64_MAX >> 40)) {
    return invalid("invalid value for size: " + value);
  }
  return *count << (10 * power);
}

class MountParser {
 public:
  MountParser(char escape, const VariableLookup& lookup, const std::string& working_dir)
      : escape_(escape), lookup_(lookup), working_dir_(working_dir) {}

  Result<RunMount> parse(const std::string& text) {
    RunMount mount;
    std::vector<std::pair<std::string, std::string>> fields;
    for (const std::string& field : csv_fields(text)) {
      const size_t equals = field.find('=');
      const std::string key = to_lower(field.substr(0, equals));
      std::string value = equals == std::string::npos ? "" : field.substr(equals + 1);
      if (std::find(kKeys.begin(), kKeys.end(), key) == kKeys.end()) return unknown_key(key, field);
      if (key != "from") value = TRY(expand(value, escape_, lookup_));
      fields.emplace_back(key, std::move(value));
    }
    for (const auto& [key, value] : fields) {
      if (key == "type") TRY(set_type(mount, value));
    }
    mount.read_only = mount.type == RunMount::Type::bind;
    for (const auto& [key, value] : fields) TRY(set(mount, key, value).within("--mount=" + text));
    TRY(complete(mount));
    return mount;
  }

 private:
  static Error unknown_key(const std::string& key, const std::string& field) {
    const auto meant = nearest(key, kKeys);
    return invalid("unexpected key '" + key + "' in '" + field + "'" +
                   (meant ? " (did you mean " + *meant + "?)" : ""));
  }

  static Result<> set_type(RunMount& mount, const std::string& value) {
    static const std::vector<std::string> kTypes = {"bind", "cache", "tmpfs", "secret", "ssh"};
    const auto found = std::find(kTypes.begin(), kTypes.end(), to_lower(value));
    if (found == kTypes.end()) {
      const auto meant = nearest(value, kTypes);
      return invalid("unsupported mount type " + gantry::quoted(value) +
                     (meant ? " (did you mean " + *meant + "?)" : ""));
    }
    mount.type = static_cast<RunMount::Type>(found - kTypes.begin());
    return {};
  }

  Result<> set(RunMount& mount, const std::string& key, const std::string& value) {
    using Type = RunMount::Type;
    const bool is_file_like = mount.type == Type::secret || mount.type == Type::ssh;
    if (key == "target" || key == "dst" || key == "destination") {
      mount.target = value;
    } else if (key == "source" || key == "src") {
      mount.source = value;
    } else if (key == "from") {
      if (value.find('$') != std::string::npos) {
        return invalid("'" + value + "' in from: variable expansion is not supported for from, define a new stage "
                       "with FROM using ARG from global scope as a workaround");
      }
      mount.from = value;
    } else if (key == "readonly" || key == "ro") {
      mount.read_only = TRY(parse_switch(key, value));
    } else if (key == "readwrite" || key == "rw") {
      mount.read_only = !TRY(parse_switch(key, value));
    } else if (key == "id") {
      mount.id = value;
    } else if (key == "sharing") {
      if (mount.type != Type::cache) return invalid("invalid cache sharing set for " + type_name(mount) + " mount");
      if (value == "shared") mount.sharing = RunMount::Sharing::shared;
      else if (value == "private") mount.sharing = RunMount::Sharing::own;
      else if (value == "locked") mount.sharing = RunMount::Sharing::locked;
      else return invalid("unsupported sharing value " + gantry::quoted(value) + ": use shared, private or locked");
    } else if (key == "mode") {
      mount.mode = static_cast<mode_t>(TRY(parse_number(key, value, 8)) & 07777);
    } else if (key == "uid") {
      mount.uid = static_cast<uid_t>(TRY(parse_number(key, value, 10)));
    } else if (key == "gid") {
      mount.gid = static_cast<gid_t>(TRY(parse_number(key, value, 10)));
    } else if (key == "size") {
      if (mount.type != Type::tmpfs) return invalid("unexpected key 'size' for mount type " + type_name(mount));
      mount.size = TRY(bytes(value));
    } else if (key == "required") {
      if (!is_file_like) return invalid("unexpected key 'required' for mount type " + type_name(mount));
      mount.required = TRY(parse_switch(key, value));
    } else if (key == "env") {
      if (mount.type != Type::secret) return invalid("unexpected key 'env' for mount type " + type_name(mount));
      mount.environment = value;
    }
    return {};
  }

  static std::string type_name(const RunMount& mount) {
    constexpr const char* kNames[] = {"bind", "cache", "tmpfs", "secret", "ssh"};
    return kNames[static_cast<int>(mount.type)];
  }

  Result<> complete(RunMount& mount) {
    using Type = RunMount::Type;
    if (mount.type == Type::secret) {
      if (mount.id.empty()) mount.id = std::filesystem::path(mount.source.empty() ? mount.target : mount.source).filename();
      if (mount.id.empty()) return invalid("secret mount needs an id, a source or a target");
      if (mount.target.empty() && mount.environment.empty()) mount.target = "/run/secrets/" + mount.id;
    } else if (mount.type == Type::ssh) {
      if (mount.id.empty()) mount.id = "default";
    } else if (mount.target.empty()) {
      return invalid("required field " + gantry::quoted("target") + " is missing from the " + type_name(mount) +
                     " mount");
    }
    if (!mount.target.empty()) mount.target = resolve_working_dir(working_dir_, mount.target);
    if (mount.target == "/") return invalid("invalid mount target \"/\"");
    if (mount.type == Type::cache && mount.id.empty()) mount.id = mount.target;
    return {};
  }

  const char escape_;
  const VariableLookup& lookup_;
  const std::string& working_dir_;
};

}  // namespace

Result<std::vector<RunMount>> parse_run_mounts(const Instruction& instruction, char escape,
                                               const VariableLookup& lookup, const std::string& working_dir) {
  std::vector<RunMount> mounts;
  for (const InstructionFlag& flag : instruction.flags) {
    if (flag.name != "mount") continue;
    mounts.push_back(TRY(MountParser(escape, lookup, working_dir).parse(flag.value)));
  }
  return mounts;
}

}  // namespace gantry::engine
