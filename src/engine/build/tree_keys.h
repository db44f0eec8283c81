// What COPY and ADD read from a source tree, in a key that changes with it. All processors take part: a directory's
// entries are hashed in runs of so many names, each by a thread that is free. Where runs begin depends on the names
// alone, so that the same files give the same key on every machine.
#pragma once

#include <functional>
#include <string_view>
#include <vector>

#include "engine/build/cache_key.h"
#include "engine/build/source_tree.h"

namespace gantry::engine {

// Adds what counts of a node; `path` is relative to the match, "" for the match itself. Called on several threads.
using AddNode = std::function<Result<>(const SourceTree::Match& match, const LayerView::Node& node,
                                       std::string_view path, CacheKey& key)>;

// Adds all that the matches stand for. Of several errors the first in the order of paths is told.
Result<> add_tree_to_key(const SourceTree& tree, const std::vector<SourceTree::Match>& matches, const AddNode& add_node,
                         CacheKey& key);

}  // namespace gantry::engine
