// Pulls and pushes images through the API and turns its streams into progress rows.
#pragma once

#include <map>
#include <string>

#include "base/result.h"
#include "cli/progress_view.h"
#include "cli/session.h"
#include "compose/project.h"

namespace gantry::cli {

// One image, on this thread. `auth`: X-Registry-Auth, may be empty. Errors: the daemon's.
Result<> pull_image(client::ApiClient& api, const std::string& image, const std::string& platform,
                    const std::string& auth, ProgressView& view);
// With the session's daemon and the user's credentials.
Result<> pull_image(Session& session, const std::string& image, const std::string& platform, ProgressView& view);
// `tag` "" = all tags. Returns the digest that the last tag has now.
Result<std::string> push_image(client::ApiClient& api, const std::string& repository, const std::string& tag,
                               const std::string& auth, ProgressView& view);

// Many side by side (as many as --parallel allows). `images`: reference → platform, "" = the daemon's.
// → the failures by reference; the others are there.
// Under --dry-run the rows are drawn, and nothing is asked for.
Result<std::map<std::string, Error>> pull_images(Session& session, const std::map<std::string, std::string>& images,
                                                 ProgressView& view);

// Missing images of services from registries that the user has logged in to: the daemon, which pulls what else is
// missing, has no credentials. `policy`: of --pull, "" = the services' own.
Result<> pull_private_images(Session& session, const compose::Project& project, const std::string& policy,
                             ProgressView& view);

}  // namespace gantry::cli
