// The container of `compose run`: a service's, changed as the options say. Pure; any thread.
#pragma once

#include <string>

#include "base/random.h"
#include "base/result.h"
#include "compose/controller.h"
#include "compose/desired.h"
#include "compose/reconcile.h"

namespace gantry::compose {

Result<OneOff> make_one_off(const Desired& desired, const RunOptions& options, Random& random);

// `-p [[IP:][HOST]:]CONTAINER[/PROTOCOL]`, with ranges of equal length.
Result<std::vector<engine::PublishedPort>> parse_publish(const std::string& text);
// `-v [SOURCE:]TARGET[:OPTIONS]`; a SOURCE with a slash is a path.
Result<engine::Mount> parse_volume(const std::string& text);

}  // namespace gantry::compose
