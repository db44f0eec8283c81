#include "cli/credentials.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>

#include "base/fd.h"
#include "base/strings.h"
#include "cli/json_view.h"

namespace gantry::cli {

namespace {

namespace fs = std::filesystem;

constexpr const char* kHub = "https://index.docker.io/v1/";
constexpr size_t kLargestAnswer = size_t{1} << 20;

// "https://host:5000/v2/" → "host:5000"; Docker Hub's many names → one.
std::string host_of(const std::string& server) {
  std::string name = server;
  if (const size_t at = name.find("://"); at != std::string::npos) name.erase(0, at + 3);
  name = name.substr(0, name.find('/'));
  if (name == "index.docker.io" || name == "docker.io" || name == "registry-1.docker.io") return "docker.io";
  return name;
}

Result<OrderedJson> read_config(const fs::path& file) {
  if (access(file.c_str(), F_OK) != 0) return OrderedJson(OrderedJson::object());
  const std::string content = TRY(read_file(file, kLargestAnswer));
  if (trim(content).empty()) return OrderedJson(OrderedJson::object());
  OrderedJson root = OrderedJson::parse(content, nullptr, false);
  if (!root.is_object()) return invalid(file.string() + " is no JSON object");
  return root;
}

Result<> write_config(const fs::path& file, const OrderedJson& root) {
  std::error_code error;
  fs::create_directories(file.parent_path(), error);
  if (error) return Error::from_errno(error.value(), "mkdir", file.parent_path().string());
  return replace_file(file, root.dump(4) + "\n", 0600);
}

// The helper's name is part of a program's name.
bool is_helper_name(const std::string& name) {
  return !name.empty() && name.find('/') == std::string::npos && name.front() != '.';
}

RegistryLogin login_of(const OrderedJson& entry) {
  RegistryLogin login{.user = text_member(entry, "username"),
                      .password = text_member(entry, "password"),
                      .identity_token = text_member(entry, "identitytoken"),
                      .registry_token = text_member(entry, "registrytoken")};
  const std::string both = base64_decode(text_member(entry, "auth")).value_or("");
  if (const size_t colon = both.find(':'); colon != std::string::npos) {
    login.user = both.substr(0, colon);
    login.password = both.substr(colon + 1);
    while (login.password.ends_with('\0')) login.password.pop_back();
  }
  return login;
}

}  // namespace

std::string registry_of(const std::string& image) {
  const size_t slash = image.find('/');
  if (slash == std::string::npos) return "docker.io";
  const std::string first = image.substr(0, slash);
  const bool has_upper = std::any_of(first.begin(), first.end(), [](char c) { return c >= 'A' && c <= 'Z'; });
  const bool is_domain = first.find_first_of(".:") != std::string::npos || first == "localhost" || has_upper;
  return is_domain ? host_of(first) : "docker.io";
}

std::string server_key(const std::string& domain) { return domain == "docker.io" || domain.empty() ? kHub : domain; }

std::string auth_header(const RegistryLogin& login, const std::string& server) {
  if (login.empty()) return "";
  OrderedJson root = {{"username", login.user}, {"password", login.password}, {"serveraddress", server}};
  if (!login.identity_token.empty()) root["identitytoken"] = login.identity_token;
  if (!login.registry_token.empty()) root["registrytoken"] = login.registry_token;
  return base64_encode(root.dump());
}

CredentialStore::CredentialStore(const std::map<std::string, std::string>& environment) : environment_(environment) {
  const auto variable = [&](const char* name) {
    const auto found = environment.find(name);
    return found == environment.end() ? std::string() : found->second;
  };
  const std::string directory = variable("DOCKER_CONFIG");
  file_ = (directory.empty() ? fs::path(variable("HOME")) / ".docker" : fs::path(directory)) / "config.json";
}

Result<std::string> CredentialStore::run_helper(const std::string& helper, const std::string& action,
                                                const std::string& input) {
  const std::string program = "docker-credential-" + helper;
  if (!is_helper_name(helper)) return invalid(file_.string() + ": invalid credential helper " + gantry::quoted(helper));
  Pipe to = TRY(make_pipe());
  Pipe from = TRY(make_pipe());
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, to.read.get(), 0);
  posix_spawn_file_actions_adddup2(&actions, from.write.get(), 1);
  std::vector<std::string> variables;
  for (const auto& [name, value] : environment_) variables.push_back(name + "=" + value);
  std::vector<char*> environment;
  for (std::string& variable : variables) environment.push_back(variable.data());
  environment.push_back(nullptr);
  char* arguments[] = {const_cast<char*>(program.c_str()), const_cast<char*>(action.c_str()), nullptr};
  pid_t pid = 0;
  const int failed = posix_spawnp(&pid, program.c_str(), &actions, nullptr, arguments, environment.data());
  posix_spawn_file_actions_destroy(&actions);
  if (failed != 0) {
    return not_found("credential helper " + program + " cannot be run: " + std::strerror(failed) + " (" +
                     file_.string() + ")");
  }
  to.read.reset();
  from.write.reset();
  const auto old = signal(SIGPIPE, SIG_IGN);  // a helper may not read what it is told
  const Result<> told = write_all(to.write.get(), input);
  signal(SIGPIPE, old);
  (void)told.ok();
  to.write.reset();
  Result<std::string> answer = read_all(from.read.get(), kLargestAnswer);
  int status = 0;
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  std::string output = TRY(std::move(answer));
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return output;
  const std::string message(trim(output));
  if (message.find("credentials not found") != std::string::npos) return not_found(message);
  return internal_error("error getting credentials: " + program + " " + action + " failed: " + message);
}

Result<RegistryLogin> CredentialStore::ask_helper(const std::string& helper, const std::string& server) {
  Result<std::string> answer = run_helper(helper, "get", server);
  if (!answer.ok() && answer.error().code() == Code::not_found &&
      answer.error().message().find("cannot be run") == std::string::npos) {
    return RegistryLogin{};
  }
  const std::string output = TRY(std::move(answer));
  const OrderedJson root = OrderedJson::parse(output, nullptr, false);
  if (!root.is_object()) return internal_error("docker-credential-" + helper + " get gave no JSON");
  RegistryLogin login{.user = text_member(root, "Username"), .password = text_member(root, "Secret")};
  if (login.user == "<token>") login = {.identity_token = login.password};
  return login;
}

Result<std::string> CredentialStore::helper_for(const std::string& server) {
  const OrderedJson root = TRY(read_config(file_));
  const auto helpers = root.find("credHelpers");
  if (helpers != root.end() && helpers->is_object()) {
    for (const auto& [host, helper] : helpers->items()) {
      if (host_of(host) == host_of(server) && helper.is_string()) return helper.get<std::string>();
    }
  }
  return text_member(root, "credsStore");
}

Result<RegistryLogin> CredentialStore::find(const std::string& domain) {
  const std::string helper = TRY(helper_for(domain));
  if (!helper.empty()) {
    const RegistryLogin login = TRY(ask_helper(helper, server_key(domain)));
    if (!login.empty()) return login;
  }
  const OrderedJson root = TRY(read_config(file_));
  const auto entries = root.find("auths");
  if (entries == root.end() || !entries->is_object()) return RegistryLogin{};
  for (const auto& [server, entry] : entries->items()) {
    if (host_of(server) == host_of(domain)) return login_of(entry);
  }
  return RegistryLogin{};
}

Result<std::string> CredentialStore::header(const std::string& domain) {
  return auth_header(TRY(find(domain)), server_key(domain));
}

Result<std::string> CredentialStore::header_of_all() {
  const OrderedJson root = TRY(read_config(file_));
  std::map<std::string, std::string> servers;  // by host
  for (const char* section : {"auths", "credHelpers"}) {
    const auto entries = root.find(section);
    if (entries == root.end() || !entries->is_object()) continue;
    for (const auto& item : entries->items()) servers.emplace(host_of(item.key()), item.key());
  }
  OrderedJson all = OrderedJson::object();
  for (const auto& [host, server] : servers) {
    const RegistryLogin login = TRY(find(host));
    if (login.empty()) continue;
    all[server_key(host)] = OrderedJson::parse(base64_decode(auth_header(login, server_key(host))).value_or("{}"));
  }
  return all.empty() ? std::string() : base64_encode(all.dump());
}

Result<fs::path> CredentialStore::store(const std::string& server, const RegistryLogin& login) {
  const std::string helper = TRY(helper_for(server));
  const bool has_token = !login.identity_token.empty();
  OrderedJson root = TRY(read_config(file_));
  if (!helper.empty()) {
    const OrderedJson entry = {{"ServerURL", server},
                               {"Username", has_token ? "<token>" : login.user},
                               {"Secret", has_token ? login.identity_token : login.password}};
    TRY(run_helper(helper, "store", entry.dump()));
    root["auths"][server] = OrderedJson::object();
    TRY(write_config(file_, root));
    return fs::path("docker-credential-" + helper);
  }
  OrderedJson entry = {{"auth", base64_encode(login.user + ":" + login.password)}};
  if (has_token) entry = {{"auth", base64_encode(login.user + ":")}, {"identitytoken", login.identity_token}};
  root["auths"][server] = std::move(entry);
  TRY(write_config(file_, root));
  return file_;
}

Result<bool> CredentialStore::erase(const std::string& server) {
  const std::string helper = TRY(helper_for(server));
  if (!helper.empty()) {
    const Result<std::string> erased = run_helper(helper, "erase", server);
    if (!erased.ok() && erased.error().code() != Code::not_found) return erased.error();
  }
  OrderedJson root = TRY(read_config(file_));
  const auto entries = root.find("auths");
  if (entries == root.end() || !entries->is_object()) return !helper.empty();
  std::vector<std::string> gone;
  for (const auto& item : entries->items()) {
    if (host_of(item.key()) == host_of(server)) gone.push_back(item.key());
  }
  for (const std::string& key : gone) entries->erase(key);
  if (!gone.empty()) TRY(write_config(file_, root));
  return !gone.empty() || !helper.empty();
}

}  // namespace gantry::cli
