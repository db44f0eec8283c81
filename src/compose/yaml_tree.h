// A YAML document as our own tree: every scalar resolved to its type, every node with its place in the file. Pure; any
// thread.
//
// What a YAML reader leaves to its user happens here (compose-file.md section 2): types of plain scalars, duplicate
// keys, `<<` merge keys, aliases (each a copy, so a node is never shared), and the limits against hostile input.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "compose/report.h"

namespace gantry::compose {

inline constexpr size_t kLargestFile = 64u << 20;  // that is read as YAML

struct Entry;

struct Node {
  enum class Kind : uint8_t { null, boolean, integer, number, string, sequence, mapping };
  // reset, override_: as written, until merge.h takes them. broken: something wrong was here and is reported; the node is
  // null, so that whoever comes later has nothing more to say about it. implied: nobody wrote it.
  enum class Tag : uint8_t { none, reset, override_, broken, implied };

  Kind kind = Kind::null;
  Tag tag = Tag::none;
  Place place;
  // Scalars: booleans "true"/"false"; integers in decimal; numbers as Go prints a float64; strings as they are.
  std::string text;
  std::vector<Node> items;     // sequence
  std::vector<Entry> entries;  // mapping, in the order of the file

  static Node null(Place place = {});
  static Node string(std::string text, Place place = {});
  static Node integer(int64_t value, Place place = {});
  static Node boolean(bool value, Place place = {});
  static Node sequence(Place place = {});
  static Node mapping(Place place = {});

  bool is_null() const { return kind == Kind::null; }
  bool is_string() const { return kind == Kind::string; }
  bool is_list() const { return kind == Kind::sequence; }
  bool is_map() const { return kind == Kind::mapping; }
  bool is_scalar() const { return kind != Kind::sequence && kind != Kind::mapping && kind != Kind::null; }
  bool is_true() const { return kind == Kind::boolean && text == "true"; }
  bool is_broken() const { return tag == Tag::broken; }
  void mark_broken();

  // Mappings only; nullptr: no such key.
  Node* find(std::string_view key);
  const Node* find(std::string_view key) const;
  Entry* find_entry(std::string_view key);
  bool has(std::string_view key) const { return find(key) != nullptr; }
  // Replaces the value of `key`, or appends it.
  Node& set(std::string_view key, Node value);
  bool erase(std::string_view key);
  // The text of a scalar child; "" when there is none.
  const std::string& text_of(std::string_view key) const;
};

struct Entry {
  std::string key;
  Place place;  // of the key
  Node value;
};

const char* to_string(Node::Kind kind);  // "a mapping", "a list", "a string", …

// All documents of one file, which `report` knows as number `file`. Errors go to the report; nothing after one of the
// syntax or when a limit was hit, the documents without what is wrong after others (a key that is there twice).
std::optional<std::vector<Node>> parse_yaml(const std::string& text, int file, Report& report);

// True if a plain scalar of that text would not be read back as a string: for whoever prints YAML.
bool resolves_to_other_than_string(std::string_view plain);

}  // namespace gantry::compose
