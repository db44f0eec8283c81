#include "engine/build/stage_build.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/log.h"
#include "base/remove_tree.h"
#include "base/scope_exit.h"
#include "base/strings.h"
#include "engine/build/builder_shared.h"

namespace gantry::engine {

Result<StepDirectory> StepDirectory::make(const std::filesystem::path& work) {
  std::string path = (work / "step-XXXXXX").native();
  if (mkdtemp(path.data()) == nullptr) return Error::from_errno(errno, "mkdtemp", path);
  StepDirectory directory{std::filesystem::path(path)};
  for (const char* name : {"upper", "work", "files"}) {
    if (mkdir((directory.path_ / name).c_str(), 0755) != 0) return Error::from_errno(errno, "mkdir", path);
  }
  return directory;
}

StepDirectory::~StepDirectory() {
  if (path_.empty()) return;
  if (auto removed = remove_tree(path_); !removed.ok()) {
    log_warning("build: what stays until the next start: " + removed.error().message());
  }
}

Result<StageResult> StageBuild::run() {
  output_.begin_step(*stage_.from);
  TRY(guarded(*stage_.from, [&] { return begin(); }));
  TRY(run_triggers());
  for (const Instruction* instruction : stage_.instructions) {
    output_.begin_step(*instruction);
    TRY(guarded(*instruction, [&] { return execute(*instruction); }));
  }
  return std::move(result_);
}

// ---- FROM

Result<> StageBuild::begin() {
  const auto context = job_.request.contexts.find(to_lower(stage_.base));
  if (stage_.base_stage) {
    result_ = TRY(job_.result_of(*stage_.base_stage));
  } else if (context == job_.request.contexts.end() && stage_.base == "scratch") {
    result_.document.os = job_.platform.os;
    result_.document.architecture = job_.platform.architecture;
    result_.document.variant = job_.platform.variant;
  } else {
    constexpr std::string_view kImage = "docker-image://";
    std::string reference = stage_.base;
    if (context != job_.request.contexts.end()) {
      if (!context->second.starts_with(kImage)) {
        return invalid("the build context " + gantry::quoted(stage_.base) +
                       " is a directory: FROM needs docker-image://REFERENCE");
      }
      reference = context->second.substr(kImage.size());
    }
    const Image image = TRY(job_.base_image(reference, stage_.platform, output_));
    result_.document = TRY(parse_image_document(image.config_json));
    result_.hold = TRY(job_.store.layers(image.id)).hold;
    for (const std::string& diff_id : result_.document.diff_ids) result_.chain = chain_id(result_.chain, diff_id);
  }
  return {};
}

Result<> StageBuild::run_triggers() {
  const std::vector<std::string> triggers = std::exchange(config().on_build, {});
  if (triggers.empty()) return {};
  output_.say("# Executing " + std::to_string(triggers.size()) + " build trigger" +
              (triggers.size() == 1 ? "" : "s") + "\n");
  for (const std::string& text : triggers) {
    TRY(guarded(*stage_.from, [&]() -> Result<> {
      const Instruction trigger = TRY(parse_instruction(text).within("trigger " + gantry::quoted(text)));
      return execute(trigger).within("trigger " + gantry::quoted(text));
    }));
  }
  return {};
}

// ---- All others

Result<> StageBuild::execute(const Instruction& instruction) {
  warn_of_undefined(instruction);
  if (instruction.keyword == "ARG") return declare(instruction);
  if (instruction.keyword == "RUN") return run_command(instruction);
  if (instruction.keyword == "COPY" || instruction.keyword == "ADD") return copy(instruction);
  if (instruction.keyword == "WORKDIR") return change_directory(instruction);
  CHECK(is_metadata(instruction));
  TRY(apply_metadata(instruction, job_.file.escape, lookup(), result_.document, metadata_));
  if (instruction.keyword == "ENV") forget_overridden_arguments(instruction);
  remember(instruction.text(), /*empty_layer=*/true);
  return {};
}

VariableLookup StageBuild::lookup() const {
  return [this](const std::string& name) -> std::optional<std::string> {
    for (const auto& [argument, value] : result_.arguments) {
      if (argument == name) return value;
    }
    return get_variable(result_.document.config.environment, name);
  };
}

void StageBuild::warn_of_undefined(const Instruction& instruction) {
  std::vector<std::string> known(result_.declared.begin(), result_.declared.end());
  for (const std::string& variable : result_.document.config.environment) {
    known.push_back(variable.substr(0, variable.find('=')));
  }
  const VariableLookup is_known = [&](const std::string& name) -> std::optional<std::string> {
    if (name == "PATH" || result_.declared.contains(name)) return "";
    return lookup()(name);
  };
  const std::vector<LintWarning> found = undefined_variables(instruction, job_.file.escape, is_known, known);
  std::lock_guard lock(job_.mutex);
  job_.warnings.insert(job_.warnings.end(), found.begin(), found.end());
}

void StageBuild::remember(const std::string& created_by, bool empty_layer) {
  result_.document.history.push_back(
      {.created = {}, .created_by = created_by, .author = {}, .comment = "gantry", .empty_layer = empty_layer});
}

bool StageBuild::uses_cache() const {
  return !job_.request.no_cache && !job_.request.no_cache_filter.contains(stage_.name);
}

// ENV after ARG wins.
void StageBuild::forget_overridden_arguments(const Instruction& instruction) {
  std::erase_if(result_.arguments, [&](const auto& argument) {
    for (const std::string& word : split_words(instruction.arguments, job_.file.escape)) {
      if (word == argument.first || word.starts_with(argument.first + "=")) return true;
      if (word.find('=') == std::string::npos) break;  // "ENV name the rest"
    }
    return false;
  });
}

Result<> StageBuild::declare(const Instruction& instruction) {
  if (!instruction.flags.empty()) return unknown_flag(instruction.flags.front().name, {});
  for (const std::string& word : split_words(instruction.arguments, job_.file.escape)) {
    const size_t equals = word.find('=');
    const std::string name = TRY(expanded(word.substr(0, equals)));
    if (name.empty()) return invalid("ARG names can not be blank");
    {
      std::lock_guard lock(job_.mutex);
      job_.consumed.insert(name);
    }
    result_.declared.insert(name);
    std::optional<std::string> value;
    if (equals != std::string::npos) value = TRY(expanded(std::string_view(word).substr(equals + 1)));
    if (auto given = given_value(name, value.has_value())) value = std::move(given);
    std::erase_if(result_.arguments, [&](const auto& argument) { return argument.first == name; });
    if (value) result_.arguments.emplace_back(name, *value);
  }
  remember(instruction.text(), /*empty_layer=*/true);
  return {};
}

// --build-arg, else (without a default of its own) the global one, else the platform's.
std::optional<std::string> StageBuild::given_value(const std::string& name, bool has_default) const {
  const auto given = job_.request.build_args.find(name);
  if (given != job_.request.build_args.end() && given->second.has_value()) return given->second;
  if (has_default) return std::nullopt;
  const auto global = job_.graph.global_arguments.find(name);
  if (global != job_.graph.global_arguments.end()) return global->second;
  const auto platform = job_.platform_args.find(name);
  if (platform != job_.platform_args.end()) return platform->second;
  return std::nullopt;
}

// ---- Layers

Result<> StageBuild::cached_layer(const std::string& key, const std::function<Result<>(const StepDirectory&)>& make) {
  // Who finds the same step under way in another stage or build waits for its result.
  const std::shared_ptr<void> lock = job_.shared.locks.acquire(key, job_.stop_check());
  TRY(job_.check_cancelled());
  if (uses_cache() && TRY(take_from_cache(key))) {
    output_.say_cached();
    return {};
  }
  const StepDirectory directory = TRY(StepDirectory::make(job_.work));
  TRY(make(directory));
  TRY(job_.check_cancelled());
  ImageStore::NewLayer layer = TRY(job_.store.add_layer(result_.chain, directory.upper()));
  return keep_layer(key, std::move(layer));
}

Result<> StageBuild::keep_layer(const std::string& key, ImageStore::NewLayer layer) {
  TRY(job_.store.cache_put(key, layer.chain_id + " " + layer.diff_id));
  {
    std::lock_guard lock(job_.mutex);
    job_.made_layers = true;
  }
  take_layer(key, layer.chain_id, layer.diff_id, std::move(layer.hold));
  return {};
}

Result<bool> StageBuild::take_from_cache(const std::string& key) {
  const std::string entry = job_.store.cache_get(key).value_or("");
  const std::string chain = entry.substr(0, entry.find(' '));
  const std::string diff_id = entry.substr(std::min(entry.size(), chain.size() + 1));
  if (!entry.empty() && chain_id(result_.chain, diff_id) == chain) {
    Result<ImageStore::Layers> layers = job_.store.layers_of_chain(chain);
    if (layers.ok()) {  // else deleted meanwhile
      take_layer(key, chain, diff_id, std::move(layers->hold));
      return true;
    }
  }
  std::optional<ImageStore::NewLayer> layer = job_.caches.take(key, result_.chain, job_.stop_check());
  if (!layer.has_value()) return false;
  TRY(keep_layer(key, *std::move(layer)));
  return true;
}

void StageBuild::take_layer(const std::string& key, const std::string& chain, const std::string& diff_id,
                            std::shared_ptr<void> hold) {
  job_.caches.add({.key = key, .parent = result_.chain, .diff_id = diff_id});
  result_.chain = chain;
  result_.document.diff_ids.push_back(diff_id);
  result_.hold = std::move(hold);  // a layer keeps those below it
}

Result<LayerView> StageBuild::view() {
  return LayerView::open(TRY(job_.store.layers_of_chain(result_.chain)).directories);
}

Result<Owner> StageBuild::owner_of(const std::string& text) {
  const LayerView tree = TRY(view());
  return resolve_owner(text, TRY(tree.read_text("/etc/passwd")), TRY(tree.read_text("/etc/group")));
}

// ---- WORKDIR

Result<> StageBuild::change_directory(const Instruction& instruction) {
  TRY(apply_metadata(instruction, job_.file.escape, lookup(), result_.document, metadata_));
  const std::string path = config().working_dir;
  const std::optional<LayerView::Node> node = TRY(TRY(view()).find(path));
  const bool is_there = node.has_value() && node->is_directory();
  if (!is_there) {
    const Owner owner = config().user.empty() ? Owner{} : TRY(owner_of(config().user));
    CacheKey key("workdir");
    key.add(result_.chain).add(path).add(uint64_t{owner.uid}).add(uint64_t{owner.gid});
    TRY(cached_layer(key.finish(), [&](const StepDirectory& directory) -> Result<> {
      const ImageStore::Layers below = TRY(job_.store.layers_of_chain(result_.chain));
      LayerWriter writer = TRY(LayerWriter::open(directory.upper(), below.directories));
      TRY(writer.make_directories(path, owner));
      return writer.finish();
    }));
  }
  remember("WORKDIR " + path, /*empty_layer=*/is_there);
  return {};
}

Result<StageBuild::Source> StageBuild::source_of(const std::string& name) {
  if (name.find('$') != std::string::npos) {
    return invalid(
        "variable expansion is not supported for --from, define a new stage with FROM using ARG from global scope "
        "as a workaround");
  }
  constexpr std::string_view kImage = "docker-image://";
  std::string reference = name;
  const auto context = job_.request.contexts.find(to_lower(name));
  if (context != job_.request.contexts.end()) {
    if (!context->second.starts_with(kImage)) return Source{.layers = {context->second}, .hold = {}, .chain = {}};
    reference = context->second.substr(kImage.size());
  } else {
    std::optional<size_t> stage = job_.graph.find(name, index_);
    const std::optional<uint64_t> number = parse_unsigned(name);
    if (!stage && number) {
      if (*number >= index_) return invalid("invalid from flag value " + name + ": there is no such earlier stage");
      stage = static_cast<size_t>(*number);
    }
    if (stage) {
      const StageResult built = TRY(job_.result_of(*stage));
      const std::string& chain = built.chain;
      ImageStore::Layers layers = TRY(job_.store.layers_of_chain(chain));
      return Source{.layers = std::move(layers.directories), .hold = std::move(layers.hold), .chain = chain};
    }
  }
  const Image image = TRY(job_.base_image(reference, "", output_));
  ImageStore::Layers layers = TRY(job_.store.layers(image.id));
  return Source{.layers = std::move(layers.directories),
                .hold = std::move(layers.hold),
                .chain = image.chain_ids.empty() ? "scratch" : image.chain_ids.back()};
}

}  // namespace gantry::engine
