// Builds one stage, instruction by instruction.
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <functional>

#include "base/log.h"
#include "base/scope_exit.h"
#include "base/strings.h"
#include "engine/build/build_job.h"
#include "engine/build/cache_key.h"
#include "engine/build/copy_step.h"
#include "engine/build/metadata.h"

namespace gantry::engine {
namespace {

// Usable in RUN without being declared, and no part of what a step's result depends on.
bool is_proxy_variable(const std::string& name) {
  constexpr std::array<std::string_view, 5> kNames = {"http_proxy", "https_proxy", "ftp_proxy", "no_proxy",
                                                      "all_proxy"};
  const std::string lower = to_lower(name);
  return std::find(kNames.begin(), kNames.end(), lower) != kNames.end() &&
         (name == lower || std::none_of(name.begin(), name.end(), [](char c) { return c >= 'a' && c <= 'z'; }));
}

std::vector<std::string> words_of(const Instruction& instruction) {
  if (instruction.is_json) return instruction.list;
  std::vector<std::string> words;
  for (const std::string& word : split(instruction.arguments, ' ')) {
    for (const std::string& part : split(word, '\t')) {
      if (!part.empty()) words.push_back(part);
    }
  }
  return words;
}

// A step's own directories, gone with it.
class StepDirectory {
 public:
  static Result<StepDirectory> make(const std::filesystem::path& work) {
    std::string path = (work / "step-XXXXXX").native();
    if (mkdtemp(path.data()) == nullptr) return Error::from_errno(errno, "mkdtemp", path);
    StepDirectory directory{std::filesystem::path(path)};
    for (const char* name : {"upper", "work", "files"}) {
      if (mkdir((directory.path_ / name).c_str(), 0755) != 0) return Error::from_errno(errno, "mkdir", path);
    }
    return directory;
  }
  StepDirectory(StepDirectory&& other) noexcept : path_(std::exchange(other.path_, {})) {}
  ~StepDirectory() {
    if (path_.empty()) return;
    std::error_code error;
    std::filesystem::remove_all(path_, error);
    if (error) log_warning("build: " + path_.native() + " stays until the next start: " + error.message());
  }
  std::filesystem::path upper() const { return path_ / "upper"; }
  std::filesystem::path work() const { return path_ / "work"; }
  std::filesystem::path files() const { return path_ / "files"; }

 private:
  explicit StepDirectory(std::filesystem::path path) : path_(std::move(path)) {}
  std::filesystem::path path_;
};

class StageBuild {
 public:
  StageBuild(BuildJob& job, size_t index) : job_(job), index_(index), stage_(job.graph.stages[index]) {}

  Result<> run() {
    job_.begin_step(*stage_.from);
    TRY(guarded(*stage_.from, [&] { return begin(); }));
    TRY(run_triggers());
    for (const Instruction* instruction : stage_.instructions) {
      job_.begin_step(*instruction);
      TRY(guarded(*instruction, [&] { return execute(*instruction); }));
    }
    job_.results[index_] = std::move(result_);
    return {};
  }

 private:
  ImageConfig& config() { return result_.document.config; }

  template <class Action>
  Result<> guarded(const Instruction& instruction, Action action) {
    TRY(job_.check_cancelled());
    Result<> done = action();
    if (!done.ok()) return job_.at(instruction, std::move(done).error());
    return {};
  }

  // ---- FROM

  Result<> begin() {
    if (stage_.base_stage) {
      result_ = job_.results.at(*stage_.base_stage);
    } else if (stage_.base == "scratch") {
      result_.document.os = job_.platform.os;
      result_.document.architecture = job_.platform.architecture;
      result_.document.variant = job_.platform.variant;
    } else {
      const Image image = TRY(job_.base_image(stage_.base));
      result_.document = TRY(parse_image_document(image.config_json));
      result_.hold = TRY(job_.store.layers(image.id)).hold;
      for (const std::string& diff_id : result_.document.diff_ids) result_.chain = chain_id(result_.chain, diff_id);
    }
    return {};
  }

  Result<> run_triggers() {
    const std::vector<std::string> triggers = std::exchange(config().on_build, {});
    if (triggers.empty()) return {};
    job_.say("# Executing " + std::to_string(triggers.size()) + " build trigger" + (triggers.size() == 1 ? "" : "s") +
             "\n");
    for (const std::string& text : triggers) {
      TRY(guarded(*stage_.from, [&]() -> Result<> {
        const Instruction trigger = TRY(parse_instruction(text).within("trigger " + gantry::quoted(text)));
        return execute(trigger).within("trigger " + gantry::quoted(text));
      }));
    }
    return {};
  }

  // ---- All others

  Result<> execute(const Instruction& instruction) {
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

  VariableLookup lookup() const {
    return [this](const std::string& name) -> std::optional<std::string> {
      for (const auto& [argument, value] : result_.arguments) {
        if (argument == name) return value;
      }
      return get_variable(result_.document.config.environment, name);
    };
  }

  Result<std::string> expanded(std::string_view text) const { return expand(text, job_.file.escape, lookup()); }

  void remember(const std::string& created_by, bool empty_layer) {
    result_.document.history.push_back(
        {.created = {}, .created_by = created_by, .author = {}, .comment = "gantry", .empty_layer = empty_layer});
  }

  // ENV after ARG wins.
  void forget_overridden_arguments(const Instruction& instruction) {
    std::erase_if(result_.arguments, [&](const auto& argument) {
      for (const std::string& word : split_words(instruction.arguments, job_.file.escape)) {
        if (word == argument.first || word.starts_with(argument.first + "=")) return true;
        if (word.find('=') == std::string::npos) break;  // "ENV name the rest"
      }
      return false;
    });
  }

  Result<> declare(const Instruction& instruction) {
    if (!instruction.flags.empty()) return unknown_flag(instruction.flags.front().name, {});
    for (const std::string& word : split_words(instruction.arguments, job_.file.escape)) {
      const size_t equals = word.find('=');
      const std::string name = TRY(expanded(word.substr(0, equals)));
      if (name.empty()) return invalid("ARG names can not be blank");
      job_.consumed.insert(name);
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
  std::optional<std::string> given_value(const std::string& name, bool has_default) const {
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

  // Takes the result of the same step before, or makes it with `make`, which fills the upper directory.
  Result<> cached_layer(const std::string& key, const std::function<Result<>(const StepDirectory&)>& make) {
    if (!job_.request.no_cache && TRY(take_from_cache(key))) {
      job_.say_cached();
      return {};
    }
    const StepDirectory directory = TRY(StepDirectory::make(job_.work));
    TRY(make(directory));
    TRY(job_.check_cancelled());
    ImageStore::NewLayer layer = TRY(job_.store.add_layer(result_.chain, directory.upper()));
    TRY(job_.store.cache_put(key, layer.chain_id));
    TRY(job_.store.cache_put(key + " diff", layer.diff_id));
    take_layer(layer.chain_id, layer.diff_id, std::move(layer.hold));
    return {};
  }

  Result<bool> take_from_cache(const std::string& key) {
    const std::optional<std::string> chain = job_.store.cache_get(key);
    const std::optional<std::string> diff_id = job_.store.cache_get(key + " diff");
    if (!chain || !diff_id || chain_id(result_.chain, *diff_id) != *chain) return false;
    Result<ImageStore::Layers> layers = job_.store.layers_of_chain(*chain);
    if (!layers.ok()) return false;  // deleted meanwhile: made again
    take_layer(*chain, *diff_id, std::move(layers->hold));
    return true;
  }

  void take_layer(const std::string& chain, const std::string& diff_id, std::shared_ptr<void> hold) {
    result_.chain = chain;
    result_.document.diff_ids.push_back(diff_id);
    result_.hold = std::move(hold);  // a layer keeps those below it
  }

  Result<LayerView> view() {
    return LayerView::open(TRY(job_.store.layers_of_chain(result_.chain)).directories);
  }

  Result<Owner> owner_of(const std::string& text) {
    const LayerView tree = TRY(view());
    return resolve_owner(text, TRY(tree.read_text("/etc/passwd")), TRY(tree.read_text("/etc/group")));
  }

  // ---- WORKDIR

  Result<> change_directory(const Instruction& instruction) {
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

  // ---- RUN

  Result<> run_command(const Instruction& instruction) {
    for (const InstructionFlag& flag : instruction.flags) {
      if (flag.name == "mount") {
        return unsupported("RUN --mount is not supported: COPY the files in, or fetch them within the command");
      }
      if (flag.name == "security" || flag.name == "network") {
        return unsupported("RUN --" + flag.name + " is not supported");
      }
      return unknown_flag(flag.name, {"mount", "network", "security"});
    }
    Step step;
    step.arguments = TRY(command_line(instruction));
    step.environment = config().environment;
    for (const auto& [name, value] : result_.arguments) set_variable(step.environment, name, value);
    step.user = config().user;
    step.working_dir = config().working_dir;
    step.network_mode = job_.request.network_mode;
    step.extra_hosts = job_.request.extra_hosts;
    step.shm_size = job_.request.shm_size;
    const std::string key = key_of(step);
    for (const auto& [name, value] : job_.request.build_args) {
      if (value && is_proxy_variable(name)) set_variable(step.environment, name, *value);
    }
    TRY(cached_layer(key, [&](const StepDirectory& directory) { return run_in(directory, step); }));
    remember(history_of(step), /*empty_layer=*/false);
    return {};
  }

  // Everything that the result can depend on; the addresses of extra hosts are not, their names are.
  std::string key_of(const Step& step) const {
    std::vector<std::string> host_names;
    for (const std::string& host : step.extra_hosts) host_names.push_back(host.substr(0, host.find_first_of(":=")));
    CacheKey key("run");
    key.add(result_.chain).add_list(step.arguments).add_list(step.environment).add(step.user).add(step.working_dir);
    const bool is_default = step.network_mode.empty() || step.network_mode == "default";
    key.add(is_default ? "" : step.network_mode).add_list(host_names).add(step.shm_size.value_or(0));
    return key.finish();
  }

  Result<std::vector<std::string>> command_line(const Instruction& instruction) {
    if (instruction.is_json) return instruction.list;
    std::vector<std::string> line = config().shell;
    if (line.empty()) line = {"/bin/sh", "-c"};
    std::string text = instruction.arguments;
    const std::vector<HereDocument>& documents = instruction.here_documents;
    const bool is_script = documents.size() == 1 && text.starts_with("<<") &&
                           split_words(text, job_.file.escape).size() == 1;
    if (is_script) {
      if (documents.front().content.starts_with("#!")) {
        return unsupported("a RUN here-document with an interpreter of its own is not supported: COPY the script in");
      }
      text = documents.front().content;
    } else {
      for (const HereDocument& document : documents) text += "\n" + document.content + document.name;
    }
    line.push_back(std::move(text));
    return line;
  }

  Result<> run_in(const StepDirectory& directory, Step& step) {
    const ImageStore::Layers below = TRY(job_.store.layers_of_chain(result_.chain));
    (void)TRY(LayerWriter::open(directory.upper(), below.directories));  // gives it the root's attributes
    step.layers = below.directories;
    step.upper = directory.upper();
    step.work = directory.work();
    const int code = TRY(job_.runner.run(
        step, [this](std::string_view output, bool is_stderr) { job_.say(output, is_stderr); }, job_.cancelled));
    if (code == 0) return {};
    return invalid("The command '" + join(step.arguments, " ") +
                   "' returned a non-zero code: " + std::to_string(code));
  }

  std::string history_of(const Step& step) const {
    std::string text = "RUN ";
    if (!result_.arguments.empty()) {
      text += "|" + std::to_string(result_.arguments.size());
      for (const auto& [name, value] : result_.arguments) text += " " + name + "=" + value;
      text += " ";
    }
    return text + join(step.arguments, " ") + " # buildkit";
  }

  // ---- COPY, ADD

  Result<> copy(const Instruction& instruction) {
    std::vector<std::string> words = words_of(instruction);
    if (words.size() < 2) {
      const std::string count = words.empty() ? "none was provided" : "only one was provided";
      return invalid(instruction.keyword + " requires at least two arguments, but " + count +
                     ". Destination could not be determined");
    }
    CopyPlan plan;
    std::optional<SourceTree> other;
    TRY(apply_copy_flags(instruction, plan, other));
    plan.unpacks_archives = instruction.keyword == "ADD";
    const std::string destination = TRY(expanded(words.back()));
    words.pop_back();
    TRY(find_sources(instruction, words, plan));
    plan.is_into_directory = destination.ends_with('/') || destination == "." || destination.ends_with("/.") ||
                             destination == ".." || destination.ends_with("/..");
    plan.destination = resolve_working_dir(config().working_dir, destination);
    if (plan.destination == "/") plan.is_into_directory = true;
    if (words.size() > 1 && !plan.is_into_directory) {
      return invalid("When using " + instruction.keyword +
                     " with more than one source file, the destination must be a directory and end with a /");
    }
    CacheKey key("copy");
    key.add(result_.chain);
    TRY(add_to_key(plan, key));
    TRY(cached_layer(key.finish(), [&](const StepDirectory& directory) -> Result<> {
      const ImageStore::Layers below = TRY(job_.store.layers_of_chain(result_.chain));
      LayerWriter writer = TRY(LayerWriter::open(directory.upper(), below.directories));
      return carry_out(plan, writer, directory.files());
    }));
    remember(instruction.text() + " # buildkit", /*empty_layer=*/false);
    return {};
  }

  // `other` gets the tree of --from, which the plan points to.
  Result<> apply_copy_flags(const Instruction& instruction, CopyPlan& plan, std::optional<SourceTree>& other) {
    plan.owner = Owner{};
    if (job_.context) plan.tree = &*job_.context;
    for (const InstructionFlag& flag : instruction.flags) {
      if (flag.name == "from" && instruction.keyword == "COPY") {
        other = TRY(source_of(flag.value));
        plan.tree = &*other;
        plan.owner.reset();
      }
    }
    for (const InstructionFlag& flag : instruction.flags) {
      if (flag.name == "from" && instruction.keyword == "COPY") continue;
      if (flag.name == "chown") {
        plan.owner = TRY(owner_of(TRY(expanded(flag.value))));
        plan.parents = *plan.owner;
      } else if (flag.name == "chmod") {
        plan.mode = TRY(parse_mode(TRY(expanded(flag.value))));
      } else if (flag.name == "link" || flag.name == "parents" || flag.name == "exclude" || flag.name == "checksum" ||
                 flag.name == "keep-git-dir" || flag.name == "unpack") {
        return unsupported(instruction.keyword + " --" + flag.name + " is not supported");
      } else {
        return unknown_flag(flag.name, {"from", "chown", "chmod", "link", "parents", "exclude"});
      }
    }
    return {};
  }

  static Result<mode_t> parse_mode(const std::string& text) {
    mode_t mode = 0;
    for (char c : text) {
      if (c < '0' || c > '7' || mode > 07777) return invalid("invalid chmod parameter: '" + text + "'");
      mode = mode * 8 + static_cast<mode_t>(c - '0');
    }
    if (text.empty() || mode > 07777) return invalid("invalid chmod parameter: '" + text + "'");
    return mode;
  }

  Result<SourceTree> source_of(const std::string& name) {
    if (name.find('$') != std::string::npos) {
      return invalid(
          "variable expansion is not supported for --from, define a new stage with FROM using ARG from global scope "
          "as a workaround");
    }
    std::optional<size_t> stage = job_.graph.find(name, index_);
    const std::optional<uint64_t> number = parse_unsigned(name);
    if (!stage && number) {
      if (*number >= index_) return invalid("invalid from flag value " + name + ": there is no such earlier stage");
      stage = static_cast<size_t>(*number);
    }
    if (stage) {
      const auto built = job_.results.find(*stage);
      if (built == job_.results.end()) return invalid("stage " + gantry::quoted(name) + " has not been built");
      ImageStore::Layers layers = TRY(job_.store.layers_of_chain(built->second.chain));
      return SourceTree(TRY(LayerView::open(layers.directories)), {}, std::move(layers.hold));
    }
    const Image image = TRY(job_.base_image(name));
    ImageStore::Layers layers = TRY(job_.store.layers(image.id));
    return SourceTree(TRY(LayerView::open(layers.directories)), {}, std::move(layers.hold));
  }

  Result<> find_sources(const Instruction& instruction, const std::vector<std::string>& words, CopyPlan& plan) {
    size_t next_document = 0;
    for (const std::string& word : words) {
      if (word.starts_with("<<") && next_document < instruction.here_documents.size()) {
        const HereDocument& document = instruction.here_documents[next_document++];
        const std::string content =
            document.expands ? TRY(expand(document.content, job_.file.escape, lookup(), Quotes::keep))
                             : document.content;
        plan.texts.push_back({.name = document.name, .content = content});
        continue;
      }
      const std::string source = TRY(expanded(word));
      if (instruction.keyword == "ADD" && is_remote(source)) {
        return unsupported("ADD of a URL or Git repository is not supported: use RUN with curl, wget or git");
      }
      if (plan.tree == nullptr) return invalid("COPY failed: the build has no context");
      Result<std::vector<SourceTree::Match>> matches = plan.tree->find(source);
      if (!matches.ok()) return copy_failed(plan, std::move(matches).error());
      plan.matches.insert(plan.matches.end(), matches->begin(), matches->end());
    }
    return {};
  }

  Error copy_failed(const CopyPlan& plan, Error error) const {
    if (error.code() != Code::not_found) return error;
    const bool from_context = job_.context && plan.tree == &*job_.context;
    return invalid((from_context ? "COPY failed: file not found in build context or excluded by .dockerignore: "
                                 : "COPY failed: file not found: ") +
                   error.message());
  }

  static bool is_remote(const std::string& source) {
    return source.starts_with("http://") || source.starts_with("https://") || source.starts_with("git@") ||
           source.starts_with("git://") || source.starts_with("ssh://");
  }

  BuildJob& job_;
  size_t index_;
  const Stage& stage_;
  StageResult result_;
  MetadataState metadata_;
};

}  // namespace

Result<> build_stage(BuildJob& job, size_t index) { return StageBuild(job, index).run(); }

}  // namespace gantry::engine
