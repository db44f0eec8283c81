// StageBuild: RUN.
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "base/beneath.h"
#include "base/strings.h"
#include "engine/build/builder_shared.h"
#include "engine/build/stage_build.h"

namespace gantry::engine {
namespace {

constexpr std::string_view kScriptPlace = "/dev/pipes/EOF";  // where BuildKit shows it
constexpr std::string_view kAgentPlace = "/run/buildkit/ssh_agent.";

// Usable in RUN without being declared, and no part of what a step's result depends on.
bool is_proxy_variable(const std::string& name) {
  constexpr std::array<std::string_view, 5> kNames = {"http_proxy", "https_proxy", "ftp_proxy", "no_proxy",
                                                      "all_proxy"};
  const std::string lower = to_lower(name);
  return std::find(kNames.begin(), kNames.end(), lower) != kNames.end() &&
         (name == lower || std::none_of(name.begin(), name.end(), [](char c) { return c >= 'a' && c <= 'z'; }));
}

std::vector<std::string> mount_point_names(const std::string& path) {
  std::vector<std::string> parts;
  for (std::string& part : split(path, '/')) {
    if (!part.empty()) parts.push_back(std::move(part));
  }
  return parts;
}

}  // namespace

Result<StageBuild::RunFlags> StageBuild::run_flags(const Instruction& instruction) {
  RunFlags flags{.mounts = TRY(parse_run_mounts(instruction, job_.file.escape, lookup(), config().working_dir)),
                 .network = job_.request.network_mode};
  for (const InstructionFlag& flag : instruction.flags) {
    if (flag.name == "network") {
      if (flag.value != "default" && flag.value != "none" && flag.value != "host") {
        return invalid("invalid network mode " + gantry::quoted(flag.value) + ": use default, none or host");
      }
      if (flag.value != "default") flags.network = flag.value;
    } else if (flag.name == "security") {
      if (flag.value != "sandbox" && flag.value != "insecure") {
        return invalid("security " + gantry::quoted(flag.value) + " is not valid: use sandbox or insecure");
      }
      flags.insecure = flag.value == "insecure";
      if (flags.insecure && !job_.request.allows_insecure) {
        return Error(Code::forbidden, "security.insecure is not allowed: build with --allow security.insecure");
      }
    } else if (flag.name != "mount") {
      return unknown_flag(flag.name, known_flags("RUN"));
    }
  }
  return flags;
}

Result<> StageBuild::run_command(const Instruction& instruction) {
  const RunFlags flags = TRY(run_flags(instruction));
  Step step;
  step.arguments = TRY(command_line(instruction, step));
  step.environment = config().environment;
  for (const auto& [name, value] : result_.arguments) set_variable(step.environment, name, value);
  step.user = config().user;
  step.working_dir = config().working_dir;
  step.network_mode = flags.network;
  step.extra_hosts = job_.request.extra_hosts;
  step.shm_size = job_.request.shm_size;
  step.ulimits = job_.request.ulimits;
  step.insecure = flags.insecure;
  const std::string key = TRY(key_of(step, flags));
  for (const auto& [name, value] : job_.request.build_args) {
    if (value && is_proxy_variable(name)) set_variable(step.environment, name, *value);
  }
  const std::string made_by = history_of(step);
  TRY(cached_layer(key, [&](const StepDirectory& directory) { return run_in(directory, step, flags); }));
  remember(made_by, /*empty_layer=*/false);
  return {};
}

// Everything that the result can depend on; the addresses of extra hosts are not, their names are.
Result<std::string> StageBuild::key_of(const Step& step, const RunFlags& flags) {
  std::vector<std::string> host_names;
  for (const std::string& host : step.extra_hosts) host_names.push_back(host.substr(0, host.find_first_of(":=")));
  CacheKey key("run");
  key.add(result_.chain).add_list(step.arguments).add_list(step.environment).add(step.user).add(step.working_dir);
  const bool is_default = step.network_mode.empty() || step.network_mode == "default";
  key.add(is_default ? "" : step.network_mode).add_list(host_names).add(step.shm_size.value_or(0));
  key.add(uint64_t{step.insecure});
  for (const Ulimit& limit : step.ulimits) {
    key.add(limit.name).add(static_cast<uint64_t>(limit.soft)).add(static_cast<uint64_t>(limit.hard));
  }
  for (const StepMount& script : step.mounts) key.add(script.content);
  for (const RunMount& mount : flags.mounts) TRY(add_mount_to_key(mount, key));
  return key.finish();
}

// What a mount shows counts where it is content (bind); caches, secrets and agents are somebody else's.
Result<> StageBuild::add_mount_to_key(const RunMount& mount, CacheKey& key) {
  key.add("mount").add(static_cast<uint64_t>(mount.type)).add(mount.target).add(uint64_t{mount.read_only});
  if (mount.type == RunMount::Type::tmpfs) key.add(mount.size);
  if (mount.type == RunMount::Type::secret || mount.type == RunMount::Type::ssh) {
    key.add(mount.id).add(mount.environment);
    return {};
  }
  if (mount.type != RunMount::Type::bind) return {};
  const std::string source = mount.source.empty() ? "/" : mount.source;
  std::optional<SourceTree> other;
  CopyPlan plan{.tree = job_.context ? &*job_.context : nullptr,
                .matches = {},
                .texts = {},
                .destination = "/",
                .owner = {},
                .parents = {},
                .mode = {}};
  plan.digests = job_.digests;
  if (!mount.from.empty()) {
    Source from = TRY(source_of(mount.from));
    if (source == "/" && !from.chain.empty()) {
      key.add(from.chain);
      return {};
    }
    other.emplace(TRY(LayerView::open(from.layers)), IgnorePatterns(), std::move(from.hold));
    plan.tree = &*other;
    plan.digests = nullptr;
  }
  if (plan.tree == nullptr) return invalid("the mount on " + mount.target + " needs a build context");
  plan.matches = TRY(plan.tree->find(source).within("mount on " + mount.target));
  return add_to_key(plan, key);
}

// Of a here-document with an interpreter of its own the script becomes a file, which `step` gets mounted.
Result<std::vector<std::string>> StageBuild::command_line(const Instruction& instruction, Step& step) {
  if (instruction.is_json) {
    if (instruction.list.empty()) return invalid("RUN requires at least one argument");
    return instruction.list;
  }
  std::vector<std::string> line = config().shell;
  if (line.empty()) line = {"/bin/sh", "-c"};
  std::string text = instruction.arguments;
  const std::vector<HereDocument>& documents = instruction.here_documents;
  const bool is_script = documents.size() == 1 && text.starts_with("<<") &&
                         split_words(text, job_.file.escape).size() == 1;
  if (is_script) {
    text = documents.front().content;
    if (text.starts_with("#!")) {
      step.mounts.push_back({.kind = StepMount::Kind::secret,
                             .target = std::string(kScriptPlace),
                             .source = {},
                             .layers = {},
                             .scratch = {},
                             .subpath = {},
                             .tmpfs_options = {},
                             .content = std::move(text),
                             .mode = 0755});
      return std::vector<std::string>{std::string(kScriptPlace)};
    }
  } else {
    for (const HereDocument& document : documents) text += "\n" + document.content + document.name;
  }
  line.push_back(std::move(text));
  return line;
}

Result<StepMount> StageBuild::cache_mount(const RunMount& mount, MountHolds& holds) {
  std::string seed;
  std::optional<Source> from;
  if (!mount.from.empty()) {
    from = TRY(source_of(mount.from));
    seed = from->chain + " " + mount.source;
  }
  CacheMounts::Use use = TRY(job_.shared.cache_mounts.acquire(mount, seed, job_.stop_check()));
  if (use.is_new && from) {
    const SourceTree tree(TRY(LayerView::open(from->layers)), {}, from->hold);
    auto matches = TRY(tree.find(mount.source.empty() ? "/" : mount.source));
    CopyPlan plan{.tree = &tree,
                  .matches = std::move(matches),
                  .texts = {},
                  .destination = "/",
                  .is_into_directory = true,
                  .owner = {},
                  .parents = {},
                  .mode = {}};
    const ImageStore::Layers nothing = TRY(job_.store.layers_of_chain(""));
    LayerWriter writer = TRY(LayerWriter::open(use.directory, nothing.directories));
    TRY(carry_out(plan, writer, job_.work));
  }
  holds.holds.push_back(std::move(use.hold));
  StepMount step_mount;
  step_mount.target = mount.target;
  step_mount.read_only = mount.read_only;
  step_mount.source = use.directory;
  return step_mount;
}

Result<> StageBuild::add_mounts(const RunFlags& flags, const StepDirectory& directory, Step& step, MountHolds& holds) {
  int agents = 0;
  for (const RunMount& mount : flags.mounts) {
    StepMount made;
    made.target = mount.target;
    made.read_only = mount.read_only;
    switch (mount.type) {
      case RunMount::Type::bind: {
        made.subpath = mount.source;
        if (!mount.read_only) {
          made.scratch = directory.files() / ("rw" + std::to_string(step.mounts.size()));
          if (mkdir(made.scratch.c_str(), 0755) != 0) return Error::from_errno(errno, "mkdir", made.scratch.native());
        }
        if (mount.from.empty()) {
          if (job_.request.context.empty()) return invalid("the mount on " + mount.target + " needs a build context");
          made.kind = StepMount::Kind::layers;
          made.layers = {job_.request.context};
          if (job_.context->leaves_out()) TRY(copy_visible(mount, directory, step.mounts.size(), made));
        } else {
          Source from = TRY(source_of(mount.from));
          made.kind = StepMount::Kind::layers;
          made.layers = std::move(from.layers);
          holds.holds.push_back(std::move(from.hold));
        }
        break;
      }
      case RunMount::Type::cache:
        made = TRY(cache_mount(mount, holds));
        break;
      case RunMount::Type::tmpfs:
        made.kind = StepMount::Kind::tmpfs;
        made.read_only = false;
        made.tmpfs_options = "mode=1777" + (mount.size > 0 ? ",size=" + std::to_string(mount.size) : "");
        break;
      case RunMount::Type::secret: {
        const auto secret = job_.request.secrets.find(mount.id);
        if (secret == job_.request.secrets.end()) {
          if (mount.required) return not_found("secret " + mount.id + ": not found: give it by --secret id=" + mount.id);
          continue;
        }
        if (!mount.environment.empty()) set_variable(step.environment, mount.environment, secret->second);
        if (mount.target.empty()) continue;
        made.kind = StepMount::Kind::secret;
        made.read_only = true;
        made.content = secret->second;
        made.mode = mount.mode.value_or(0400);
        made.uid = mount.uid;
        made.gid = mount.gid;
        break;
      }
      case RunMount::Type::ssh: {
        const auto agent = job_.request.ssh.find(mount.id);
        if (agent == job_.request.ssh.end()) {
          if (mount.required) return not_found("unset ssh forward key " + mount.id + ": give it by --ssh " + mount.id);
          continue;
        }
        made.target = mount.target.empty() ? std::string(kAgentPlace) + std::to_string(agents) : mount.target;
        if (agents++ == 0) set_variable(step.environment, "SSH_AUTH_SOCK", made.target);
        made.source = agent->second;
        made.read_only = false;
        break;
      }
    }
    step.mounts.push_back(std::move(made));
  }
  return {};
}

// A context whose ignore file leaves something out is mounted as a copy of the rest.
Result<> StageBuild::copy_visible(const RunMount& mount, const StepDirectory& directory, size_t number,
                                  StepMount& made) {
  const std::filesystem::path place = directory.files() / ("visible" + std::to_string(number));
  if (mkdir(place.c_str(), 0755) != 0) return Error::from_errno(errno, "mkdir", place.native());
  auto matches = TRY(job_.context->find(mount.source.empty() ? "/" : mount.source));
  CopyPlan plan{.tree = &*job_.context,
                .matches = std::move(matches),
                .texts = {},
                .destination = "/",
                .is_into_directory = true,
                .owner = {},
                .parents = {},
                .mode = {}};
  made.layers = {place};
  made.subpath = plan.matches.front().is_directory ? "" : plan.matches.front().name;
  const ImageStore::Layers nothing = TRY(job_.store.layers_of_chain(""));
  LayerWriter writer = TRY(LayerWriter::open(place, nothing.directories));
  return carry_out(plan, writer, directory.files());
}

Result<> StageBuild::run_in(const StepDirectory& directory, Step& step, const RunFlags& flags) {
  const ImageStore::Layers below = TRY(job_.store.layers_of_chain(result_.chain));
  (void)TRY(LayerWriter::open(directory.upper(), below.directories));  // gives it the root's attributes
  MountHolds holds;
  TRY(add_mounts(flags, directory, step, holds));
  step.layers = below.directories;
  step.upper = directory.upper();
  step.work = directory.work();
  const int code = TRY(job_.runner.run(
      step, [this](std::string_view output, bool is_stderr) { output_.say(output, is_stderr); }, job_.stop_check()));
  if (code != 0) {
    return invalid("The command '" + join(step.arguments, " ") +
                   "' returned a non-zero code: " + std::to_string(code));
  }
  return remove_mount_points(directory, step, below.directories);
}

// Files and directories that were made for something to be mounted on are no part of the layer.
Result<> StageBuild::remove_mount_points(const StepDirectory& directory, const Step& step,
                                         const std::vector<std::filesystem::path>& below) {
  if (step.mounts.empty()) return {};
  const LayerView tree = TRY(LayerView::open(below));
  for (const StepMount& mount : step.mounts) {
    std::vector<std::string> parts = mount_point_names(mount.target);
    while (!parts.empty()) {
      const std::string path = join(parts, "/");
      if (TRY(tree.find(path, LayerView::LastLink::keep)).has_value()) break;
      const std::string name = parts.back();
      parts.pop_back();
      Result<Fd> parent = open_without_links(TRY(open_file(directory.upper(), O_PATH | O_DIRECTORY)).get(),
                                             parts.empty() ? "." : join(parts, "/"), O_PATH | O_DIRECTORY);
      if (!parent.ok()) break;
      struct stat status {};
      if (fstatat(parent->get(), name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) continue;
      const bool is_empty_file = S_ISREG(status.st_mode) && status.st_size == 0;
      if (!is_empty_file && !S_ISDIR(status.st_mode)) break;
      // What is not empty the program has put there.
      if (unlinkat(parent->get(), name.c_str(), S_ISDIR(status.st_mode) ? AT_REMOVEDIR : 0) != 0) break;
    }
  }
  return {};
}

std::string StageBuild::history_of(const Step& step) const {
  std::string text = "RUN ";
  if (!result_.arguments.empty()) {
    text += "|" + std::to_string(result_.arguments.size());
    for (const auto& [name, value] : result_.arguments) text += " " + name + "=" + value;
    text += " ";
  }
  return text + join(step.arguments, " ") + " # buildkit";
}

}  // namespace gantry::engine
