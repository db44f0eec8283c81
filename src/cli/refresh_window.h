// pull_policy daily, weekly and every_DURATION: whether an image was last tagged longer ago than that.
#pragma once

#include <chrono>
#include <optional>
#include <string_view>

#include "base/result.h"
#include "cli/session.h"
#include "compose/project.h"

namespace gantry::cli {

// Nothing for a policy that is no window. Errors: every_… with something that is no duration.
Result<std::optional<std::chrono::seconds>> refresh_window(std::string_view pull_policy);

// Replaces such policies by what they mean now: always when the time has come, else missing.
Result<> settle_refresh_windows(Session& session, compose::Project& project);

}  // namespace gantry::cli
