#include "compose/yaml_tree.h"

#include <unordered_set>

#include "base/check.h"

namespace gantry::compose {

Node Node::null(Place place) { return {.kind = Kind::null, .place = place}; }
Node Node::string(std::string text, Place place) {
  return {.kind = Kind::string, .place = place, .text = std::move(text)};
}
Node Node::integer(int64_t value, Place place) {
  return {.kind = Kind::integer, .place = place, .text = std::to_string(value)};
}
Node Node::boolean(bool value, Place place) {
  return {.kind = Kind::boolean, .place = place, .text = value ? "true" : "false"};
}
Node Node::sequence(Place place) { return {.kind = Kind::sequence, .place = place}; }
Node Node::mapping(Place place) { return {.kind = Kind::mapping, .place = place}; }

void Node::mark_broken() {
  *this = Node::null(place);
  tag = Tag::broken;
}

Entry* Node::find_entry(std::string_view key) {
  for (Entry& entry : entries) {
    // The last letter first: keys of one mapping often begin alike.
    if (entry.key.size() != key.size() || (!key.empty() && entry.key.back() != key.back())) continue;
    if (entry.key == key) return &entry;
  }
  return nullptr;
}

Node* Node::find(std::string_view key) {
  Entry* entry = find_entry(key);
  return entry == nullptr ? nullptr : &entry->value;
}

const Node* Node::find(std::string_view key) const { return const_cast<Node*>(this)->find(key); }

Node& Node::set(std::string_view key, Node value) {
  if (Node* found = find(key)) return *found = std::move(value);
  Place at = value.place;
  entries.push_back({std::string(key), at, std::move(value)});
  return entries.back().value;
}

bool Node::erase(std::string_view key) {
  return std::erase_if(entries, [key](const Entry& entry) { return entry.key == key; }) > 0;
}

const std::string& Node::text_of(std::string_view key) const {
  static const std::string kNone;
  const Node* child = find(key);
  return child == nullptr ? kNone : child->text;
}

const char* to_string(Node::Kind kind) {
  switch (kind) {
    case Node::Kind::null: return "null";
    case Node::Kind::boolean: return "a boolean";
    case Node::Kind::integer: return "an integer";
    case Node::Kind::number: return "a number";
    case Node::Kind::string: return "a string";
    case Node::Kind::sequence: return "a list";
    case Node::Kind::mapping: return "a mapping";
  }
  return "";
}

}  // namespace gantry::compose
