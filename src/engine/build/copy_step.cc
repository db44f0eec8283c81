#include "engine/build/copy_step.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <ctime>

#include "base/strings.h"
#include "engine/build/tree_keys.h"
#include "engine/image/tar_reader.h"
#include "engine/image/unpack.h"

namespace gantry::engine {
namespace {

using Node = LayerView::Node;

FileAttributes attributes_in_image(const CopyPlan& plan, FileAttributes attributes, bool is_symlink,
                                   bool is_directory) {
  if (plan.owner) {
    attributes.uid = plan.owner->uid;
    attributes.gid = plan.owner->gid;
  }
  if (plan.mode && !is_symlink) attributes.mode = plan.mode->apply(attributes.mode, is_directory);
  return attributes;
}

Result<std::array<uint8_t, 32>> content_digest(const Node& file) {
  const Fd fd = TRY(LayerView::open_file(file));
  FdSource source(fd.get());
  Sha256 hash;
  char piece[64 * 1024];
  for (size_t got = TRY(source.read(piece).within(file.path())); got > 0; got = TRY(source.read(piece).within(file.path()))) {
    hash.update({piece, got});
  }
  return hash.finish_bytes();
}

Result<Xattrs> kept_xattrs(const Node& node) {
  Xattrs xattrs = TRY(LayerView::xattrs(node));
  std::erase_if(xattrs, [](const auto& attribute) { return !is_kept_xattr(attribute.first); });
  return xattrs;
}

// Of a file, or whether a directory has attributes to keep. Setting one changes the times, so that what is remembered
// tells of those, too.
Result<FileDigests::Content> content_of(const CopyPlan& plan, const Node& node) {
  const auto read = [&node]() -> Result<FileDigests::Content> {
    FileDigests::Content content;
    if (node.is_file()) content.sha256 = TRY(content_digest(node));
    content.has_xattrs = !TRY(kept_xattrs(node)).empty();
    return content;
  };
  return plan.digests == nullptr ? read() : plan.digests->content(node.status(), read);
}

Result<> add_node(const CopyPlan& plan, const Node& node, std::string_view name, CacheKey& key) {
  const FileAttributes attributes = attributes_in_image(plan, FileAttributes::without_xattrs(node.status()),
                                                        node.is_symlink(), node.is_directory());
  key.add(name).add(uint64_t{(node.status().st_mode & S_IFMT) | attributes.mode});
  key.add(uint64_t{attributes.uid} << 32 | attributes.gid);
  std::optional<FileDigests::Content> content;
  if (node.is_file() || node.is_directory()) content = TRY(content_of(plan, node));
  if (!content || content->has_xattrs) {
    for (const auto& [attribute, value] : TRY(kept_xattrs(node))) key.add(attribute).add(value);
  }
  if (node.is_file()) {
    key.add(static_cast<uint64_t>(node.status().st_size)).add(
        std::string_view(reinterpret_cast<const char*>(content->sha256.data()), content->sha256.size()));
  } else if (node.is_symlink()) {
    key.add(TRY(LayerView::read_link(node)));
  } else if (!node.is_directory()) {
    key.add(static_cast<uint64_t>(node.status().st_rdev));
  }
  return {};
}

// --exclude looks at the path below the directory that is copied, and at a single file's own name.
bool is_excluded(const CopyPlan& plan, const SourceTree::Match& match, std::string_view path) {
  if (plan.exclude_texts.empty()) return false;
  return plan.excluded.matches(match.is_directory ? path : match.name);
}

class Copier {
 public:
  Copier(const CopyPlan& plan, LayerWriter& writer, const std::filesystem::path& temporary)
      : plan_(plan), writer_(writer), temporary_(temporary) {}

  Result<> run() {
    into_directory_ = plan_.is_into_directory || TRY(writer_.is_directory(plan_.destination));
    for (const TextSourceFile& text : plan_.texts) TRY(write_text(text));
    for (const SourceTree::Match& match : plan_.matches) {
      if (plan_.unpacks_archives && !match.is_directory && TRY(unpack_archive(match))) continue;
      TRY(copy_match(*plan_.tree, match));
    }
    return writer_.finish();
  }

 private:
  struct Place {
    std::string directory;
    std::string name;
  };
  // Where a single file of that name goes; parents are made.
  Result<Place> place_of(const std::string& name, const std::string& parents = {}) {
    if (!parents.empty()) {
      return Place{TRY(writer_.make_directories(plan_.destination + "/" + parents, plan_.parents)), name};
    }
    if (into_directory_) return Place{TRY(writer_.make_directories(plan_.destination, plan_.parents)), name};
    const size_t slash = plan_.destination.rfind('/');
    return Place{TRY(writer_.make_directories(plan_.destination.substr(0, slash), plan_.parents)),
                 plan_.destination.substr(slash + 1)};
  }

  Result<> write_text(const TextSourceFile& text) {
    const Place place = TRY(place_of(text.name));
    timespec now{};
    clock_gettime(CLOCK_REALTIME, &now);
    const FileAttributes attributes =
        attributes_in_image(plan_, {.mode = 0644, .uid = 0, .gid = 0, .modified = now, .xattrs = {}}, false, false);
    return writer_.write(text.content, place.directory, place.name, attributes);
  }

  Result<> copy_match(const SourceTree& tree, const SourceTree::Match& match) {
    TRY(copy_parents(tree, match));
    Place last;  // as written → as it is in the layer, of the directory that was written to last
    return tree.walk(match, [&](const Node& node, const std::string& path) -> Result<> {
      if (is_excluded(plan_, match, path)) return {};
      FileAttributes attributes = attributes_in_image(plan_, TRY(FileAttributes::of(node)), node.is_symlink(), node.is_directory());
      if (!match.is_directory) {
        const Place place = TRY(place_of(match.name, match.parents));
        return writer_.copy(tree.view(), node, place.directory, place.name, attributes);
      }
      const std::string below = match.parents.empty() ? "" : "/" + match.parents + "/" + match.name;
      const std::string target = plan_.destination + below + "/" + path;
      if (node.is_directory()) return copy_directory(target, path.empty(), std::move(attributes));
      const size_t slash = target.rfind('/');
      if (last.name != target.substr(0, slash) || last.directory.empty()) {
        last.name = target.substr(0, slash);
        last.directory = TRY(writer_.make_directories(last.name, plan_.parents));
      }
      return writer_.copy(tree.view(), node, last.directory, target.substr(slash + 1), attributes);
    });
  }

  // --parents: the directories above, with the attributes that they have in the source.
  Result<> copy_parents(const SourceTree& tree, const SourceTree::Match& match) {
    if (match.parents.empty()) return {};
    const std::string above = match.path.substr(0, match.path.rfind('/'));
    const std::string pivot = above.substr(0, above.size() - std::min(above.size(), match.parents.size()));
    std::string path;
    for (const std::string& part : split(match.parents, '/')) {
      path += "/" + part;
      const std::optional<Node> node = TRY(tree.view().find(pivot + path));
      if (!node.has_value() || !node->is_directory()) continue;
      TRY(writer_.copy_directory(plan_.destination + path, plan_.parents,
                                 attributes_in_image(plan_, TRY(FileAttributes::of(*node)), false, true)));
    }
    return {};
  }

  Result<> copy_directory(const std::string& target, bool is_destination, FileAttributes attributes) {
    if (is_destination && TRY(writer_.is_directory(target))) return {};  // what is there keeps its attributes
    TRY(writer_.copy_directory(target, plan_.parents, std::move(attributes)));
    return {};
  }

  // False: it is no archive.
  Result<bool> unpack_archive(const SourceTree::Match& match) {
    const std::optional<Node> node = TRY(plan_.tree->view().find(match.path, LayerView::LastLink::keep));
    if (!node.has_value() || !node->is_file() || node->status().st_size == 0) return false;
    if (!TRY(is_archive(*node))) return false;
    const std::filesystem::path directory = temporary_ / std::to_string(++unpacked_);
    if (mkdir(directory.c_str(), 0755) != 0) return Error::from_errno(errno, "mkdir", directory.native());
    {
      const Fd root = TRY(open_file(directory, O_RDONLY | O_DIRECTORY));
      const Fd file = TRY(LayerView::open_file(*node));
      FdSource raw(file.get());
      const std::unique_ptr<ByteSource> plain = TRY(decompressed(raw).within(match.name));
      UnpackOptions options{.form = UnpackOptions::Form::files};
      if (plan_.owner && (plan_.owner->uid != 0 || plan_.owner->gid != 0)) {
        options.owner = std::pair(plan_.owner->uid, plan_.owner->gid);
      }
      TRY(unpack(*plain, root.get(), options).within(match.name));
    }
    const SourceTree tree(TRY(LayerView::open({directory})), {});
    CopyPlan copying{.tree = &tree,
                     .matches = {{.path = "/", .name = {}, .is_directory = true}},
                     .texts = {},
                     .destination = plan_.destination,
                     .is_into_directory = true,
                     .owner = {},
                     .parents = plan_.parents,
                     .mode = plan_.mode};
    TRY(Copier(copying, writer_, temporary_).run());
    return true;
  }

  static Result<bool> is_archive(const Node& node) {
    const Fd file = TRY(LayerView::open_file(node));
    FdSource raw(file.get());
    Result<std::unique_ptr<ByteSource>> plain = decompressed(raw);
    if (!plain.ok()) return false;
    TarReader reader(**plain);
    const Result<std::optional<TarEntry>> first = reader.next();
    return first.ok() && first->has_value();
  }

  const CopyPlan& plan_;
  LayerWriter& writer_;
  const std::filesystem::path& temporary_;
  bool into_directory_ = false;
  int unpacked_ = 0;
};

}  // namespace

std::string parents_kept(const std::string& source, const std::string& path) {
  std::string above = path.substr(0, path.rfind('/'));
  if (above.starts_with('/')) above.erase(0, 1);
  const size_t pivot = source.find("/./");
  if (pivot == std::string::npos) return above;
  // As many names as stand before the pivot are dropped.
  size_t names = 0;
  for (const std::string& part : split(source.substr(0, pivot), '/')) names += part.empty() || part == "." ? 0 : 1;
  for (; names > 0 && !above.empty(); --names) {
    const size_t slash = above.find('/');
    above = slash == std::string::npos ? "" : above.substr(slash + 1);
  }
  return above;
}

Result<> add_to_key(const CopyPlan& plan, CacheKey& key) {
  key.add(plan.destination).add(uint64_t{plan.is_into_directory}).add(uint64_t{plan.unpacks_archives});
  key.add(uint64_t{plan.parents.uid}).add(uint64_t{plan.parents.gid});
  key.add(plan.mode.has_value() ? plan.mode->text() : "").add(uint64_t{plan.keeps_parents});
  key.add_list(plan.exclude_texts);
  for (const TextSourceFile& text : plan.texts) key.add("text").add(text.name).add(text.content);
  key.add(uint64_t{plan.matches.size()});
  for (const SourceTree::Match& match : plan.matches) {
    key.add("match").add(match.is_directory && match.parents.empty() ? std::string() : match.name).add(match.parents);
  }
  const auto add = [&plan](const SourceTree::Match& match, const Node& node, std::string_view path, CacheKey& run) {
    return is_excluded(plan, match, path) ? Result<>() : add_node(plan, node, path.substr(path.rfind('/') + 1), run);
  };
  return plan.tree == nullptr ? Result<>() : add_tree_to_key(*plan.tree, plan.matches, add, key);
}

Result<> carry_out(const CopyPlan& plan, LayerWriter& writer, const std::filesystem::path& temporary) {
  return Copier(plan, writer, temporary).run();
}

}  // namespace gantry::engine
