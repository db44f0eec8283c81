#include "engine/build/builder.h"

#include "base/beneath.h"
#include "base/strings.h"
#include "engine/build/build_job.h"
#include "engine/build/cache_key.h"

namespace gantry::engine {
namespace {

constexpr size_t kLargestDockerfile = size_t{16} << 20;

// Files of the context by name; nothing if there is none of that name.
Result<std::optional<std::string>> read_context_file(const std::filesystem::path& context, const std::string& name) {
  const Fd root = TRY(open_file(context, O_PATH | O_DIRECTORY));
  Result<Fd> file = open_in_root(root.get(), name, O_RDONLY | O_NONBLOCK);
  if (!file.ok()) {
    if (file.error().code() == Code::not_found || file.error().errno_value() == ENOENT) {
      return std::optional<std::string>();
    }
    return std::move(file).error();
  }
  return std::optional(TRY(read_all(file->get(), kLargestDockerfile).within(name)));
}

Result<std::string> dockerfile_text(const BuildRequest& request) {
  if (request.dockerfile_text) return *request.dockerfile_text;
  std::optional<std::string> text = TRY(read_context_file(request.context, request.dockerfile));
  if (!text) return invalid("Cannot locate specified Dockerfile: " + request.dockerfile);
  return *std::move(text);
}

// The Dockerfile's own ignore file beats the one for all.
Result<IgnorePatterns> ignore_patterns(const BuildRequest& request) {
  for (const std::string& name : {request.dockerfile + ".dockerignore", std::string(".dockerignore")}) {
    const std::optional<std::string> text = TRY(read_context_file(request.context, name));
    if (text) return IgnorePatterns::parse(*text).within(name);
  }
  return IgnorePatterns();
}

std::map<std::string, std::string> platform_arguments(const Platform& target, const std::string& stage) {
  const Platform host = Platform::of_host();
  return {{"TARGETPLATFORM", target.text()}, {"TARGETOS", target.os},   {"TARGETARCH", target.architecture},
          {"TARGETVARIANT", target.variant}, {"BUILDPLATFORM", host.text()}, {"BUILDOS", host.os},
          {"BUILDARCH", host.architecture},  {"BUILDVARIANT", host.variant},
          {"TARGETSTAGE", stage.empty() ? "default" : stage}};
}

void warn_of_unused_arguments(const BuildJob& job) {
  constexpr std::string_view kProxies = " http_proxy https_proxy ftp_proxy no_proxy all_proxy ";
  std::vector<std::string> unused;
  for (const auto& [name, value] : job.request.build_args) {
    const bool is_proxy = kProxies.find(" " + to_lower(name) + " ") != std::string_view::npos;
    const bool is_used = job.consumed.contains(name) || job.graph.consumed.contains(name);
    if (!is_used && !is_proxy) unused.push_back(name);
  }
  if (!unused.empty()) {
    job.say("[Warning] One or more build-args [" + join(unused, " ") + "] were not consumed\n");
  }
}

// The same result gets the same id: the time of the first build of it is remembered.
Result<std::string> creation_time(BuildJob& job, const ImageDocument& document) {
  CacheKey key("image");
  key.add(render_image_document(document));
  const std::string name = key.finish();
  if (!job.request.no_cache) {
    if (const auto known = job.store.cache_get(name)) return *known;
  }
  std::string now = format_rfc3339(SystemClock().wall());
  TRY(job.store.cache_put(name, now));
  return now;
}

Result<ImageId> register_result(BuildJob& job, StageResult result) {
  ImageDocument& document = result.document;
  for (const auto& [name, value] : job.request.labels) document.config.labels[name] = value;
  document.created.clear();
  const std::string created = TRY(creation_time(job, document));
  document.created = created;
  for (HistoryItem& item : document.history) {
    if (item.created.empty()) item.created = created;
  }
  const ImageId id = TRY(job.store.add_image(render_image_document(document), ""));
  for (const std::string& tag : job.request.tags) TRY(job.store.tag(id, tag));
  return id;
}

}  // namespace

Builder::Builder(ImageStore& store, StepRunner& runner, std::filesystem::path work)
    : store_(store), runner_(runner), work_(std::move(work)) {}

Result<ImageId> Builder::build(const BuildRequest& request, const BuildCallback& progress,
                               const CancelCheck& cancelled) {
  const Platform platform = request.platform.empty() ? Platform::of_host() : TRY(Platform::parse(request.platform));
  BuildJob job{.request = request,
               .store = store_,
               .runner = runner_,
               .work = work_,
               .progress = progress,
               .cancelled = cancelled,
               .platform = platform,
               .platform_args = platform_arguments(platform, request.target),
               .file = TRY(parse_dockerfile(TRY(dockerfile_text(request)), request.dockerfile)),
               .graph = {},
               .context = {},
               .results = {},
               .consumed = {}};
  TRY(job.check_cancelled());
  job.graph = TRY(make_stage_graph(job.file, {.build_args = request.build_args,
                                              .platform_args = job.platform_args,
                                              .target = request.target}));
  if (!request.context.empty()) {
    job.context.emplace(TRY(LayerView::open({request.context})), TRY(ignore_patterns(request)));
  }
  for (size_t index : job.graph.needed) {
    job.steps += static_cast<unsigned>(1 + job.graph.stages[index].instructions.size());
  }
  for (size_t index : job.graph.needed) TRY(build_stage(job, index));
  warn_of_unused_arguments(job);
  return register_result(job, std::move(job.results.at(job.graph.needed.back())));
}

}  // namespace gantry::engine
