#include "cli/session.h"

#include <unistd.h>

#include <algorithm>

#include "base/short_heap.h"
#include "base/strings.h"
#include "cli/api_socket.h"
#include "cli/providers.h"
#include "cli/style.h"
#include "compose/labels.h"

namespace gantry::cli {

namespace {

constexpr std::string_view kProjectLabel = "com.docker.compose.project";

std::string without_last_line_feed(std::string text) {
  while (text.ends_with('\n')) text.pop_back();
  return text;
}

}  // namespace

Session::Session(Globals globals, Environment environment)
    : globals_(std::move(globals)), environment_(std::move(environment)) {}

Session::Session(Globals globals, Environment environment, std::unique_ptr<client::ApiClient> api)
    : globals_(std::move(globals)), environment_(std::move(environment)), api_(std::move(api)) {}

std::string Session::variable(const std::string& name) const {
  const auto found = environment_.find(name);
  return found != environment_.end() ? found->second : "";
}

bool Session::environment_switch(const std::string& name) const {
  const std::string value = to_lower(variable(name));
  return value == "1" || value == "t" || value == "true" || value == "y" || value == "yes";
}

Result<client::ApiClient*> Session::api() {
  if (!api_) {
    const auto endpoint = TRY(client::Endpoint::from_environment(environment_, globals_.host, globals_.data_root,
                                                                 globals_.run_root, globals_.connection));
    api_ = TRY(client::ApiClient::connect(endpoint));
  }
  return api_.get();
}

compose::LoadOptions Session::load_options() const {
  return {.files = globals_.files,
          .project_name = globals_.project_name,
          .project_directory = globals_.project_directory,
          .env_files = globals_.env_files,
          .profiles = globals_.profiles,
          .all_resources = globals_.all_resources,
          .environment = environment_};
}

Result<compose::LoadResult> Session::load(const compose::LoadOptions& options) {
  expect_large_heap();
  compose::LoadResult result = compose::load(options);
  std::string errors;
  for (const compose::Diagnostic& diagnostic : result.diagnostics) {
    const std::string text = without_last_line_feed(compose::render(diagnostic, result.texts));
    if (diagnostic.severity == compose::Severity::warning) {
      err.write(text + "\n");  // it says itself that it is a warning
    } else {
      errors += (errors.empty() ? "" : "\n") + text;
    }
  }
  if (!result.ok()) return invalid(errors.empty() ? "the project cannot be loaded" : errors);
  return result;
}

Result<compose::Project> Session::load_project(const std::vector<std::string>& services, bool with_dependencies) {
  compose::LoadOptions options = load_options();
  options.services = services;
  options.with_dependencies = with_dependencies;
  options.print_yaml = options.print_json = false;
  compose::LoadResult result = TRY(load(options));
  if (globals_.compatibility) result.project->separator = "_";
  take_providers(*result.project);  // who runs them finds them again
  TRY(mount_api_socket(*this, *result.project));
  return *std::move(result.project);
}

Result<std::string> Session::project_name() const {
  if (!globals_.project_name.empty() && globals_.files.empty()) return to_lower(globals_.project_name);
  return compose::project_name(load_options());
}

Result<Session::NamedProject> Session::find_project(const std::vector<std::string>& services) {
  if (by_name_only()) return NamedProject{.name = to_lower(globals_.project_name), .project = std::nullopt};
  auto project = load_project({});
  if (!project.ok()) {
    // Without usable files a name in the environment is enough.
    const std::string name = variable("COMPOSE_PROJECT_NAME");
    if (name.empty() || !globals_.files.empty()) return std::move(project).error();
    return NamedProject{.name = to_lower(name), .project = std::nullopt};
  }
  for (const std::string& service : services) {
    const auto& disabled = project->disabled_services;
    const bool known =
        project->services.contains(service) || std::find(disabled.begin(), disabled.end(), service) != disabled.end();
    if (!known) return not_found("no such service: " + service);
  }
  std::string name = project->name;
  return NamedProject{.name = std::move(name), .project = std::move(project).value()};
}

bool Session::colour_on(const Output& output) const {
  if (globals_.ansi == "always") return true;
  if (globals_.ansi == "never" || !variable("NO_COLOR").empty()) return false;
  return output.is_terminal();
}

Result<ProgressStyle> Session::progress_style(std::string_view operation) const {
  const std::string& wanted = globals_.progress;
  const bool never = globals_.ansi == "never";
  ProgressStyle style{.mode = ProgressMode::plain, .colour = colour_on(err), .operation = std::string(operation)};
  if (wanted.empty() || wanted == "auto") {
    style.mode = err.is_terminal() && !never ? ProgressMode::tty : ProgressMode::plain;
  } else if (wanted == "tty") {
    if (never) return invalid("can't use --progress tty while ANSI support is disabled");
    style.mode = ProgressMode::tty;
  } else if (wanted == "plain") {
    if (globals_.ansi == "always") return invalid("can't use --progress plain while ANSI support is forced");
  } else if (wanted == "json") {
    style.mode = ProgressMode::json;
  } else if (wanted == "quiet" || wanted == "none") {
    style.mode = ProgressMode::quiet;
  } else {
    return invalid("unsupported --progress value " + gantry::quoted(wanted));
  }
  return style;
}

void Session::warn(std::string_view text) const {
  const std::string mark = coloured("warning: ", colour_on(err) ? Colour::yellow : Colour::none);
  err.write(mark + std::string(text) + "\n");
}

void Session::status(std::string_view text) const {
  (environment_switch("COMPOSE_STATUS_STDOUT") ? out : err).write(text);
}

bool Session::confirm(std::string_view question) const {
  out.write((out.is_terminal() ? "? " : "") + std::string(question) + " (y/N) ");
  std::string answer;
  for (char c = 0; answer.size() < 64 && ::read(in, &c, 1) == 1 && c != '\n';) answer += c;
  const std::string word = to_lower(trim(answer));
  return word == "y" || word == "yes" || word == "t" || word == "true" || word == "1";
}

void Session::fail(std::string_view message) const {
  if (message.empty()) return;
  const bool json = globals_.progress == "json";
  err.write(json ? R"({"error":true,"message":)" + json_string(message) + "}\n" : std::string(message) + "\n");
}

Result<std::vector<ContainerRow>> Session::containers(const std::string& project, bool all, Labels labels,
                                                      const std::string& service) {
  client::ApiClient* daemon = TRY(api());
  std::vector<std::string> wanted = {std::string(kProjectLabel) + "=" + project};
  if (!service.empty()) wanted.push_back(std::string(compose::label::kService) + "=" + service);
  const std::string filters = filters_query({{"label", wanted}});
  std::string path = all ? "/containers/json?all=1" : "/containers/json?all=0";
  path.append("&networks=names&filters=").append(filters);
  if (labels == Labels::service) path.append("&labels=").append(compose::label::kService).append(",").append(compose::label::kOneOff);
  auto rows = TRY(parse_containers(TRY(TRY(daemon->request("GET", path)).ok_body())));
  std::erase_if(rows, [](const ContainerRow& row) { return row.service().empty(); });
  std::sort(rows.begin(), rows.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
  return rows;
}

}  // namespace gantry::cli
