// A WatchRunner on a thread of its own, for attached `up`. The destructor stops it and waits.
#pragma once

#include <memory>
#include <thread>

#include "base/fd.h"
#include "base/result.h"
#include "cli/watch_runner.h"

namespace gantry::cli {

class BackgroundWatch {
 public:
  // `say` is called on the watch's thread, with its failure at last, if it has one.
  static Result<std::unique_ptr<BackgroundWatch>> start(Session& session, const compose::Project& project,
                                                        const std::vector<std::string>& services,
                                                        std::function<void(const std::string&)> say);
  ~BackgroundWatch();

 private:
  std::unique_ptr<WatchRunner> runner_;
  Pipe stop_;
  std::thread thread_;
};

}  // namespace gantry::cli
