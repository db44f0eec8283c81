#include "cli/open_exec.h"

#include "cli/commands/commands.h"

namespace gantry::cli {

Result<OpenExec> open_exec(client::ApiClient& api, const std::string& container, const ExecRequest& request) {
  OpenExec open;
  open.connection = TRY(api.upgrade("POST", "/gantry/v1" + container_path(container, "exec"), exec_body(request),
                                    client::ApiClient::Upon::this_connection));
  open.path = "/exec/" + open.connection.headers["gantry-exec"];
  return open;
}

}  // namespace gantry::cli
