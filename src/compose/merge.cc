#include "compose/merge.h"

#include <algorithm>
#include <unordered_map>
#include <unordered_set>

namespace gantry::compose {
namespace {

// What a value was, in a few words.
std::string told(const Node& node) {
  if (node.is_string()) return '"' + node.text + '"';
  if (node.is_list()) return "a list of " + std::to_string(node.items.size());
  if (node.is_map()) return "a mapping of " + std::to_string(node.entries.size());
  return node.is_null() ? "null" : node.text;
}

// `base` becomes `over`; the history knows what it was.
void replace(Node& base, Node& over, const Path& path, Report& report) {
  if (report.history.whole) {
    report.history.replacements.push_back({over.place, base.place, path.str(), told(base), "overridden"});
  }
  base = std::move(over);
}

std::vector<std::string> identities_of(const Node& list, Identity identity) {
  std::vector<std::string> out;
  out.reserve(list.items.size());
  for (const Node& item : list.items) {
    // A short form that could not be read is like itself only.
    if (out.emplace_back(identity(item)).empty()) out.back() = item.text;
  }
  return out;
}

bool has_repetition(const std::vector<std::string>& texts) {
  constexpr size_t kFew = 8;  // are compared with each other, more are hashed
  if (texts.size() > kFew) return std::unordered_set<std::string_view>(texts.begin(), texts.end()).size() < texts.size();
  for (auto text = texts.begin(); text != texts.end(); ++text) {
    if (std::find(texts.begin(), text, *text) != text) return true;
  }
  return false;
}

void keep_one_of_each(Node& list, Identity identity, const Path& path, Report& report) {
  const std::vector<std::string> identities = identities_of(list, identity);
  if (!has_repetition(identities)) return;
  std::unordered_map<std::string_view, size_t> seen;
  std::vector<Node> kept;
  kept.reserve(list.items.size());
  for (size_t i = 0; i < list.items.size(); ++i) {
    Node& item = list.items[i];
    auto [first, fresh] = seen.try_emplace(identities[i], kept.size());
    if (fresh || item.is_broken()) kept.push_back(std::move(item));
    else replace(kept[first->second], item, path[static_cast<int>(first->second)], report);
  }
  list.items = std::move(kept);
}

// A list of texts that says the same thing twice after the merge is seldom what was meant.
void warn_of_repetitions(const Node& base, const Node& over, const Path& path, Report& report) {
  std::unordered_set<std::string_view> seen;
  for (const Node& item : base.items) {
    if (item.is_scalar()) seen.insert(item.text);
  }
  for (const Node& item : over.items) {
    if (!item.is_scalar() || !seen.contains(item.text) || item.place.file < 0) continue;
    report.warning(item.place, path,
                   "\"" + item.text + "\" is in the list twice: lists of several files are appended",
                   "leave it out here, or replace the list with !override");
  }
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
    if (whole_entries) replace(old->value, entry.value, path / old->key, report);
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

std::string first_written(const Node& base, Report& report) {
  if (base.place.file < 0 || base.place.line == 0) return {};
  return "; it was written first in " + report.mark(base.place).to_string();
}

bool drivers_differ(const Node& base, const Node& over) {
  const std::string& a = base.text_of("driver");
  const std::string& b = over.text_of("driver");
  return !a.empty() && !b.empty() && a != b;
}

}  // namespace

void merge(Node& base, Node over, const Shape& shape, const Path& path, Report& report) {
  if (over.is_null()) {
    if (shape.merge == Merge::replace || shape.null_overrides) replace(base, over, path, report);
    return;
  }
  if (base.is_null() || shape.merge == Merge::replace) return replace(base, over, path, report);
  if (shape.canonical != nullptr) {
    shape.canonical(base, path, report);
    shape.canonical(over, path, report);
  }
  bool base_scalar = base.is_scalar();
  bool mapping_or_number = (shape.accepts & kMapping) != 0 && (shape.accepts & (kInteger | kBoolean)) != 0;
  if (base_scalar != over.is_scalar() || (!base_scalar && base.kind != over.kind)) {
    if (mapping_or_number) return replace(base, over, path, report);  // ulimits: 10 and {soft, hard}
    report.error(over.place, path, std::string("cannot override ") + to_string(base.kind) + " by " +
                                       to_string(over.kind) + first_written(base, report),
                 "write both alike, or replace the first with !override");
    return;
  }
  if (base_scalar) return replace(base, over, path, report);
  if (base.is_list()) {
    if (shape.merge == Merge::pools) return merge_pools(base, over, shape, path, report);
    if (shape.merge == Merge::by_kind) warn_of_repetitions(base, over, path, report);
    append(base, over);
    if (shape.merge == Merge::unique) keep_one_of_each(base, shape.identity, path, report);
    return;
  }
  if (shape.merge == Merge::logging && drivers_differ(base, over)) return replace(base, over, path, report);
  merge_mapping(base, over, &shape, path, report, shape.merge == Merge::entries);
}

void remove_repetitions(Node& node, const Shape& shape, const Path& path, Report& report) {
  if (node.is_list()) {
    if (shape.merge == Merge::unique && node.items.size() > 1) keep_one_of_each(node, shape.identity, path, report);
    return;
  }
  for (Entry& entry : node.entries) {
    if (entry.value.items.empty() && entry.value.entries.empty()) continue;
    if (const Shape* child = child_shape(shape, entry.key)) {
      remove_repetitions(entry.value, *child, path / entry.key, report);
    }
  }
}

namespace {

void collect(Node& node, std::vector<std::string_view>& keys, std::vector<TaggedPath>& out) {
  for (size_t i = 0; i < node.entries.size();) {
    Entry& entry = node.entries[i];
    Node::Tag tag = entry.value.tag;
    bool tagged = tag == Node::Tag::reset || tag == Node::Tag::override_;
    if (!tagged && entry.value.entries.empty() && entry.value.items.empty()) {
      ++i;
      continue;
    }
    keys.push_back(entry.key);
    if (tagged) out.push_back({{keys.begin(), keys.end()}, tag == Node::Tag::reset, entry.value.place});
    // Tags inside of an overridden value mean nothing.
    if (!tagged) collect(entry.value, keys, out);
    keys.pop_back();
    if (tag == Node::Tag::reset) {
      node.entries.erase(node.entries.begin() + static_cast<std::ptrdiff_t>(i));
    } else {
      if (tagged) entry.value.tag = Node::Tag::none;
      ++i;
    }
  }
  for (Node& item : node.items) {
    if (item.is_scalar()) continue;
    std::vector<TaggedPath> inside;  // items of a list have no path in the base: only resets within take effect
    std::vector<std::string_view> none;
    collect(item, none, inside);
  }
}

}  // namespace

std::vector<TaggedPath> take_tags(Node& document) {
  std::vector<TaggedPath> out;
  std::vector<std::string_view> keys;
  collect(document, keys, out);
  return out;
}

void apply_tags(Node& base, const std::vector<TaggedPath>& tags, Report& report, const std::string& prefix) {
  for (const TaggedPath& tag : tags) {
    Node* parent = &base;
    std::string path = prefix;
    for (size_t i = 0; i + 1 < tag.keys.size() && parent != nullptr; ++i) parent = parent->find(tag.keys[i]);
    if (parent == nullptr || tag.keys.empty()) continue;
    if (const Node* gone = parent->find(tag.keys.back()); gone != nullptr && report.history.whole) {
      for (const std::string& key : tag.keys) path += (path.empty() ? "" : ".") + key;
      report.history.replacements.push_back(
          {tag.place, gone->place, path, told(*gone), tag.reset ? "taken away by !reset" : "replaced by !override"});
    }
    parent->erase(tag.keys.back());
  }
}

}  // namespace gantry::compose
