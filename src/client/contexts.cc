#include "client/contexts.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/fd.h"
#include "base/strings.h"
#include "client/connection.h"

namespace gantry::client {
namespace {

using nlohmann::json;

constexpr size_t kMaxFile = 1 << 20;
constexpr size_t kMostContexts = 1000;

std::string value_in(const Contexts::Environment& environment, const char* name) {
  const auto found = environment.find(name);
  return found == environment.end() ? "" : found->second;
}

std::filesystem::path tls_directory(const std::filesystem::path& root, const std::string& name) {
  return root / "contexts/tls" / sha256_hex(name) / "docker";
}

std::string if_there(const std::filesystem::path& path) {
  std::error_code ignored;
  return std::filesystem::exists(path, ignored) ? path.string() : "";
}

// Nothing for a file that is none of a context.
std::optional<Context> read_context(const std::filesystem::path& root, const std::filesystem::path& file, bool dockers) {
  const auto text = read_file(file, kMaxFile);
  if (!text.ok()) return std::nullopt;
  const json meta = json::parse(*text, nullptr, false);
  if (!meta.is_object() || !meta.contains("Name") || !meta["Name"].is_string()) return std::nullopt;
  Context context{.name = meta["Name"], .is_dockers = dockers, .metadata = file};
  const json details = meta.value("Metadata", json::object());
  if (details.is_object() && details.contains("Description") && details["Description"].is_string()) {
    context.description = details["Description"];
  }
  const json endpoints = meta.value("Endpoints", json::object());
  const json endpoint = endpoints.is_object() ? endpoints.value("docker", json::object()) : json::object();
  if (endpoint.is_object() && endpoint.contains("Host") && endpoint["Host"].is_string()) context.host = endpoint["Host"];
  if (endpoint.is_object() && endpoint.contains("SkipTLSVerify")) context.skip_verify = endpoint["SkipTLSVerify"] == true;
  const std::filesystem::path tls = tls_directory(root, context.name);
  context.tls = {.ca = if_there(tls / "ca.pem"), .cert = if_there(tls / "cert.pem"), .key = if_there(tls / "key.pem")};
  return context;
}

bool is_name(const std::string& name) {
  if (name.empty() || name.size() > 200 || name == "default" || !std::isalnum(static_cast<unsigned char>(name[0]))) return false;
  return std::ranges::all_of(name, [](unsigned char c) { return std::isalnum(c) || std::string_view("_.+-").find(static_cast<char>(c)) != std::string_view::npos; });
}

Result<> make_directories(const std::filesystem::path& path) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  if (error) return internal_error("cannot make " + path.string() + ": " + error.message());
  std::filesystem::permissions(path, std::filesystem::perms::owner_all, error);
  return {};
}

}  // namespace

Contexts::Contexts(const Environment& environment) {
  const std::string home = value_in(environment, "HOME");
  const std::string own = value_in(environment, "GANTRY_CONFIG");
  const std::string dockers = value_in(environment, "DOCKER_CONFIG");
  const std::string config = value_in(environment, "XDG_CONFIG_HOME");
  own_ = !own.empty() ? own : (config.empty() ? home + "/.config" : config) + "/gantry";
  dockers_ = !dockers.empty() ? dockers : home + "/.docker";
  from_environment_ = value_in(environment, "GANTRY_CONTEXT");
  if (from_environment_.empty()) from_environment_ = value_in(environment, "DOCKER_CONTEXT");
}

Result<std::vector<Context>> Contexts::list() const {
  std::vector<Context> contexts;
  for (const bool dockers : {false, true}) {
    const std::filesystem::path& root = dockers ? dockers_ : own_;
    std::error_code ignored;
    for (const auto& entry : std::filesystem::directory_iterator(root / "contexts/meta", ignored)) {
      auto context = read_context(root, entry.path() / "meta.json", dockers);
      if (!context || contexts.size() >= kMostContexts) continue;
      const bool known = std::ranges::any_of(contexts, [&](const Context& other) { return other.name == context->name; });
      if (!known) contexts.push_back(*std::move(context));
    }
  }
  std::ranges::sort(contexts, {}, &Context::name);
  return contexts;
}

Result<Context> Contexts::find(const std::string& name) const {
  for (const bool dockers : {false, true}) {
    const std::filesystem::path& root = dockers ? dockers_ : own_;
    auto context = read_context(root, root / "contexts/meta" / sha256_hex(name) / "meta.json", dockers);
    if (context && context->name == name) return *std::move(context);
  }
  return not_found("context " + gantry::quoted(name) + " does not exist: see `gantry context ls`");
}

Result<std::string> Contexts::current() const {
  if (!from_environment_.empty()) return from_environment_;
  const auto text = read_file(own_ / "config.json", kMaxFile);
  if (!text.ok()) return std::string("default");
  const json config = json::parse(*text, nullptr, false);
  if (!config.is_object()) return invalid((own_ / "config.json").string() + " is no valid JSON");
  if (!config.contains("currentContext") || !config["currentContext"].is_string()) return std::string("default");
  const std::string name = config["currentContext"];
  return name.empty() ? "default" : name;
}

Result<> Contexts::create(const Context& context) {
  if (!is_name(context.name)) {
    return invalid("context name " + gantry::quoted(context.name) +
                   " is invalid: it must begin with a letter or a digit, hold only letters, digits, and _.+-, and not be \"default\"");
  }
  if (find(context.name).ok()) return conflict("context " + gantry::quoted(context.name) + " already exists");
  TRY(Address::parse(context.host));
  const std::filesystem::path tls = tls_directory(own_, context.name);
  for (const auto& [from, to] : {std::pair(context.tls.ca, "ca.pem"), std::pair(context.tls.cert, "cert.pem"), std::pair(context.tls.key, "key.pem")}) {
    if (from.empty()) continue;
    TRY(make_directories(tls));
    TRY(replace_file(tls / to, TRY(read_file(from, kMaxFile)), 0600));
  }
  const json meta = {{"Name", context.name},
                     {"Metadata", {{"Description", context.description}}},
                     {"Endpoints", {{"docker", {{"Host", context.host}, {"SkipTLSVerify", context.skip_verify}}}}}};
  const std::filesystem::path directory = own_ / "contexts/meta" / sha256_hex(context.name);
  TRY(make_directories(directory));
  return replace_file(directory / "meta.json", meta.dump(-1, ' ', false, json::error_handler_t::replace), 0600);
}

Result<> Contexts::remove(const std::string& name) {
  if (name == "default") return invalid("context \"default\" cannot be removed");
  const Context context = TRY(find(name));
  if (context.is_dockers) return unsupported("context " + gantry::quoted(name) + " is Docker's: remove it with `docker context rm`");
  if (TRY(current()) == name) return conflict("context " + gantry::quoted(name) + " is in use: choose another one first with `gantry context use`");
  std::error_code error;
  std::filesystem::remove_all(own_ / "contexts/meta" / sha256_hex(name), error);
  std::filesystem::remove_all(own_ / "contexts/tls" / sha256_hex(name), error);
  if (error) return internal_error("cannot remove context " + gantry::quoted(name) + ": " + error.message());
  return {};
}

Result<> Contexts::use(const std::string& name) {
  if (name != "default") TRY(find(name));
  json config = json::object();
  const std::filesystem::path file = own_ / "config.json";
  if (const auto text = read_file(file, kMaxFile); text.ok()) {
    config = json::parse(*text, nullptr, false);
    if (!config.is_object()) return invalid(file.string() + " is no valid JSON");
  }
  if (name == "default") config.erase("currentContext");
  else config["currentContext"] = name;
  TRY(make_directories(own_));
  return replace_file(file, config.dump(2) + "\n", 0600);
}

}  // namespace gantry::client
