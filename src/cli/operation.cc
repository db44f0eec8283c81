#include "cli/operation.h"

#include <cstdlib>

#include "cli/exit.h"

namespace gantry::cli {

OperationView::OperationView(const ProgressStyle& style, const Session& session)
    : view_(ProgressView::make(style, session.err, session.clock())) {
  const std::vector signals = {SIGINT, SIGTERM, SIGHUP};
  if (style.mode != ProgressMode::tty) {
    exit_.emplace(signals, [](int) { std::_Exit(kExitInterrupted); });
    return;
  }
  guard_ = std::make_unique<SignalThread>(signals, [this](int) {
    view_->finish();
    std::_Exit(kExitInterrupted);
  });
}

OperationView::~OperationView() {
  guard_.reset();
  view_->finish();
}

namespace {

Result<compose::Outcome> follow(client::ApiClient& api, const std::string& method, const std::string& path,
                                const std::string& body, const std::function<void(compose::Progress)>& on_progress,
                                const std::function<void()>& on_pause) {
  std::optional<compose::Outcome> outcome;
  std::optional<Error> broken;
  TRY(api.stream_lines(method, path, body, [&](std::string_view text) {
    auto line = compose::parse_progress_line(text);
    if (!line.ok()) {
      broken = std::move(line).error().within("reading the daemon's answer");
      return false;
    }
    if (line->progress) on_progress(*std::move(line->progress));
    if (line->outcome) outcome = line->outcome;
    return true;
  }, on_pause));
  if (broken) return *std::move(broken);
  if (!outcome) {
    return Error(Code::unavailable,
                 "the daemon went away before it was finished; what it did is kept, and the "
                 "same command carries on from there");
  }
  return *outcome;
}

}  // namespace

Result<compose::Outcome> follow_operation(client::ApiClient& api, const std::string& method, const std::string& path,
                                          const std::string& body,
                                          const std::function<void(const compose::Progress&)>& on_progress) {
  return follow(api, method, path, body, on_progress, {});
}

Result<compose::Outcome> follow_operation(client::ApiClient& api, const std::string& method, const std::string& path,
                                          const std::string& body, ProgressView& view) {
  std::vector<compose::Progress> at_hand;
  return follow(api, method, path, body, [&](compose::Progress progress) { at_hand.push_back(std::move(progress)); },
                [&] {
                  view.show_all(at_hand);
                  at_hand.clear();
                });
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
  const auto outcome = TRY(follow_operation(*api, method, path, body, drawing.view()));
  drawing.view().finish();
  return exit_status(session, outcome);
}

std::string project_path(const std::string& project, std::string_view action) {
  std::string path = "/gantry/v1/projects/" + client::url_encode(project);
  if (!action.empty()) path += "/" + std::string(action);
  return path;
}

}  // namespace gantry::cli
