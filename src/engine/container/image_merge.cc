#include "engine/container/image_merge.h"

#include <algorithm>

namespace gantry::engine {
namespace {

constexpr const char* kDefaultPath = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

std::string_view key_of(std::string_view variable) { return variable.substr(0, variable.find('=')); }

std::vector<std::string> merge_environment(const ContainerSpec& spec, const ImageConfig& image) {
  std::vector<std::string> merged = spec.environment;
  for (const std::string& variable : image.environment) {
    const bool given = std::any_of(spec.environment.begin(), spec.environment.end(),
                                   [&](const std::string& own) { return key_of(own) == key_of(variable); });
    if (!given) merged.push_back(variable);
  }
  return merged;
}

std::vector<std::string> merge_arguments(const ContainerSpec& spec, const ImageConfig& image) {
  // [""] is the way to say "no entrypoint" in Docker's API.
  const auto cleared = [](const std::vector<std::string>& list) {
    return list.empty() || (list.size() == 1 && list[0].empty());
  };
  std::vector<std::string> arguments;
  const bool own_entrypoint = spec.entrypoint.has_value();
  const std::vector<std::string>& entrypoint = own_entrypoint ? *spec.entrypoint : image.entrypoint;
  if (!cleared(entrypoint)) arguments = entrypoint;
  if (spec.command) {
    arguments.insert(arguments.end(), spec.command->begin(), spec.command->end());
  } else if (!own_entrypoint) {
    arguments.insert(arguments.end(), image.command.begin(), image.command.end());
  }
  return arguments;
}

std::optional<HealthCheck> merge_health_check(const std::optional<HealthCheck>& own,
                                              const std::optional<HealthCheck>& image) {
  if (!own) return image;
  if (!image) return own;
  HealthCheck merged = *own;
  if (merged.test.empty()) merged.test = image->test;
  if (!merged.interval) merged.interval = image->interval;
  if (!merged.timeout) merged.timeout = image->timeout;
  if (!merged.start_period) merged.start_period = image->start_period;
  if (!merged.start_interval) merged.start_interval = image->start_interval;
  if (!merged.retries) merged.retries = image->retries;
  return merged;
}

}  // namespace

Result<EffectiveConfig> merge_with_image(const ContainerSpec& spec, const ImageConfig& image) {
  EffectiveConfig config;
  config.arguments = merge_arguments(spec, image);
  if (config.arguments.empty()) return invalid("no command specified");
  config.environment = merge_environment(spec, image);
  config.shell = spec.shell.empty() ? image.shell : spec.shell;
  config.user = spec.user.empty() ? image.user : spec.user;
  config.working_dir = spec.working_dir.empty() ? image.working_dir : spec.working_dir;
  config.stop_signal = spec.stop_signal.value_or(image.stop_signal);
  config.labels = spec.labels;
  config.labels.insert(image.labels.begin(), image.labels.end());
  config.exposed = spec.exposed;
  config.exposed.insert(image.exposed.begin(), image.exposed.end());
  for (const PublishedPort& port : spec.published) config.exposed.insert(port.container);
  config.volumes = spec.anonymous_volumes;
  config.volumes.insert(image.volumes.begin(), image.volumes.end());
  config.health_check = merge_health_check(spec.health_check, image.health_check);
  if (config.health_check && (config.health_check->test.empty() || config.health_check->test[0] == "NONE")) {
    config.health_check.reset();
  }
  return config;
}

std::vector<std::string> process_environment(const std::vector<std::string>& configured, const std::string& hostname,
                                             bool tty) {
  std::vector<std::string> result = {kDefaultPath, "HOSTNAME=" + hostname};
  if (tty) result.emplace_back("TERM=xterm");
  for (const std::string& variable : configured) {
    const std::string_view key = key_of(variable);
    auto at = std::find_if(result.begin(), result.end(), [&](const std::string& set) { return key_of(set) == key; });
    const bool removes = variable.find('=') == std::string::npos;
    if (removes) {
      if (at != result.end()) result.erase(at);
    } else if (at != result.end()) {
      *at = variable;
    } else {
      result.push_back(variable);
    }
  }
  return result;
}

}  // namespace gantry::engine
