// Runs an operation on a project in the daemon (/gantry/v1/projects/…) and draws what it tells.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "base/result.h"
#include "cli/progress_view.h"
#include "cli/session.h"
#include "cli/signals.h"
#include "compose/progress.h"

namespace gantry::cli {

// Sends the request and hands every progress line to `on_progress` until the outcome comes.
// Errors: the daemon refuses or goes away before it has told the outcome.
Result<compose::Outcome> follow_operation(client::ApiClient& api, const std::string& method, const std::string& path,
                                          const std::string& body,
                                          const std::function<void(const compose::Progress&)>& on_progress);
// Shows it all in `view`.
Result<compose::Outcome> follow_operation(client::ApiClient& api, const std::string& method, const std::string& path,
                                          const std::string& body, ProgressView& view);

// The view of one operation. SIGINT, SIGTERM and SIGHUP meanwhile give the terminal back and end the program with
// 130 (the daemon sees the hang-up and starts nothing further).
class OperationView {
 public:
  OperationView(const ProgressStyle& style, const Session& session);
  ~OperationView();
  ProgressView& view() { return *view_; }

 private:
  std::unique_ptr<ProgressView> view_;
  // Nothing needs to be given back without a terminal, and then no thread does either.
  std::unique_ptr<SignalThread> guard_;
  std::optional<SignalHandlers> exit_;
};

// The whole of a command that is one operation: view, request, message. → its exit status.
Result<int> run_operation(Session& session, const ProgressStyle& style, const std::string& method,
                          const std::string& path, const std::string& body);

// An outcome as the exit status of a command; a failure's message goes to standard error.
int exit_status(const Session& session, const compose::Outcome& outcome);

std::string project_path(const std::string& project, std::string_view action = {});

}  // namespace gantry::cli
