// The canonical tree as text: what `config` prints (compose-file.md section 6), and the compact JSON that the config
// hash is made of. Pure; any thread.
#pragma once

#include <string>

#include "compose/schema.h"
#include "compose/yaml_tree.h"

namespace gantry::compose {

struct OutputStyle {
  bool double_dollars = true;   // `$` → `$$`, so that the output can be loaded again. YAML: in values alone, because variables
                                // are not replaced in keys; JSON: in keys, too, as other programs expect it
  bool canonical = true;        // known attributes in the format's order, zero values left out
};

std::string to_yaml(const Node& project, const OutputStyle& style);
std::string to_json(const Node& project, const OutputStyle& style);

// One service, network or volume, compact, without x-…: the order, the escapes and the empty objects are those that
// other implementations hash.
std::string to_hashed_json(const Node& node, const Shape& shape);

// Order of user-chosen keys in YAML: digit runs by value, letters by code point, other characters before letters.
bool natural_less(std::string_view a, std::string_view b);

}  // namespace gantry::compose
