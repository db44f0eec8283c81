// The bodies of requests about projects: {"project": …, "options": …}, both optional here.
#pragma once

#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "base/result.h"
#include "compose/project.h"

namespace gantry::daemon::api {

struct ProjectRequest {
  std::optional<compose::Project> project;
  std::string options;  // JSON text; empty: none
};
// `name`: of the path; the project's must be the same.
Result<ProjectRequest> parse_project_request(const std::string& body, const std::string& name);

// The last `up` requests, as they came. Most `up`s are one that was sent before: then nothing is parsed, and whoever
// knows the project by its address sees that it is the same. Any thread.
class RecentRequests {
 public:
  struct Request {
    std::shared_ptr<const compose::Project> project;
    std::string options;
  };
  // A request without a project is an error.
  Result<Request> parse(std::string body, const std::string& name);

 private:
  struct Known {
    std::string body;
    std::string name;
    Request request;
  };
  std::mutex mutex_;
  std::deque<Known> known_;  // the most recent first
  size_t known_bytes_ = 0;   // of their bodies
};

}  // namespace gantry::daemon::api
