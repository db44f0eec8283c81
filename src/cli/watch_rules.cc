#include "cli/watch_rules.h"

#include <unistd.h>

#include <algorithm>

#include "base/fd.h"
#include "base/strings.h"
#include "cli/json_view.h"

namespace gantry::cli {

namespace fs = std::filesystem;

namespace {

using Action = WatchRule::Action;

// What editors and git leave behind while they work: never of interest, and not to be switched off.
constexpr std::string_view kTemporary =
    "**/.git/\n**/.git\n**/*~\n**/.*.swp\n**/.*.swx\n**/.*.swo\n**/.#*\n**/#*#\n**/.idea\n**/4913\n**/___jb_tmp___\n"
    "**/___jb_old___\n**/.DS_Store\n**/.goutputstream-*\n";

std::optional<Action> action_of(std::string_view text) {
  if (text == "rebuild") return Action::rebuild;
  if (text == "sync") return Action::sync;
  if (text == "restart") return Action::restart;
  if (text == "sync+restart") return Action::sync_restart;
  if (text == "sync+exec") return Action::sync_exec;
  return std::nullopt;
}

std::string pattern_lines(const Json& object, const char* key) {
  std::string lines;
  const auto found = object.find(key);
  if (found == object.end()) return lines;
  if (found->is_string()) return found->get<std::string>() + "\n";
  for (const Json& item : *found) {
    if (item.is_string()) lines += item.get<std::string>() + "\n";
  }
  return lines;
}

// The ignore file of the build context, relative to it.
Result<std::string> ignore_file(const compose::Service& service) {
  if (!service.build) return std::string();
  const fs::path context = service.build->context;
  const std::string dockerfile = service.build->dockerfile.empty() ? "Dockerfile" : service.build->dockerfile;
  for (const fs::path& candidate : {(context / dockerfile).concat(".dockerignore"), context / ".dockerignore"}) {
    if (::access(candidate.c_str(), R_OK) == 0) return read_file(candidate);
  }
  return std::string();
}

compose::Hook hook_of(const Json& exec) {
  compose::Hook hook{.user = text_member(exec, "user"), .working_dir = text_member(exec, "working_dir")};
  if (const auto command = exec.find("command"); command != exec.end() && command->is_array()) {
    for (const Json& word : *command) hook.command.push_back(word.is_string() ? word.get<std::string>() : word.dump());
  }
  hook.privileged = exec.value("privileged", false);
  if (const auto environment = exec.find("environment"); environment != exec.end() && environment->is_object()) {
    for (const auto& [name, value] : environment->items()) {
      if (value.is_string()) hook.environment[name] = value.get<std::string>();
    }
  }
  return hook;
}

Result<WatchRule> rule_of(const compose::Service& service, const Json& json) {
  const auto action = action_of(text_member(json, "action"));
  if (!action) return invalid("services." + service.name + ".develop.watch: unknown action " + text_member(json, "action"));
  WatchRule rule{.service = service.name,
                 .path = fs::path(text_member(json, "path")).lexically_normal(),
                 .action = *action,
                 .target = text_member(json, "target"),
                 .initial_sync = json.value("initial_sync", false)};
  if (!rule.path.has_filename()) rule.path = rule.path.parent_path();  // "src/"
  std::string ignored = pattern_lines(json, "ignore");
  // The build context's own rules hold for what is below it.
  if (service.build && rule.path == fs::path(service.build->context).lexically_normal()) {
    ignored = TRY(ignore_file(service)) + "\n" + ignored;
  }
  const std::string where = "services." + service.name + ".develop.watch";
  rule.ignored = TRY(IgnorePatterns::parse(ignored + "\n" + std::string(kTemporary)).within(where));
  if (const std::string included = pattern_lines(json, "include"); !included.empty()) {
    rule.included = TRY(IgnorePatterns::parse(included).within(where));
  }
  if (const auto exec = json.find("exec"); exec != json.end() && exec->is_object()) rule.exec = hook_of(*exec);
  return rule;
}

Json watch_of(const compose::Service& service) {
  const Json json = Json::parse(service.canonical_json, nullptr, false);
  if (!json.is_object() || !json.contains("develop") || !json["develop"].is_object()) return Json::array();
  return json["develop"].value("watch", Json::array());
}

bool is_below(const fs::path& path, const fs::path& directory) {
  const std::string relative = path.lexically_relative(directory).string();
  return !relative.empty() && !relative.starts_with("..");
}

bool is_bind_mounted(const compose::Service& service, const WatchRule& rule) {
  return rule.syncs() && std::any_of(service.volumes.begin(), service.volumes.end(), [&](const auto& mount) {
           return mount.type == "bind" && is_below(rule.path, fs::path(mount.source).lexically_normal());
         });
}

}  // namespace

bool WatchRule::matches(const fs::path& file) const {
  if (!is_below(file, path)) return false;
  const std::string relative = file.lexically_relative(path).string();
  if (relative == ".") return true;  // the rule is about this one file
  return !ignored.matches(relative) && (!included || included->matches(relative));
}

bool WatchRule::can_skip(const fs::path& directory) const {
  if (!is_below(directory, path)) return !is_below(path, directory);
  const std::string relative = directory.lexically_relative(path).string();
  return relative != "." && ignored.matches(relative) && ignored.can_skip(relative);
}

std::string WatchRule::container_path(const fs::path& file) const {
  const fs::path relative = file.lexically_relative(path);
  if (relative == ".") return fs::is_directory(path) || !target.ends_with('/') ? target : target + path.filename().string();
  return (fs::path(target) / relative).lexically_normal().string();
}

Result<std::vector<WatchRule>> watch_rules(const compose::Project& project, const std::vector<std::string>& services,
                                           std::vector<std::string>& warnings) {
  std::vector<WatchRule> rules;
  for (const auto& [name, service] : project.services) {
    const bool named = std::find(services.begin(), services.end(), name) != services.end();
    if (!services.empty() && !named) continue;
    const Json list = watch_of(service);
    if (list.empty() && named) {
      return invalid("can't watch service " + gantry::quoted(name) + " without a 'develop' section");
    }
    for (const Json& json : list) {
      WatchRule rule = TRY(rule_of(service, json));
      if (rule.action == Action::rebuild && !service.build) {
        return invalid("can't watch service " + gantry::quoted(name) + " with action rebuild without a build context");
      }
      if (is_bind_mounted(service, rule)) {
        warnings.push_back("path '" + rule.path.string() + "' also declared by a bind mount volume, this path won't be monitored!");
        continue;
      }
      rules.push_back(std::move(rule));
    }
  }
  if (rules.empty()) {
    return invalid("none of the selected services is configured for watch, consider setting a 'develop' section");
  }
  return rules;
}

bool has_watch_rules(const compose::Project& project) {
  return std::any_of(project.services.begin(), project.services.end(),
                     [](const auto& entry) { return !watch_of(entry.second).empty(); });
}

}  // namespace gantry::cli
