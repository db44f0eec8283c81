#include "cli/build_request.h"

#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/scope_exit.h"
#include "base/strings.h"

namespace gantry::cli {

namespace {

namespace fs = std::filesystem;

std::string secrets_header(const std::map<std::string, std::string>& secrets) {
  if (secrets.empty()) return "";
  StringMap encoded;
  for (const auto& [id, value] : secrets) encoded[id] = base64_encode(value);
  return base64_encode(json_map(encoded));
}

// The query that lets the daemon read the directory itself; nothing if it could not be the same.
std::optional<std::string> local_query(const ContextOptions& context) {
  struct stat status {};
  if (::stat(context.directory.c_str(), &status) != 0 || !S_ISDIR(status.st_mode)) return std::nullopt;
  if (context.extra.size() > 1) return std::nullopt;
  // An ignore file beside a Dockerfile that is elsewhere is known to the client only.
  const bool is_outside = !context.extra.empty() && !context.dockerfile.empty();
  if (is_outside && ::access((context.dockerfile.string() + ".dockerignore").c_str(), F_OK) == 0) return std::nullopt;
  std::error_code error;
  const fs::path place = fs::canonical(context.directory, error);
  if (error) return std::nullopt;
  std::string query;
  add_parameter(query, "gantry-context", place.string());
  add_parameter(query, "gantry-context-id", std::to_string(status.st_dev) + ":" + std::to_string(status.st_ino));
  return query;
}

}  // namespace

void add_parameter(std::string& query, std::string_view key, std::string_view value) {
  query += "&" + std::string(key) + "=" + client::url_encode(value);
}

bool is_context_url(std::string_view context) {
  return context.find("://") != std::string_view::npos || context.starts_with("git@");
}

bool daemon_is_local(const Session& session) {
  const auto endpoint = client::Endpoint::from_environment(session.environment(), session.globals().host,
                                                           session.globals().data_root, session.globals().run_root);
  return endpoint.ok() && endpoint->host.starts_with("unix://");
}

Result<> send_build(client::ApiClient& api, const BuildCall& call, bool is_local, const std::string& auths,
                    const std::function<bool(std::string_view)>& on_line) {
  std::string path = "/build?" + call.query;
  for (const std::string& tag : call.tags) add_parameter(path, "t", tag);
  api.set_header("X-Registry-Config", auths);
  api.set_header("X-Gantry-Secrets", secrets_header(call.secrets));
  const ScopeExit forget([&api] {
    api.set_header("X-Registry-Config", "");
    api.set_header("X-Gantry-Secrets", "");
  });
  const std::string extra = call.context.extra.empty() ? "" : call.context.extra.begin()->second;
  if (!call.context.url.empty()) {
    add_parameter(path, "remote", call.context.url);
    return api.stream_lines("POST", path, extra, on_line);
  }
  const std::optional<std::string> local = is_local ? local_query(call.context) : std::nullopt;
  if (local) {
    Result<> sent = api.stream_lines("POST", path + *local, extra, on_line);
    // The daemon sees another file system: it gets the files.
    if (sent.ok() || sent.error().code() != Code::conflict) return sent;
  }
  BuildContext context = TRY(BuildContext::open(call.context));
  return api.upload("POST", path, "application/x-tar", [&context] { return context.next(); }, on_line);
}

Result<> add_secret(const Session& session, const std::string& text, std::map<std::string, std::string>& secrets) {
  std::string id;
  std::string file;
  std::string variable;
  for (const std::string& field : split(text, ',')) {
    const size_t equals = field.find('=');
    const std::string key = field.substr(0, equals);
    const std::string value = equals == std::string::npos ? "" : field.substr(equals + 1);
    if (key == "id") {
      id = value;
    } else if (key == "src" || key == "source") {
      file = value;
    } else if (key == "env") {
      variable = value;
    } else if (key != "type" || (value != "file" && value != "env")) {
      return invalid("--secret " + gantry::quoted(text) + ": unexpected " + gantry::quoted(field) +
                     ": give id=NAME,src=FILE or id=NAME,env=VARIABLE");
    }
  }
  if (id.empty()) id = fs::path(file).filename();
  if (id.empty()) return invalid("--secret " + gantry::quoted(text) + ": an id is needed");
  if (file.empty()) {
    if (variable.empty()) variable = id;
    if (session.environment().contains(variable)) {
      secrets[id] = session.variable(variable);
      return {};
    }
    if (text.find("env=") != std::string::npos) {
      return not_found("--secret " + gantry::quoted(text) + ": the variable " + variable + " is not set");
    }
    file = id;
  }
  secrets[id] = TRY(read_file(file, kLargestSecret).within("--secret id=" + id));
  return {};
}

Result<std::pair<std::string, std::string>> parse_ssh(const Session& session, const std::string& text) {
  const size_t equals = text.find('=');
  const std::string id = text.substr(0, equals);
  std::string socket = equals == std::string::npos ? session.variable("SSH_AUTH_SOCK") : text.substr(equals + 1);
  if (id.empty()) return invalid("--ssh " + gantry::quoted(text) + ": an id is needed, as default");
  if (socket.empty()) {
    return not_found("--ssh " + gantry::quoted(text) + ": SSH_AUTH_SOCK is not set: start an ssh-agent");
  }
  struct stat status {};
  if (::stat(socket.c_str(), &status) != 0) return Error::from_errno(errno, "--ssh " + text, socket);
  if (!S_ISSOCK(status.st_mode)) {
    return unsupported("--ssh " + gantry::quoted(text) + ": " + socket + " is no agent's socket; keys are used "
                       "through an agent: ssh-add " + socket);
  }
  return std::pair(id, fs::absolute(socket).string());
}

Result<std::string> cache_option(const std::string& text, const fs::path& base, bool daemon_is_local) {
  if (text.find("type=local") == std::string::npos) return text;
  if (!daemon_is_local) {
    return unsupported("cache " + gantry::quoted(text) + ": the daemon is on another machine: use type=registry");
  }
  std::string result;
  for (const std::string& field : split(text, ',')) {
    const size_t equals = field.find('=');
    const std::string key = field.substr(0, equals);
    const bool is_place = (key == "src" || key == "dest") && equals != std::string::npos;
    result += result.empty() ? "" : ",";
    result += is_place ? key + "=" + (fs::absolute(base) / field.substr(equals + 1)).lexically_normal().string() : field;
  }
  return result;
}

Result<std::pair<std::string, std::string>> parse_named_context(const std::string& text) {
  const size_t equals = text.find('=');
  if (equals == std::string::npos || equals == 0 || equals + 1 == text.size()) {
    return invalid("invalid context " + gantry::quoted(text) + ": give NAME=DIRECTORY or NAME=docker-image://REFERENCE");
  }
  const std::string place = text.substr(equals + 1);
  if (place.starts_with("docker-image://")) return std::pair(text.substr(0, equals), place);
  if (place.find("://") != std::string::npos) {
    return unsupported("context " + gantry::quoted(text) + ": only directories and docker-image:// are supported");
  }
  std::error_code error;
  const fs::path directory = fs::canonical(place, error);
  if (error) return Error::from_errno(error.value(), "context " + text.substr(0, equals), place);
  return std::pair(text.substr(0, equals), directory.string());
}

}  // namespace gantry::cli
