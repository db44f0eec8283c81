#include "compose/options_json.h"

#include <limits>
#include <nlohmann/json.hpp>

#include "compose/project_json.h"

namespace gantry::compose {
namespace {

using Json = nlohmann::json;
using Seconds = std::optional<std::chrono::seconds>;
using Words = std::vector<std::string>;

// Larger than any project that the loader lets through.
constexpr size_t kMaxBytes = size_t{64} << 20;

std::string word_of(RecreatePolicy policy) {
  switch (policy) {
    case RecreatePolicy::diverged: return "diverged";
    case RecreatePolicy::force: return "force";
    case RecreatePolicy::never: return "never";
  }
  return "diverged";
}

std::optional<RecreatePolicy> policy_of(std::string_view word) {
  if (word == "diverged") return RecreatePolicy::diverged;
  if (word == "force") return RecreatePolicy::force;
  if (word == "never") return RecreatePolicy::never;
  return std::nullopt;
}

// One list of fields serves both directions: a visitor is called with each name and member.
template <class Options, class Visit>
  requires std::is_same_v<std::remove_const_t<Options>, UpOptions>
void each_field(Options& o, Visit visit) {
  visit("services", o.services);
  visit("recreate", o.recreate);
  visit("recreate_dependencies", o.recreate_dependencies);
  visit("scale", o.scale);
  visit("remove_orphans", o.remove_orphans);
  visit("no_start", o.no_start);
  visit("no_dependencies", o.no_dependencies);
  visit("renew_anonymous_volumes", o.renew_anonymous_volumes);
  visit("wait", o.wait);
  visit("wait_timeout", o.wait_timeout);
  visit("stop_timeout", o.stop_timeout);
  visit("pull", o.pull);
  visit("ignore_orphans", o.ignore_orphans);
  visit("recreate_volumes", o.recreate_volumes);
  visit("to_build", o.to_build);
  visit("dry_run", o.dry_run);
}

template <class Options, class Visit>
  requires std::is_same_v<std::remove_const_t<Options>, DownOptions>
void each_field(Options& o, Visit visit) {
  visit("services", o.services);
  visit("volumes", o.volumes);
  visit("remove_orphans", o.remove_orphans);
  visit("remove_images", o.remove_images);
  visit("timeout", o.timeout);
  visit("dry_run", o.dry_run);
  visit("project", o.project);
}

template <class Options, class Visit>
  requires std::is_same_v<std::remove_const_t<Options>, ServiceOptions>
void each_field(Options& o, Visit visit) {
  visit("services", o.services);
  visit("timeout", o.timeout);
  visit("signal", o.signal);
  visit("no_dependencies", o.no_dependencies);
  visit("wait", o.wait);
  visit("wait_timeout", o.wait_timeout);
  visit("anonymous_volumes", o.anonymous_volumes);
  visit("stop_first", o.stop_first);
  visit("orphans", o.orphans);
  visit("dry_run", o.dry_run);
  visit("project", o.project);
}

template <class Options, class Visit>
  requires std::is_same_v<std::remove_const_t<Options>, RunOptions>
void each_field(Options& o, Visit visit) {
  visit("service", o.service);
  visit("container_name", o.container_name);
  visit("command", o.command);
  visit("entrypoint", o.entrypoint);
  visit("environment", o.environment);
  visit("labels", o.labels);
  visit("volumes", o.volumes);
  visit("publish", o.publish);
  visit("user", o.user);
  visit("working_dir", o.working_dir);
  visit("tty", o.tty);
  visit("stdin_open", o.stdin_open);
  visit("auto_remove", o.auto_remove);
  visit("service_ports", o.service_ports);
  visit("use_aliases", o.use_aliases);
  visit("no_dependencies", o.no_dependencies);
  visit("cap_add", o.cap_add);
  visit("cap_drop", o.cap_drop);
  visit("pull", o.pull);
  visit("remove_orphans", o.remove_orphans);
  visit("ignore_orphans", o.ignore_orphans);
  visit("dry_run", o.dry_run);
}

class Writer {
 public:
  explicit Writer(Json& target) : target_(target) {}
  void operator()(const char* name, bool value) const {
    if (value) target_[name] = true;
  }
  void operator()(const char* name, const std::string& value) const {
    if (!value.empty()) target_[name] = value;
  }
  void operator()(const char* name, const Words& value) const {
    if (!value.empty()) target_[name] = value;
  }
  void operator()(const char* name, const std::optional<Words>& value) const {
    if (value) target_[name] = *value;
  }
  void operator()(const char* name, const std::map<std::string, int>& value) const {
    if (!value.empty()) target_[name] = value;
  }
  void operator()(const char* name, Seconds value) const {
    if (value) target_[name] = value->count();
  }
  void operator()(const char* name, RecreatePolicy value) const {
    if (value != RecreatePolicy::diverged) target_[name] = word_of(value);
  }
  void operator()(const char*, const std::optional<Project>&) const {}  // spliced in as text by `text_of`

 private:
  Json& target_;
};

// Takes each field that it knows out of `source`: what is left is unknown. The first error stays.
class FieldReader {
 public:
  explicit FieldReader(Json source) : source_(std::move(source)) {}

  void operator()(const char* name, bool& value) {
    take(name, "true or false", [&](const Json& json) { return json.is_boolean() && (value = json.get<bool>(), true); });
  }
  void operator()(const char* name, std::string& value) {
    take(name, "a string", [&](const Json& json) { return read(json, value); });
  }
  void operator()(const char* name, Words& value) {
    take(name, "a list of strings", [&](const Json& json) { return read(json, value); });
  }
  void operator()(const char* name, std::optional<Words>& value) {
    take(name, "a list of strings", [&](const Json& json) { return read(json, value.emplace()); });
  }
  void operator()(const char* name, std::map<std::string, int>& value) {
    take(name, "an object of whole numbers, none negative", [&](const Json& json) { return read(json, value); });
  }
  void operator()(const char* name, Seconds& value) {
    take(name, "a whole number of seconds", [&](const Json& json) {
      if (!json.is_number_integer()) return false;
      value = std::chrono::seconds(json.get<int64_t>());
      // Seconds are turned into nanoseconds for timers.
      return value->count() >= -1 && value->count() <= std::numeric_limits<int64_t>::max() / 2'000'000'000;
    });
  }
  void operator()(const char* name, RecreatePolicy& value) {
    take(name, "\"diverged\", \"force\" or \"never\"", [&](const Json& json) {
      auto policy = json.is_string() ? policy_of(json.get_ref<const std::string&>()) : std::nullopt;
      value = policy.value_or(RecreatePolicy::diverged);
      return policy.has_value();
    });
  }
  void operator()(const char* name, std::optional<Project>& value) {
    auto found = source_.find(name);
    if (found == source_.end()) return;
    auto project = project_from_json(found->dump());
    source_.erase(found);
    if (project.ok()) {
      value = std::move(project).value();
    } else if (!error_) {
      error_ = std::move(project).error();
    }
  }

  Result<> end() {
    if (error_) return *error_;
    if (!source_.empty()) return invalid("options: unknown field " + gantry::quoted(source_.begin().key()));
    return {};
  }

 private:
  template <class Read>
  void take(const char* name, const char* expected, Read read) {
    auto found = source_.find(name);
    if (found == source_.end()) return;
    if (!read(*found) && !error_) error_ = invalid(std::string("options: ") + name + " must be " + expected);
    source_.erase(found);
  }
  static bool read(const Json& json, std::string& value) {
    if (!json.is_string()) return false;
    value = json.get_ref<const std::string&>();
    return true;
  }
  static bool read(const Json& json, Words& value) {
    if (!json.is_array()) return false;
    for (const Json& item : json) {
      if (!read(item, value.emplace_back())) return false;
    }
    return true;
  }
  static bool read(const Json& json, std::map<std::string, int>& value) {
    if (!json.is_object()) return false;
    for (const auto& [key, item] : json.items()) {
      if (!item.is_number_integer()) return false;
      auto number = item.get<int64_t>();
      if (number < 0 || number > std::numeric_limits<int>::max()) return false;
      value[key] = static_cast<int>(number);
    }
    return true;
  }

  Json source_;
  std::optional<Error> error_;
};

template <class Options>
std::string text_of(const Options& options) {
  Json json = Json::object();
  each_field(options, Writer(json));
  // Text from outside may hold bytes that are no UTF-8; they are replaced rather than thrown about.
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

// Puts the project's own JSON in as it is, instead of parsing it again.
template <class Options>
std::string text_with_project(const Options& options) {
  std::string text = text_of(options);
  if (!options.project) return text;
  text.pop_back();
  if (text.size() > 1) text += ',';
  return text + "\"project\":" + to_json(*options.project) + "}";
}

template <class Options>
Result<Options> options_from(std::string_view text) {
  if (text.empty()) return Options{};
  if (text.size() > kMaxBytes) return invalid("options: larger than " + std::to_string(kMaxBytes) + " bytes");
  Json json = Json::parse(text, nullptr, false);
  if (!json.is_object()) return invalid("options: not a JSON object");
  Options options;
  FieldReader reader(std::move(json));
  each_field(options, [&reader](const char* name, auto& member) { reader(name, member); });
  TRY(reader.end());
  return options;
}

}  // namespace

std::string to_json(const UpOptions& options) { return text_of(options); }
std::string to_json(const DownOptions& options) { return text_with_project(options); }
std::string to_json(const ServiceOptions& options) { return text_with_project(options); }
std::string to_json(const RunOptions& options) { return text_of(options); }

Result<UpOptions> up_options_from_json(std::string_view json) { return options_from<UpOptions>(json); }
Result<DownOptions> down_options_from_json(std::string_view json) { return options_from<DownOptions>(json); }
Result<ServiceOptions> service_options_from_json(std::string_view json) { return options_from<ServiceOptions>(json); }
Result<RunOptions> run_options_from_json(std::string_view json) { return options_from<RunOptions>(json); }

}  // namespace gantry::compose
