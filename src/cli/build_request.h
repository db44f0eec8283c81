// One build as the daemon is asked for it: POST /build with the context, which a daemon on this machine reads in
// place and any other gets as a tar stream; secrets and registry credentials in headers.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "base/result.h"
#include "cli/build_context.h"
#include "cli/session.h"

namespace gantry::cli {

constexpr size_t kLargestSecret = 500 << 10;  // BuildKit's limit

struct BuildCall {
  std::string query;           // of POST /build, without tags
  std::vector<std::string> tags;
  ContextOptions context;
  std::string dockerfile;      // as in the query, for errors
  std::map<std::string, std::string> secrets;  // id → value
};

// Sends it and hands over the lines of the answer. `auths`: X-Registry-Config. Blocking.
Result<> send_build(client::ApiClient& api, const BuildCall& call, bool daemon_is_local, const std::string& auths,
                    const std::function<bool(std::string_view)>& on_line);

// Whether the session's daemon listens on a unix socket, and so may see this machine's files.
bool daemon_is_local(const Session& session);

// "id=x,src=FILE", "id=x,env=NAME" (env of the same name if neither). Errors: what cannot be read.
Result<> add_secret(const Session& session, const std::string& text, std::map<std::string, std::string>& secrets);
// "default", "default=/path/to/agent.sock" → id and socket. Errors: no agent, key files.
Result<std::pair<std::string, std::string>> parse_ssh(const Session& session, const std::string& text);
// "name=PATH|docker-image://REF" → name and absolute place.
Result<std::pair<std::string, std::string>> parse_named_context(const std::string& text);

// What --cache-from and --cache-to say, with the directory of a local cache as the daemon sees it. Errors: it sees none.
Result<std::string> cache_option(const std::string& text, const std::filesystem::path& base, bool daemon_is_local);

// A Git repository, an archive or a Dockerfile by URL, which the daemon fetches.
bool is_context_url(std::string_view context);

void add_parameter(std::string& query, std::string_view key, std::string_view value);

}  // namespace gantry::cli
