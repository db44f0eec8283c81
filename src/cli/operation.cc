#include "cli/operation.h"

#include <cstdlib>

#include "cli/exit.h"

namespace gantry::cli {

OperationView::OperationView(const ProgressStyle& style, const Session& session)
    : view_(ProgressView::make(style, session.err, session.clock())) {
  guard_ = std::make_unique<SignalThread>(std::vector{SIGINT, SIGTERM, SIGHUP}, [this](int) {
    view_->finish();
    std::_Exit(kExitInterrupted);
  });
}

OperationView::~OperationView() {
  guard_.reset();
  view_->finish();
}

Result<compose::Outcome> follow_operation(client::ApiClient& api, const std::string& method, const std::string& path,
                                          const std::string& body,
                                          const std::function<void(const compose::Progress&)>& on_progress) {
  std::optional<compose::Outcome> outcome;
  std::optional<Error> broken;
  TRY(api.stream_lines(method, path, body, [&](std::string_view text) {
    auto line = compose::parse_progress_line(text);
    if (!line.ok()) {
      broken = std::move(line).error().within("reading the daemon's answer");
      return false;
    }
    if (line->progress) on_progress(*line->progress);
    if (line->outcome) outcome = line->outcome;
    return true;
  }));
  if (broken) return *std::move(broken);
  if (!outcome) {
    return Error(Code::unavailable,
                 "the daemon went away before it was finished; what it did is kept, and the "
                 "same command carries on from there");
  }
  return *outcome;
}

int exit_status(const Session& session, const compose::Outcome& outcome) {
  if (outcome.ok) return outcome.exit_code;
  session.fail(outcome.message);
  return outcome.exit_code != 0 ? outcome.exit_code : kExitError;
}

Result<int> run_operation(Session& session, const ProgressStyle& style, const std::string& method,
                          const std::string& path, const std::string& body) {
  client::ApiClient* api = TRY(session.api());
  OperationView drawing(style, session);
  const auto outcome =
      TRY(follow_operation(*api, method, path, body, [&](const auto& progress) { drawing.view().show(progress); }));
  drawing.view().finish();
  return exit_status(session, outcome);
}

std::string project_path(const std::string& project, std::string_view action) {
  std::string path = "/gantry/v1/projects/" + client::url_encode(project);
  if (!action.empty()) path += "/" + std::string(action);
  return path;
}

}  // namespace gantry::cli
