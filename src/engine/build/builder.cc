#include "engine/build/builder.h"

#include <algorithm>
#include <thread>

#include "base/beneath.h"
#include "base/log.h"
#include "base/strings.h"
#include "engine/build/build_job.h"
#include "engine/build/builder_shared.h"
#include "engine/build/cache_key.h"
#include "engine/build/file_digests.h"
#include "engine/build/stage_build.h"

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

std::string warnings_of(const BuildJob& job) {
  std::string warnings;
  constexpr std::string_view kProxies = " http_proxy https_proxy ftp_proxy no_proxy all_proxy ";
  std::vector<std::string> unused;
  for (const auto& [name, value] : job.request.build_args) {
    const bool is_proxy = kProxies.find(" " + to_lower(name) + " ") != std::string_view::npos;
    const bool is_used = job.consumed.contains(name) || job.graph.consumed.contains(name);
    if (!is_used && !is_proxy) unused.push_back(name);
  }
  if (!unused.empty()) {
    warnings += "[Warning] One or more build-args [" + join(unused, " ") + "] were not consumed\n";
  }
  return warnings;
}

// What is shown of the warnings; an error if the file wants none.
Result<std::string> lint_report(const BuildJob& job, const LintRules& rules) {
  std::vector<LintWarning> shown;
  std::set<std::string> names;
  for (const LintWarning& warning : job.warnings) {
    if (rules.skips(warning.rule)) continue;
    shown.push_back(warning);
    names.insert(warning.rule);
  }
  std::stable_sort(shown.begin(), shown.end(),
                   [](const LintWarning& a, const LintWarning& b) { return a.line < b.line; });
  const std::string text = render_warnings(shown);
  if (!rules.is_error || shown.empty()) return text;
  return invalid("lint violation found for rules: " + join(std::vector(names.begin(), names.end()), ", ") + text);
}

// Stages that a stage reads from, among the needed ones.
std::set<size_t> dependencies_of(const BuildJob& job, size_t index) {
  std::set<size_t> needed;
  const Stage& stage = job.graph.stages[index];
  if (stage.base_stage) needed.insert(*stage.base_stage);
  for (const Instruction* instruction : stage.instructions) {
    for (const std::string& source : sources_of(*instruction)) {
      if (job.request.contexts.contains(to_lower(source))) continue;
      std::optional<size_t> found = job.graph.find(source, index);
      const std::optional<uint64_t> number = parse_unsigned(source);
      if (!found && number && *number < index) found = static_cast<size_t>(*number);
      if (found) needed.insert(*found);
    }
  }
  return needed;
}

// Every stage on a thread of its own, which begins when those that it reads from have ended.
class StageRun {
 public:
  StageRun(BuildJob& job, OutputOrder& order) : job_(job), order_(order) {}

  Result<> run() {
    unsigned first = 0;
    for (size_t index : job_.graph.needed) {
      steps_.push_back(first);
      first += static_cast<unsigned>(1 + job_.graph.stages[index].instructions.size());
    }
    std::vector<std::thread> threads;
    for (size_t place = 0; place + 1 < job_.graph.needed.size(); ++place) {
      threads.emplace_back([this, place, first] { run_stage(place, first); });
    }
    run_stage(job_.graph.needed.size() - 1, first);
    for (std::thread& thread : threads) thread.join();
    if (job_.failure.has_value()) return *job_.failure;
    return {};
  }

 private:
  void run_stage(size_t place, unsigned steps) {
    const size_t index = job_.graph.needed[place];
    const std::set<size_t> needs = dependencies_of(job_, index);
    {
      std::unique_lock lock(job_.mutex);
      job_.changed.wait(lock, [&] {
        return job_.failure.has_value() ||
               std::all_of(needs.begin(), needs.end(), [&](size_t need) { return job_.results.contains(need); });
      });
      if (job_.failure.has_value()) return;
    }
    StageOutput output(order_, place, steps_[place], steps);
    Result<StageResult> result = StageBuild(job_, index, output).run();
    std::lock_guard lock(job_.mutex);
    if (result.ok()) {
      order_.end(place);
    } else if (!job_.failure.has_value()) {
      order_.fail(place);
    }
    if (result.ok()) {
      job_.results[index] = std::move(result).value();
    } else if (!job_.failure.has_value()) {
      job_.failure = std::move(result).error();
    }
    job_.changed.notify_all();
  }

  BuildJob& job_;
  OutputOrder& order_;
  std::vector<unsigned> steps_;  // steps before each stage's first
};

// The same result gets the same id: the time of the first build of it is remembered.
Result<std::string> creation_time(BuildJob& job, const ImageDocument& document) {
  CacheKey key("image");
  key.add(render_image_document(document));
  key.add(static_cast<uint64_t>(job.request.source_date_epoch.value_or(-1)));
  const std::string name = key.finish();
  if (!job.request.no_cache) {
    if (const auto known = job.store.cache_get(name)) return *known;
  }
  std::string now = job.request.source_date_epoch
                        ? format_rfc3339(WallTime(std::chrono::seconds(*job.request.source_date_epoch)))
                        : format_rfc3339(SystemClock().wall());
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

std::shared_ptr<void> KeyLocks::acquire(const std::string& key, const CancelCheck& cancelled) {
  std::unique_lock lock(mutex_);
  while (held_.contains(key)) {
    if (cancelled && cancelled()) return nullptr;
    changed_.wait_for(lock, std::chrono::milliseconds(200));  // CancelCheck can only be asked
  }
  held_.insert(key);
  return std::shared_ptr<void>(this, [this, key](void*) {
    std::lock_guard released(mutex_);
    held_.erase(key);
    changed_.notify_all();
  });
}

Builder::Builder(ImageStore& store, StepRunner& runner, std::filesystem::path work)
    : store_(store), runner_(runner), work_(std::move(work)), shared_(std::make_unique<BuilderShared>(work_)) {}

Builder::~Builder() = default;

Result<uint64_t> Builder::prune_cache(const ImageStore::CachePrune& prune) {
  const uint64_t steps = TRY(store_.prune_cache(prune));
  if (prune.unused_since.has_value() || prune.keep_bytes.has_value()) return steps;
  const uint64_t mounts = TRY(shared_->cache_mounts.prune());
  std::error_code ignored;
  std::filesystem::remove_all(work_ / "digests", ignored);
  return steps + mounts;
}

uint64_t Builder::cache_mount_bytes() const { return shared_->cache_mounts.size(); }

Result<ImageId> Builder::build(const BuildRequest& request, const BuildCallback& progress,
                               const CancelCheck& cancelled) {
  const Platform platform = request.platform.empty() ? Platform::of_host() : TRY(Platform::parse(request.platform));
  Dockerfile file = TRY(parse_dockerfile(TRY(dockerfile_text(request)), request.dockerfile));
  BuildCaches caches(store_, request);
  BuildJob job{.request = request,
               .store = store_,
               .runner = runner_,
               .shared = *shared_,
               .work = work_,
               .progress = progress,
               .cancelled = cancelled,
               .platform = platform,
               .platform_args = platform_arguments(platform, request.target),
               .file = std::move(file),
               .graph = {},
               .caches = caches,
               .context = {}};
  TRY(job.check_cancelled());
  StageOptions options{.build_args = request.build_args, .platform_args = job.platform_args, .target = request.target};
  for (const auto& [name, place] : request.contexts) options.contexts.insert(to_lower(name));
  job.graph = TRY(make_stage_graph(job.file, options));
  const LintRules rules = TRY(LintRules::parse(job.file.check));
  job.warnings = lint(job.file, options);
  TRY(lint_report(job, rules));  // a file that is to fail does so before it is built
  std::optional<FileDigests> digests;
  if (!request.context.empty()) {
    job.context.emplace(TRY(LayerView::open({request.context})), TRY(ignore_patterns(request)));
    if (request.context_stays) {
      digests.emplace(FileDigests::load(work_ / "digests" / sha256_hex(request.context.native())));
      job.digests = &*digests;
    }
  }
  std::string warnings;
  TRY(caches.open(warnings, job.stop_check()));
  const auto say = [&progress](const std::string& text) {
    if (!text.empty() && progress) progress(BuildProgress{.output = text});
  };
  say(std::exchange(warnings, {}));
  OutputOrder order(progress, job.graph.needed.size());
  const Result<> ran = StageRun(job, order).run();
  if (digests) digests->save();
  TRY(ran);
  StageResult result = std::move(job.results.at(job.graph.needed.back()));
  say(warnings_of(job) + TRY(lint_report(job, rules)));
  caches.mark(result.document);
  const ImageDocument document = result.document;
  const ImageId id = TRY(register_result(job, std::move(result)));
  TRY(caches.write(document, warnings, job.stop_check()));
  say(warnings);
  job.results.clear();  // and with them their holds
  if (job.made_layers && cache_limit_.has_value()) {
    const Result<uint64_t> freed = store_.prune_cache({.unused_since = {}, .keep_bytes = *cache_limit_});
    if (!freed.ok()) log_warning("build cache: " + freed.error().message());
  }
  return id;
}

}  // namespace gantry::engine
