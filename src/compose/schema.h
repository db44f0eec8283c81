// The compose format as a table: which attributes there are, in the order in which `config` prints them, what may be
// written for each, how short forms become long ones, and how two files merge. One description serves the merge, the
// structure check, the canonical form and the output; a new key is a new line in schema.cc.
//
// Source of the contents: compose-file.md section 4 (attributes), 6 (order).
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "compose/report.h"
#include "compose/yaml_tree.h"

namespace gantry::compose {

// What may be written: bits.
enum Accepts : unsigned {
  kNull = 1,
  kBoolean = 2,
  kInteger = 4,
  kNumber = 8,  // fractions; integers need kInteger, too
  kString = 16,
  kList = 32,
  kMapping = 64,
};

// What a scalar is made into, and checked against, by conform().
enum class Format : uint8_t {
  as_is,
  text,          // any scalar → its text
  boolean,       // true/false in any spelling, yes/no with a warning
  integer,       // decimal text → integer; fractions cut
  number,        // decimal text → number
  float32,       // as number, printed with the digits of a 32-bit float
  bytes,         // "1.5g" → text of a decimal number of bytes
  duration,      // "90s" → "1m30s"
  octal_mode,    // 0440 or "0440" → "0440"
  mode_number,   // "0440" → 288; an integer stays
};

enum class Merge : uint8_t {
  by_kind,    // mappings recursively, lists appended, scalars replaced; null changes nothing
  replace,    // the whole value, even by null
  unique,     // appended, then one an identity; a later entry takes the earlier one's position
  entries,    // mapping: each entry replaced whole
  logging,    // replaced whole when the drivers differ
  pools,      // ipam.config: merged by subnet
};

struct Shape;

// One attribute of a mapping.
struct Field {
  std::string_view name;
  const Shape* shape;
  bool required = false;
};

// Turns short forms into the long one, in place. Must leave alone what is not of an accepted kind (the check reports
// it) and what is canonical already.
using Canonical = void (*)(Node&, const Path&, Report&);
// What makes an item of a list the same thing as another one.
using Identity = std::string (*)(const Node&);

// Where find_field looks first in a mapping of many attributes.
struct FieldIndex {
  std::array<uint8_t, 256> positions{};  // of the attribute with that hash, from 1; 0: none

  static constexpr size_t hash(std::string_view name) {
    auto byte = [&](size_t at) { return static_cast<size_t>(static_cast<unsigned char>(name[at])); };
    return (byte(0) * 7 + byte(name.size() / 2) * 31 + byte(name.size() - 1) * 3 + name.size() * 57) % 256;
  }
  constexpr explicit FieldIndex(std::span<const Field> fields) {
    for (size_t i = fields.size(); i > 0; --i) positions[hash(fields[i - 1].name)] = static_cast<uint8_t>(i);
  }
};

struct Shape {
  unsigned accepts = 0;
  Format format = Format::as_is;
  Merge merge = Merge::by_kind;
  Canonical canonical = nullptr;
  Identity identity = nullptr;              // Merge::unique
  std::span<const Field> fields = {};       // mapping of known attributes
  const FieldIndex* index = nullptr;        // of `fields`; none: they are few
  const Shape* values = nullptr;            // mapping of user-named entries
  const Shape* items = nullptr;             // list
  bool extensions = false;                  // x-… allowed
  bool unique_items = false;                // repetitions are errors
  bool null_is_empty = false;               // null becomes ""
  bool null_overrides = false;              // values: null replaces (environment)
  bool printed_when_zero = false;           // scalars: false, 0 and "" are kept
  std::span<const char* const> one_of = {};  // strings
  bool (*matches)(std::string_view) = nullptr;
  const char* pattern = nullptr;            // how `matches` is told to people
  const char* regex = nullptr;              // and to machines: for the JSON schema (json_schema.h)
  int64_t minimum = INT64_MIN;
  int64_t maximum = INT64_MAX;
};

const Shape& project_shape();
const Shape& service_shape();
const Shape& network_shape();
const Shape& volume_shape();
const Shape& file_source_shape();

// nullptr: no such attribute.
const Field* find_field(const Shape& shape, std::string_view name);
// The shape of a mapping's entry, known or user-named; nullptr: anything goes (x-…) or unknown.
const Shape* child_shape(const Shape& shape, std::string_view name);

// Checks `node` against `shape` and brings it into canonical form: short → long syntax, scalars converted. Errors and
// warnings go to the report, at the node that is wrong; unknown attributes with the nearest known one.
void conform(Node& node, const Shape& shape, const Path& path, Report& report);

}  // namespace gantry::compose
