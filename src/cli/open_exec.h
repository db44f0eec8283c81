// A command in a running container, attached: made, started and waited for with the one request that Gantry has for it
// (schemas/gantry-api.yaml).
#pragma once

#include <string>

#include "base/result.h"
#include "cli/api_types.h"
#include "client/api_client.h"

namespace gantry::cli {

struct OpenExec {
  client::ApiClient::Upgraded connection;  // always in frames; the last one is the exit code (cli/frames.h)
  std::string path;                        // "/exec/ID", for other requests about it
};
// Takes the connection of `api`.
Result<OpenExec> open_exec(client::ApiClient& api, const std::string& container, const ExecRequest& request);

}  // namespace gantry::cli
