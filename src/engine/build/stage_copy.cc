// StageBuild: COPY and ADD.
#include <sys/stat.h>

#include <cerrno>

#include "base/strings.h"
#include "engine/build/builder_shared.h"
#include "engine/build/link_tree.h"
#include "engine/build/stage_build.h"
#include "engine/image/byte_source.h"

namespace gantry::engine {
namespace {

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

Result<bool> boolean_flag(const InstructionFlag& flag) {
  if (!flag.has_value || flag.value == "true") return true;
  if (flag.value == "false") return false;
  return invalid("expecting boolean value for flag " + flag.name + ", not: " + flag.value);
}

}  // namespace

Result<> StageBuild::copy(const Instruction& instruction) {
  std::vector<std::string> words = words_of(instruction);
  if (words.size() < 2) {
    const std::string count = words.empty() ? "none was provided" : "only one was provided";
    return invalid(instruction.keyword + " requires at least two arguments, but " + count +
                   ". Destination could not be determined");
  }
  CopyPlan plan;
  std::optional<SourceTree> other;
  const CopyFlags flags = TRY(apply_copy_flags(instruction, plan, other));
  plan.unpacks_archives = instruction.keyword == "ADD" && flags.unpack.value_or(true);
  const std::string destination = TRY(expanded(words.back()));
  words.pop_back();
  std::vector<RemoteSource> remotes;
  TRY(find_sources(instruction, words, flags, plan, remotes));
  plan.is_into_directory = destination.ends_with('/') || destination == "." || destination.ends_with("/.") ||
                           destination == ".." || destination.ends_with("/..");
  plan.destination = resolve_working_dir(config().working_dir, destination);
  if (plan.destination == "/") plan.is_into_directory = true;
  if (words.size() > 1 && !plan.is_into_directory) {
    return invalid("When using " + instruction.keyword +
                   " with more than one source file, the destination must be a directory and end with a /");
  }
  std::optional<StepDirectory> fetched;
  const auto fetch = [&](size_t index) -> Result<std::filesystem::path> {
    if (!fetched) fetched.emplace(TRY(StepDirectory::make(job_.work)));
    const std::filesystem::path place = fetched->files() / std::to_string(index);
    if (mkdir(place.c_str(), 0755) != 0) return Error::from_errno(errno, "mkdir", place.native());
    TRY(fetch_remote(remotes[index], place, job_.stop_check()));
    return place;
  };
  CacheKey key("copy");
  // --link: what is below does not count, so that a new base needs no new copy.
  CacheKey link_key("link");
  key.add(result_.chain).add(uint64_t{flags.link});
  CacheKey sources("sources");
  TRY(add_to_key(plan, sources));
  const std::string digest_of_sources = sources.finish();
  key.add(digest_of_sources);
  link_key.add(digest_of_sources);
  std::vector<std::optional<std::filesystem::path>> places(remotes.size());
  for (size_t i = 0; i < remotes.size(); ++i) {
    const RemoteSource& remote = remotes[i];
    if (remote.kind == RemoteSource::Kind::url && remote.name.empty() && plan.is_into_directory) {
      return invalid("cannot determine filename for source " + remote.url);
    }
    std::string identity = remote.identity;
    if (identity.empty()) {  // the other side does not say what it has: fetched to know
      places[i] = TRY(fetch(i));
      const Fd file = TRY(open_file(*places[i] / remote.name, O_RDONLY));
      FdSource source(file.get());
      MeasuringSource measured(source);
      TRY(drain(measured));
      identity = measured.finish();
    }
    for (CacheKey* it : {&key, &link_key}) {
      it->add("remote").add(remote.url).add(remote.name).add(identity).add(remote.directory);
      it->add(uint64_t{remote.keeps_git_dir}).add(uint64_t{flags.unpack.value_or(false)});
    }
  }
  const std::string linked = flags.link ? link_key.finish() : "";
  TRY(cached_layer(key.finish(), [&](const StepDirectory& directory) -> Result<> {
    const ImageStore::Layers below = TRY(job_.store.layers_of_chain(result_.chain));
    if (flags.link && TRY(take_linked(linked, directory))) return copy_root(below, directory);
    // --link: as if nothing were below, so that the layer stands for itself.
    const ImageStore::Layers seen = flags.link ? TRY(job_.store.layers_of_chain("")) : below;
    LayerWriter writer = TRY(LayerWriter::open(directory.upper(), seen.directories));
    TRY(carry_out(plan, writer, directory.files()));
    for (size_t i = 0; i < remotes.size(); ++i) {
      const std::filesystem::path place = places[i] ? *places[i] : TRY(fetch(i));
      TRY(copy_remote(remotes[i], place, flags, plan, writer, directory.files() / ("remote" + std::to_string(i))));
    }
    return flags.link ? copy_root(below, directory) : Result<>();
  }));
  if (flags.link) TRY(job_.store.cache_put(linked, result_.chain));
  remember(instruction.text() + " # buildkit", /*empty_layer=*/false);
  return {};
}

// The layer of the same step on another base, if it is here.
Result<bool> StageBuild::take_linked(const std::string& key, const StepDirectory& directory) {
  const std::optional<std::string> chain = uses_cache() ? job_.store.cache_get(key) : std::nullopt;
  if (!chain) return false;
  const Result<ImageStore::Layers> layers = job_.store.layers_of_chain(*chain);
  if (!layers.ok()) return false;
  TRY(link_tree(layers->directories.front(), directory.upper()));
  return true;
}

// overlayfs shows the topmost layer's root as "/".
Result<> StageBuild::copy_root(const ImageStore::Layers& below, const StepDirectory& directory) {
  const LayerView tree = TRY(LayerView::open(below.directories));
  const Fd root = TRY(open_file(directory.upper(), O_RDONLY | O_DIRECTORY));
  return set_attributes(root.get(), "/", TRY(FileAttributes::of(tree.root())));
}

// What was fetched, as if it were in the context.
Result<> StageBuild::copy_remote(const RemoteSource& remote, const std::filesystem::path& place, const CopyFlags& flags,
                                 const CopyPlan& plan, LayerWriter& writer,
                                 const std::filesystem::path& temporary) {
  if (mkdir(temporary.c_str(), 0755) != 0) return Error::from_errno(errno, "mkdir", temporary.native());
  const SourceTree tree(TRY(LayerView::open({place})), {});
  CopyPlan copying = plan;
  copying.tree = &tree;
  copying.digests = nullptr;
  copying.texts.clear();
  const bool is_git = remote.kind == RemoteSource::Kind::git;
  const std::string source = is_git ? (remote.directory.empty() ? "/" : remote.directory) : remote.name;
  copying.matches = TRY(tree.find(source).within(remote.url));
  copying.unpacks_archives = !is_git && flags.unpack.value_or(false);
  return carry_out(copying, writer, temporary);
}

// `other` gets the tree of --from, which the plan points to.
Result<StageBuild::CopyFlags> StageBuild::apply_copy_flags(const Instruction& instruction, CopyPlan& plan,
                                                           std::optional<SourceTree>& other) {
  CopyFlags flags;
  const bool is_add = instruction.keyword == "ADD";
  plan.owner = Owner{};
  plan.digests = job_.digests;
  if (job_.context) plan.tree = &*job_.context;
  for (const InstructionFlag& flag : instruction.flags) {
    if (flag.name != "from" || is_add) continue;
    Source source = TRY(source_of(flag.value));
    const bool is_directory = source.chain.empty() && job_.request.contexts.contains(to_lower(flag.value));
    other.emplace(TRY(LayerView::open(source.layers)), IgnorePatterns(), std::move(source.hold));
    plan.tree = &*other;
    plan.digests = nullptr;
    if (!is_directory) plan.owner.reset();  // files of an image keep their owners
  }
  for (const InstructionFlag& flag : instruction.flags) {
    if (flag.name == "from" && !is_add) continue;
    if (flag.name == "chown") {
      plan.owner = TRY(owner_of(TRY(expanded(flag.value))));
      plan.parents = *plan.owner;
    } else if (flag.name == "chmod") {
      plan.mode = TRY(ModeChange::parse(TRY(expanded(flag.value))));
    } else if (flag.name == "link") {
      flags.link = TRY(boolean_flag(flag));
    } else if (flag.name == "parents" && !is_add) {
      plan.keeps_parents = TRY(boolean_flag(flag));
    } else if (flag.name == "exclude") {
      TRY(plan.excluded.add(TRY(expanded(flag.value))));
      plan.exclude_texts.push_back(TRY(expanded(flag.value)));
    } else if (flag.name == "checksum" && is_add) {
      flags.checksum = TRY(expanded(flag.value));
    } else if (flag.name == "keep-git-dir" && is_add) {
      flags.keep_git_dir = TRY(boolean_flag(flag));
    } else if (flag.name == "unpack" && is_add) {
      flags.unpack = TRY(boolean_flag(flag));
    } else {
      return unknown_flag(flag.name, known_flags(instruction.keyword));
    }
  }
  return flags;
}

Result<> StageBuild::find_sources(const Instruction& instruction, const std::vector<std::string>& words,
                                  const CopyFlags& flags, CopyPlan& plan, std::vector<RemoteSource>& remotes) {
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
    if (instruction.keyword == "ADD" && is_remote_source(source)) {
      remotes.push_back(TRY(resolve_remote(source, flags.checksum, flags.keep_git_dir, job_.stop_check())));
      continue;
    }
    if (!flags.checksum.empty()) return invalid("checksum requires a remote source, and " + source + " is none");
    if (plan.tree == nullptr) return invalid("COPY failed: the build has no context");
    Result<std::vector<SourceTree::Match>> matches = plan.tree->find(source);
    if (!matches.ok()) return copy_failed(plan, std::move(matches).error());
    for (SourceTree::Match& match : *matches) {
      if (plan.keeps_parents) match.parents = parents_kept(source, match.path);
      plan.matches.push_back(std::move(match));
    }
  }
  return {};
}

Error StageBuild::copy_failed(const CopyPlan& plan, Error error) const {
  if (error.code() != Code::not_found) return error;
  const bool from_context = job_.context && plan.tree == &*job_.context;
  return invalid((from_context ? "COPY failed: file not found in build context or excluded by .dockerignore: "
                               : "COPY failed: file not found: ") +
                 error.message());
}

}  // namespace gantry::engine
