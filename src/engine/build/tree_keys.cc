#include "engine/build/tree_keys.h"

#include <algorithm>
#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <tuple>

#include "engine/build/shared_work.h"

namespace gantry::engine {
namespace {

using Node = LayerView::Node;
using Match = SourceTree::Match;
using Share = SourceTree::Share;

constexpr size_t kNamesOfARun = 256;  // enough to be worth a hash and a piece of work of their own

// A match, or a directory below it. Stays until all is hashed.
struct Place {
  size_t match;
  std::string path;  // relative to the match
  std::shared_ptr<Place> parent;
  int depth;
  std::atomic<bool> counts = false;  // it is not left out, or something below it is not

  explicit Place(size_t match_index) : match(match_index), depth(0) {}
  Place(std::shared_ptr<Place> above, std::string_view relative)
      : match(above->match), path(relative), parent(std::move(above)), depth(parent->depth + 1) {}

  void count() {
    for (Place* it = this; it != nullptr && !it->counts.exchange(true); it = it->parent.get()) {
    }
  }
  bool operator<(const Place& other) const { return std::tie(match, path) < std::tie(other.match, other.path); }
};

// Goes when its runs have ended, and with it the descriptor.
struct Directory {
  std::shared_ptr<Place> place;
  Node node;
  std::vector<std::string> names = {};
};

struct Run {
  std::shared_ptr<Place> place;
  size_t first;  // index of its first name
  std::string key;
  bool operator<(const Run& other) const { return place == other.place ? first < other.first : *place < *other.place; }
};

class TreeKeys {
 public:
  TreeKeys(const SourceTree& tree, const std::vector<Match>& matches, const AddNode& add_node)
      : tree_(tree), matches_(matches), add_node_(add_node) {}

  Result<> add_to(CacheKey& key) {
    work_.run([this] {
      for (size_t i = 0; i < matches_.size(); ++i) {
        const auto place = std::make_shared<Place>(i);
        share_out(place, [this, place] { return walk_match(place); });
      }
    });
    if (failed_) return *failed_;
    std::erase_if(runs_, [](const Run& run) { return !run.place->counts; });
    std::sort(runs_.begin(), runs_.end());
    key.add(uint64_t{runs_.size()});
    for (const Run& run : runs_) key.add(uint64_t{run.place->match}).add(run.place->path).add(run.key);
    return {};
  }

 private:
  // The step is taken now, or by another thread.
  template <class Step>
  void share_out(const std::shared_ptr<Place>& place, Step step) {
    const auto piece = [this, place, step = std::move(step)] {
      const Result<> done = step();
      if (!done.ok()) fail(place, done.error());
    };
    if (!work_.offer(piece)) piece();
  }

  void fail(const std::shared_ptr<Place>& place, const Error& error) {
    const std::lock_guard lock(mutex_);
    if (failed_ && *failed_at_ < *place) return;
    failed_ = error;
    failed_at_ = place;
  }

  Result<> walk_match(const std::shared_ptr<Place>& place) {
    const Match& match = matches_[place->match];
    std::optional<Node> node = TRY(tree_.view().find(match.path, LayerView::LastLink::keep));
    if (!node.has_value()) return not_found("stat " + match.path + ": file does not exist");
    const Share share = tree_.share_of(*node);
    if (share == Share::nothing) return {};
    if (share == Share::all) place->count();
    if (node->is_directory()) return walk({.place = place, .node = *std::move(node)});
    CacheKey key("run");
    TRY(add_node_(match, *node, "", key));
    keep(place, 0, key);
    return {};
  }

  Result<> walk(Directory directory) {
    if (directory.place->depth > kDeepestTree) {
      return invalid("directories are nested too deeply: " + directory.node.path());
    }
    directory.names = TRY(tree_.view().names(directory.node));
    const auto shared = std::make_shared<const Directory>(std::move(directory));
    for (size_t first = kNamesOfARun; first < shared->names.size(); first += kNamesOfARun) {
      share_out(shared->place, [this, shared, first] { return hash_run(*shared, first); });
    }
    return hash_run(*shared, 0);
  }

  Result<> hash_run(const Directory& directory, size_t first) {
    Place& place = *directory.place;
    const Match& match = matches_[place.match];
    CacheKey key("run");
    if (first == 0) TRY(add_node_(match, directory.node, place.path, key));
    const size_t end = std::min(first + kNamesOfARun, directory.names.size());
    Node node;
    for (size_t i = first; i < end; ++i) {
      if (!TRY(tree_.view().look_up(directory.node, directory.names[i], node))) continue;
      const Share share = tree_.share_of(node);
      if (share == Share::nothing) continue;
      if (share == Share::all) place.count();
      if (node.is_directory()) {
        enter(directory.place, std::move(node), share);
        node = {};
      } else {
        TRY(add_node_(match, node, path_below(match, node), key));
      }
    }
    keep(directory.place, first, key);
    return {};
  }

  void enter(const std::shared_ptr<Place>& parent, Node node, Share share) {
    const auto place = std::make_shared<Place>(parent, path_below(matches_[parent->match], node));
    if (share == Share::all) place->count();
    share_out(place,
              [this, directory = Directory{.place = place, .node = std::move(node)}] { return walk(directory); });
  }

  static std::string_view path_below(const Match& match, const Node& node) {
    return std::string_view(node.path()).substr(match.path.size() + (match.path.ends_with('/') ? 0 : 1));
  }

  void keep(const std::shared_ptr<Place>& place, size_t first, CacheKey& key) {
    std::string finished = key.finish();
    const std::lock_guard lock(mutex_);
    runs_.push_back({.place = place, .first = first, .key = std::move(finished)});
  }

  const SourceTree& tree_;
  const std::vector<Match>& matches_;
  const AddNode& add_node_;
  SharedWork work_;
  std::mutex mutex_;  // guards what follows
  std::vector<Run> runs_;
  std::optional<Error> failed_;
  std::shared_ptr<Place> failed_at_;
};

}  // namespace

Result<> add_tree_to_key(const SourceTree& tree, const std::vector<Match>& matches, const AddNode& add_node,
                         CacheKey& key) {
  return TreeKeys(tree, matches, add_node).add_to(key);
}

}  // namespace gantry::engine
