#include "compose/project.h"

namespace gantry::compose {

const char* to_string(DependencyCondition condition) {
  switch (condition) {
    case DependencyCondition::started: return "service_started";
    case DependencyCondition::healthy: return "service_healthy";
    case DependencyCondition::completed_successfully: return "service_completed_successfully";
  }
  return "";
}

Mark Project::mark_of(const std::string& path) const {
  for (std::string_view rest = path; !rest.empty();) {
    auto found = marks.find(std::string(rest));
    if (found != marks.end()) return found->second;
    size_t cut = rest.find_last_of(".[");
    if (cut == std::string_view::npos) break;
    rest = rest.substr(0, cut);
  }
  return {};
}

}  // namespace gantry::compose
