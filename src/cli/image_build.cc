#include "cli/image_build.h"

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <thread>

#include "base/strings.h"
#include "cli/build_request.h"
#include "cli/credentials.h"
#include "cli/limits.h"
#include "compose/labels.h"

namespace gantry::cli {

namespace fs = std::filesystem;
using compose::BuildConfig;
using compose::Progress;

namespace {

// Builds at once where --parallel sets no limit: each is a few processes on the daemon's machine.
constexpr size_t kParallelBuilds = 8;

// What the file may say and the builder cannot do.
std::string_view unsupported_part(const BuildConfig& build) {
  if (!build.isolation.empty()) return "isolation";
  if (!build.provenance.empty() && build.provenance != "false") return "provenance";
  if (!build.sbom.empty() && build.sbom != "false") return "sbom";
  if (build.platforms.size() > 1) return "platforms";
  return "";
}

Error at_service(const compose::Project& project, const std::string& service, const std::string& key,
                 const std::string& message) {
  const compose::Mark mark = project.mark_of("services." + service + ".build." + key);
  const std::string place = mark.line > 0 ? mark.to_string() + ": " : "";
  return unsupported(place + "services." + service + ".build." + key + ": " + message);
}

// The Dockerfile as the archive holds it: in the context under its own name, else as an extra file.
Result<std::string> place_dockerfile(const BuildConfig& build, ContextOptions& context) {
  constexpr const char* kOutside = ".gantry.Dockerfile";
  if (build.dockerfile_inline) {
    context.extra[kOutside] = *build.dockerfile_inline;
    return std::string(kOutside);
  }
  const std::string name = build.dockerfile.empty() ? "Dockerfile" : build.dockerfile;
  if (!context.url.empty()) return name;
  const fs::path path = (context.directory / name).lexically_normal();  // an absolute name stays as it is
  const std::string relative = path.lexically_relative(context.directory.lexically_normal()).string();
  context.dockerfile = path;
  if (!relative.empty() && !relative.starts_with("..")) return relative;
  context.extra[kOutside] = TRY(read_file(path, size_t{16} << 20));
  return std::string(kOutside);
}

void add(std::string& query, std::string_view key, std::string_view value) {
  query += "&" + std::string(key) + "=" + client::url_encode(value);
}

// Directories of caches are the daemon's own: run_builds() refuses them where it is elsewhere.
void add_caches(std::string& query, const char* parameter, const std::vector<std::string>& caches,
                const compose::Project& project) {
  std::vector<std::string> placed;
  for (const std::string& text : caches) placed.push_back(*cache_option(text, project.working_dir, true));
  if (!placed.empty()) add(query, parameter, json_list(placed));
}

std::string build_query(const compose::Project& project, const compose::Service& service, const std::string& dockerfile,
                        const BuildOptions& options) {
  const BuildConfig& build = *service.build;
  std::string query = "version=1&rm=1";
  add(query, "dockerfile", dockerfile);
  if (!build.target.empty()) add(query, "target", build.target);
  std::map<std::string, std::string> arguments = build.args;
  for (const auto& [name, value] : options.arguments) arguments[name] = value;
  if (!arguments.empty()) add(query, "buildargs", json_map(arguments));
  StringMap labels = build.labels;
  labels[compose::label::kProject] = project.name;
  add(query, "labels", json_map(labels));
  if (build.no_cache || options.no_cache) add(query, "nocache", "1");
  if (build.pull || options.pull) add(query, "pull", "1");
  if (options.check) add(query, "gantry-check", "1");
  if (!build.network.empty()) add(query, "networkmode", build.network);
  if (build.shm_size) add(query, "shmsize", std::to_string(*build.shm_size));
  if (!build.ulimits.empty()) add(query, "ulimits", limits_json(build.ulimits));
  for (const std::string& host : build.extra_hosts) {
    std::string entry = host;
    if (const size_t equals = entry.find('='); equals != std::string::npos) entry[equals] = ':';
    add(query, "extrahosts", entry);
  }
  add_caches(query, "cachefrom", build.cache_from, project);
  add_caches(query, "gantry-cache-to", build.cache_to, project);
  for (const std::string& stage : build.no_cache_filter) add(query, "gantry-no-cache-filter", stage);
  const auto& allowed = build.entitlements;
  if (build.privileged || std::find(allowed.begin(), allowed.end(), "security.insecure") != allowed.end()) {
    add(query, "gantry-allow", "security.insecure");
  }
  const std::string platform = build.platforms.empty() ? service.platform : build.platforms.front();
  if (!platform.empty()) add(query, "platform", platform);
  return query;
}

// Named contexts, agents and secrets: what the daemon gets besides the directory.
Result<> add_sources(const compose::Project& project, const compose::Service& service, const BuildOptions& options,
                     ImageBuild& image) {
  const BuildConfig& build = *service.build;
  constexpr std::string_view kService = "service:";
  StringMap contexts;
  for (const auto& [name, place] : build.additional_contexts) {
    if (!place.starts_with(kService)) {
      contexts.insert(TRY(parse_named_context(name + "=" + place)));
      continue;
    }
    const std::string other = place.substr(kService.size());
    const auto found = project.services.find(other);
    if (found == project.services.end()) {
      return at_service(project, service.name, "additional_contexts", "no service " + gantry::quoted(other));
    }
    contexts[name] = "docker-image://" + image_name(project, found->second);
    image.needs.push_back(image_name(project, found->second));
  }
  StringMap agents;
  for (const auto& [id, socket] : build.ssh) {
    std::string path = socket;
    const auto agent = options.environment.find("SSH_AUTH_SOCK");
    if (path.empty() && agent != options.environment.end()) path = agent->second;
    if (path.empty()) return at_service(project, service.name, "ssh", "SSH_AUTH_SOCK is not set: start an ssh-agent");
    agents[id] = fs::absolute(path).string();
  }
  for (const auto& [id, socket] : options.agents) agents[id] = socket;
  if (!contexts.empty()) add(image.query, "gantry-contexts", json_map(contexts));
  if (!agents.empty()) add(image.query, "gantry-ssh", json_map(agents));
  for (const compose::FileReference& reference : build.secrets) {
    const auto secret = project.secrets.find(reference.source);
    if (secret == project.secrets.end()) {
      return at_service(project, service.name, "secrets", "no secret " + gantry::quoted(reference.source));
    }
    std::string id = fs::path(reference.target).filename();
    if (id.empty()) id = reference.source;
    if (secret->second.content) {
      image.secrets[id] = *secret->second.content;
    } else {
      image.secrets[id] = TRY(read_file(secret->second.file, kLargestSecret)
                                  .within("services." + service.name + ".build.secrets: " + reference.source));
    }
  }
  return {};
}

Result<ImageBuild> plan_build(const compose::Project& project, const compose::Service& service,
                              const BuildOptions& options) {
  const BuildConfig& build = *service.build;
  if (const auto part = unsupported_part(build); !part.empty()) {
    const std::string why = part == "platforms" ? "an image is built for one platform at a time: name one"
                                                : "not supported by the builder";
    return at_service(project, service.name, std::string(part), why);
  }
  ImageBuild image{.name = image_name(project, service), .services = {service.name}};
  if (is_context_url(build.context)) {
    image.context.url = build.context;
  } else {
    image.context.directory = build.context;
  }
  const std::string dockerfile = TRY(place_dockerfile(build, image.context).within("service " + service.name));
  image.query = build_query(project, service, dockerfile, options);
  for (const auto* caches : {&build.cache_from, &build.cache_to}) {
    for (const std::string& text : *caches) image.has_local_cache |= text.find("type=local") != std::string::npos;
  }
  TRY(add_sources(project, service, options, image));
  image.tags = {image.name};
  image.tags.insert(image.tags.end(), build.tags.begin(), build.tags.end());
  return image;
}

bool same_instructions(const ImageBuild& a, const ImageBuild& b) {
  return a.query == b.query && a.secrets == b.secrets && a.context.directory == b.context.directory &&
         a.context.url == b.context.url &&
         a.context.dockerfile == b.context.dockerfile && a.context.extra == b.context.extra;
}

// Runs one build on a connection of its own.
class BuildRun {
 public:
  BuildRun(const ImageBuild& build, ProgressView& view, Output output, bool print_lines, bool is_local,
           const std::string& auths)
      : build_(build),
        view_(view),
        output_(output),
        print_lines_(print_lines),
        is_local_(is_local),
        auths_(auths) {}

  Result<> run(client::ApiClient& api) {
    tell(Progress::Status::working, "Building", "");
    auto result = upload(api);
    if (result.ok()) {
      tell(Progress::Status::done, "Built", "");
    } else {
      tell(Progress::Status::error, "Error", "");
    }
    return result;
  }

 private:
  Result<> upload(client::ApiClient& api) {
    const BuildCall call{.query = build_.query,
                         .tags = build_.tags,
                         .context = build_.context,
                         .dockerfile = {},
                         .secrets = build_.secrets};
    bool failed = false;
    TRY(send_build(api, call, is_local_, auths_,
                   [&](std::string_view line) {
                     failed = !stream_.line(line) || failed;
                     show_news();
                     return true;
                   })
            .within("building " + build_.name));
    if (failed) return internal_error("building " + build_.name + " failed:\n" + stream_.failure());
    return {};
  }

  void show_news() {
    for (const std::string& line : stream_.take_lines()) {
      if (print_lines_) output_.write(build_.name + " | " + line + "\n");
    }
    if (stream_.step() == shown_step_) return;
    shown_step_ = stream_.step();
    if (!print_lines_) tell(Progress::Status::working, "Building", shown_step_);
  }

  void tell(Progress::Status status, const std::string& text, const std::string& details) {
    view_.show({.resource = Progress::Resource::image,
                .name = build_.name,
                .status = status,
                .text = text,
                .details = details});
  }

  const ImageBuild& build_;
  ProgressView& view_;
  Output output_;
  bool print_lines_;
  bool is_local_;
  const std::string& auths_;
  BuildStream stream_;
  std::string shown_step_;
};

// Hands builds out, each when those that it begins from are done. Any thread.
class BuildQueue {
 public:
  explicit BuildQueue(const std::vector<ImageBuild>& builds) : builds_(builds), states_(builds.size()) {}

  // Waits for one that can begin; nothing when there will be none.
  std::optional<size_t> take() {
    std::unique_lock lock(mutex_);
    while (!failure_) {
      bool all_taken = true;
      for (size_t i = 0; i < builds_.size(); ++i) {
        if (states_[i] != State::waiting) continue;
        all_taken = false;
        if (!may_begin(builds_[i])) continue;
        states_[i] = State::running;
        return i;
      }
      if (all_taken) return std::nullopt;
      if (std::find(states_.begin(), states_.end(), State::running) == states_.end()) {
        failure_ = invalid("builds need each other: service " + builds_.front().services.front());
        break;
      }
      changed_.wait(lock);
    }
    changed_.notify_all();
    return std::nullopt;
  }

  void end(size_t index, Result<> result) {
    std::lock_guard lock(mutex_);
    states_[index] = State::done;
    if (!result.ok() && !failure_) failure_ = std::move(result).error();  // no further one is begun
    changed_.notify_all();
  }

  Result<> outcome() const {
    if (failure_) return *failure_;
    return {};
  }

 private:
  enum class State { waiting, running, done };
  bool may_begin(const ImageBuild& build) const {
    return std::all_of(build.needs.begin(), build.needs.end(), [this](const std::string& name) {
      for (size_t i = 0; i < builds_.size(); ++i) {
        if (builds_[i].name == name && states_[i] != State::done) return false;
      }
      return true;
    });
  }

  const std::vector<ImageBuild>& builds_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<State> states_;
  std::optional<Error> failure_;
};

}  // namespace

std::string image_name(const compose::Project& project, const compose::Service& service) {
  return service.image.empty() ? project.name + project.separator + service.name : service.image;
}

Result<std::vector<ImageBuild>> plan_builds(const compose::Project& project, const std::vector<std::string>& names,
                                            const BuildOptions& options) {
  std::vector<ImageBuild> builds;
  for (const auto& [name, service] : project.services) {
    const bool wanted = names.empty() || std::find(names.begin(), names.end(), name) != names.end();
    if (!wanted || !service.build) continue;
    ImageBuild build = TRY(plan_build(project, service, options));
    const auto twin = std::find_if(builds.begin(), builds.end(),
                                   [&](const ImageBuild& other) { return same_instructions(build, other); });
    if (twin == builds.end()) {
      builds.push_back(std::move(build));
      continue;
    }
    twin->services.push_back(name);
    for (const std::string& tag : build.tags) {
      if (std::find(twin->tags.begin(), twin->tags.end(), tag) == twin->tags.end()) twin->tags.push_back(tag);
    }
  }
  return builds;
}

Result<> run_builds(Session& session, const std::vector<ImageBuild>& builds, ProgressView& view, ProgressMode mode,
                    const BuildOptions& options) {
  if (session.globals().dry_run) {
    for (const ImageBuild& build : builds) {
      view.show({.resource = Progress::Resource::image,
                 .name = build.name,
                 .status = Progress::Status::done,
                 .text = "Built"});
    }
    return {};
  }
  client::ApiClient* api = TRY(session.api());
  const int limit = session.globals().parallel;
  const size_t workers = std::min(builds.size(), limit > 0 ? static_cast<size_t>(limit) : kParallelBuilds);
  const bool is_local = daemon_is_local(session);
  for (const ImageBuild& build : builds) {
    if (is_local || !build.has_local_cache) continue;
    return unsupported("building " + build.name + ": the daemon is on another machine, so no cache of type=local can be "
                       "used: use type=registry");
  }
  const std::string auths = TRY(CredentialStore(session.environment()).header_of_all());
  std::vector<std::unique_ptr<client::ApiClient>> connections;
  for (size_t i = 0; i < workers; ++i) connections.push_back(TRY(api->another()));

  const bool print_lines = mode == ProgressMode::plain && !options.quiet;
  BuildQueue queue(builds);
  std::vector<std::thread> threads;
  for (const auto& connection : connections) {
    threads.emplace_back([&, daemon = connection.get()] {
      while (const std::optional<size_t> i = queue.take()) {
        queue.end(*i, BuildRun(builds[*i], view, session.err, print_lines, is_local, auths).run(*daemon));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  return queue.outcome();
}

}  // namespace gantry::cli
