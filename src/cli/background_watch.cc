#include "cli/background_watch.h"

#include <fcntl.h>

namespace gantry::cli {

Result<std::unique_ptr<BackgroundWatch>> BackgroundWatch::start(Session& session, const compose::Project& project,
                                                                const std::vector<std::string>& services,
                                                                std::function<void(const std::string&)> say) {
  std::vector<std::string> warnings;
  auto rules = TRY(watch_rules(project, services, warnings));
  for (const std::string& warning : warnings) say(warning);
  auto watch = std::make_unique<BackgroundWatch>();
  watch->stop_ = TRY(make_pipe(O_CLOEXEC));
  watch->runner_ = TRY(WatchRunner::create(session, project, std::move(rules), {.quiet = true, .say = say}));
  watch->thread_ = std::thread([runner = watch->runner_.get(), stop = watch->stop_.read.get(), say] {
    if (const auto result = runner->run(stop); !result.ok()) say("Watch ended: " + result.error().message());
  });
  return watch;
}

BackgroundWatch::~BackgroundWatch() {
  stop_.write = Fd();
  if (thread_.joinable()) thread_.join();
}

}  // namespace gantry::cli
