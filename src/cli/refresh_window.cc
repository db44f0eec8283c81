#include "cli/refresh_window.h"

#include "cli/api_extra.h"
#include "cli/commands/commands.h"
#include "cli/image_build.h"
#include "compose/values.h"

namespace gantry::cli {

Result<std::optional<std::chrono::seconds>> refresh_window(std::string_view policy) {
  using Window = std::optional<std::chrono::seconds>;
  if (policy == "daily") return Window(std::chrono::hours(24));
  if (policy == "weekly") return Window(std::chrono::hours(24 * 7));
  constexpr std::string_view kEvery = "every_";
  if (!policy.starts_with(kEvery)) return Window();
  const auto duration = compose::parse_duration(policy.substr(kEvery.size()));
  if (!duration.ok()) return invalid("invalid pull_policy " + gantry::quoted(policy) + ": give every_12h, every_3d or such");
  return Window(std::chrono::duration_cast<std::chrono::seconds>(*duration));
}

Result<> settle_refresh_windows(Session& session, compose::Project& project) {
  for (auto& [name, service] : project.services) {
    const auto window = TRY(refresh_window(service.pull_policy));
    if (!window) continue;
    client::ApiClient* api = TRY(session.api());
    const auto answer = TRY(api->request("GET", image_path(image_name(project, service), "json")));
    WallTime tagged;
    const bool known = answer.status == 200 && parse_rfc3339(TRY(parse_last_tag_time(answer.body)), tagged);
    service.pull_policy = known && session.clock().wall() - tagged < *window ? "missing" : "always";
  }
  return {};
}

}  // namespace gantry::cli
