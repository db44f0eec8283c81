#include "compose/merge.h"

#include <unordered_map>

namespace gantry::compose {
namespace {

void keep_one_of_each(Node& list, Identity identity) {
  std::unordered_map<std::string, size_t> seen;
  std::vector<Node> kept;
  kept.reserve(list.items.size());
  for (Node& item : list.items) {
    auto [first, fresh] = seen.try_emplace(identity(item), kept.size());
    if (fresh) kept.push_back(std::move(item));
    else kept[first->second] = std::move(item);
  }
  list.items = std::move(kept);
}

void append(Node& base, Node& over) {
  for (Node& item : over.items) base.items.push_back(std::move(item));
}

void merge_mapping(Node& base, Node& over, const Shape* shape, const Path& path, Report& report, bool whole_entries) {
  static const Shape kAnything{.accepts = ~0u};
  std::unordered_map<std::string_view, size_t> index;  // worth it only for many entries
  if (base.entries.size() > 16) {
    for (size_t i = 0; i < base.entries.size(); ++i) index.emplace(base.entries[i].key, i);
  }
  std::vector<Entry> fresh;
  for (Entry& entry : over.entries) {
    Entry* old = nullptr;
    if (base.entries.size() <= 16) old = base.find_entry(entry.key);
    else if (auto at = index.find(entry.key); at != index.end()) old = &base.entries[at->second];
    if (old == nullptr) {
      fresh.push_back(std::move(entry));
      continue;
    }
    const Shape* child = shape == nullptr ? nullptr : child_shape(*shape, entry.key);
    if (whole_entries) old->value = std::move(entry.value);
    else merge(old->value, std::move(entry.value), child == nullptr ? kAnything : *child, path / old->key, report);
  }
  for (Entry& entry : fresh) base.entries.push_back(std::move(entry));
}

void merge_pools(Node& base, Node& over, const Shape& shape, const Path& path, Report& report) {
  for (Node& pool : over.items) {
    const std::string& subnet = pool.text_of("subnet");
    auto same = std::find_if(base.items.begin(), base.items.end(),
                             [&](const Node& item) { return item.text_of("subnet") == subnet; });
    if (same == base.items.end()) base.items.push_back(std::move(pool));
    else merge_mapping(*same, pool, shape.items, path, report, false);
  }
}

bool drivers_differ(const Node& base, const Node& over) {
  const std::string& a = base.text_of("driver");
  const std::string& b = over.text_of("driver");
  return !a.empty() && !b.empty() && a != b;
}

}  // namespace

void merge(Node& base, Node over, const Shape& shape, const Path& path, Report& report) {
  if (over.is_null()) {
    if (shape.merge == Merge::replace || shape.null_overrides) base = std::move(over);
    return;
  }
  if (base.is_null() || shape.merge == Merge::replace) {
    base = std::move(over);
    return;
  }
  if (shape.canonical != nullptr) {
    shape.canonical(base, path, report);
    shape.canonical(over, path, report);
  }
  bool base_scalar = base.is_scalar();
  bool mapping_or_number = (shape.accepts & kMapping) != 0 && (shape.accepts & (kInteger | kBoolean)) != 0;
  if (base_scalar != over.is_scalar() || (!base_scalar && base.kind != over.kind)) {
    if (mapping_or_number) base = std::move(over);  // ulimits: 10 and {soft, hard}
    else report.error(over.place, path, std::string("cannot override ") + to_string(base.kind) + " by " +
                                            to_string(over.kind));
    return;
  }
  if (base_scalar) {
    base = std::move(over);
    return;
  }
  if (base.is_list()) {
    if (shape.merge == Merge::pools) return merge_pools(base, over, shape, path, report);
    append(base, over);
    if (shape.merge == Merge::unique) keep_one_of_each(base, shape.identity);
    return;
  }
  if (shape.merge == Merge::logging && drivers_differ(base, over)) {
    base = std::move(over);
    return;
  }
  merge_mapping(base, over, &shape, path, report, shape.merge == Merge::entries);
}

void remove_repetitions(Node& node, const Shape& shape) {
  if (node.is_list()) {
    if (shape.merge == Merge::unique) keep_one_of_each(node, shape.identity);
    return;
  }
  for (Entry& entry : node.entries) {
    if (const Shape* child = child_shape(shape, entry.key)) remove_repetitions(entry.value, *child);
  }
}

namespace {

void collect(Node& node, std::vector<std::string>& keys, std::vector<TaggedPath>& out) {
  for (size_t i = 0; i < node.entries.size();) {
    Entry& entry = node.entries[i];
    Node::Tag tag = entry.value.tag;
    keys.push_back(entry.key);
    if (tag != Node::Tag::none) out.push_back({keys, tag == Node::Tag::reset});
    // Tags inside of an overridden value mean nothing.
    if (tag == Node::Tag::none) collect(entry.value, keys, out);
    keys.pop_back();
    if (tag == Node::Tag::reset) {
      node.entries.erase(node.entries.begin() + static_cast<std::ptrdiff_t>(i));
    } else {
      entry.value.tag = Node::Tag::none;
      ++i;
    }
  }
  for (Node& item : node.items) {
    std::vector<TaggedPath> inside;  // items of a list have no path in the base: only resets within take effect
    std::vector<std::string> none;
    collect(item, none, inside);
  }
}

}  // namespace

std::vector<TaggedPath> take_tags(Node& document) {
  std::vector<TaggedPath> out;
  std::vector<std::string> keys;
  collect(document, keys, out);
  return out;
}

void apply_tags(Node& base, const std::vector<TaggedPath>& tags) {
  for (const TaggedPath& tag : tags) {
    Node* parent = &base;
    for (size_t i = 0; i + 1 < tag.keys.size() && parent != nullptr; ++i) parent = parent->find(tag.keys[i]);
    if (parent != nullptr && !tag.keys.empty()) parent->erase(tag.keys.back());
  }
}

}  // namespace gantry::compose
