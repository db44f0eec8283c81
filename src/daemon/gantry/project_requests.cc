#include "daemon/gantry/project_requests.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/json_nesting.h"
#include "base/strings.h"
#include "compose/project_json.h"

namespace gantry::daemon::api {
namespace {

using nlohmann::json;

constexpr int kMaxDepth = 33;  // of a request: a project is about ten deep
constexpr size_t kMostKnown = 8;
// Of all bodies: one project of 3,000 services. As values they take a few times that.
constexpr size_t kMostKnownBytes = size_t{2} << 20;

}  // namespace

Result<ProjectRequest> parse_project_request(const std::string& body, const std::string& name) {
  ProjectRequest request;
  if (body.empty()) return request;
  if (json_nesting(body) > kMaxDepth) return invalid("invalid JSON: nested too deeply");
  const json value = json::parse(body, nullptr, /*allow_exceptions=*/false);
  if (!value.is_object()) return invalid("invalid JSON: expected an object with \"project\" and \"options\"");
  for (const auto& [key, part] : value.items()) {
    if (key == "project") {
      compose::Project project = TRY(compose::project_from_document(part));
      if (project.name != name) {
        return invalid("the project's name " + gantry::quoted(project.name) + " is not that of the path, " +
                       gantry::quoted(name));
      }
      request.project = std::move(project);
    } else if (key == "options") {
      request.options = part.is_null() ? "" : part.dump();
    } else {
      return invalid("unknown field \"" + key + "\": expected \"project\" and \"options\"");
    }
  }
  return request;
}

Result<RecentRequests::Request> RecentRequests::parse(std::string body, const std::string& name) {
  {
    std::lock_guard lock(mutex_);
    const auto found = std::find_if(known_.begin(), known_.end(),
                                    [&](const Known& known) { return known.body == body && known.name == name; });
    if (found != known_.end()) {
      std::rotate(known_.begin(), found, found + 1);
      return known_.front().request;
    }
  }
  ProjectRequest parsed = TRY(parse_project_request(body, name));
  if (!parsed.project) return invalid("the request has no \"project\"");
  Request request{.project = std::make_shared<const compose::Project>(*std::move(parsed.project)),
                  .options = std::move(parsed.options)};
  if (body.size() > kMostKnownBytes) return request;
  std::lock_guard lock(mutex_);
  known_bytes_ += body.size();
  known_.push_front({.body = std::move(body), .name = name, .request = request});
  while (known_.size() > kMostKnown || known_bytes_ > kMostKnownBytes) {
    known_bytes_ -= known_.back().body.size();
    known_.pop_back();
  }
  return request;
}

}  // namespace gantry::daemon::api
