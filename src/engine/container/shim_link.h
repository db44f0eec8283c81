// The one ShimLink: a shim's socket watched by the loop. Loop thread only.
#pragma once

#include <filesystem>
#include <memory>

#include "engine/container/runtime.h"
#include "engine/container/shim_channel.h"

namespace gantry::engine {

// What is known of a running shim when a link to it is made.
struct ShimState {
  Fd channel;
  int pid = 0;
  WallTime started_at{};
  bool same_version = false;        // it is known to be of this daemon's
  std::optional<ExitReport> ended;  // it waits with its report: `exited` is called soon
};

std::unique_ptr<ShimLink> make_shim_link(EventLoop& loop, std::filesystem::path run_dir, ShimState state,
                                         ShimLink::Handlers handlers);

}  // namespace gantry::engine
