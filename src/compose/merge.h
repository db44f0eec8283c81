// Two trees of one format → one: the later file over the earlier one (compose-file.md section 4, "Merge"). Nodes keep
// the place of the file that supplied them. Pure; any thread.
#pragma once

#include "compose/report.h"
#include "compose/schema.h"
#include "compose/yaml_tree.h"

namespace gantry::compose {

// Short forms on either side become long ones as far as the merge needs it.
void merge(Node& base, Node over, const Shape& shape, const Path& path, Report& report);

// Keyed lists of one tree: a later entry with the same identity takes the place of the earlier one.
void remove_repetitions(Node& node, const Shape& shape, const Path& path, Report& report);

// ---- !reset and !override (compose-file.md section 2)

struct TaggedPath {
  std::vector<std::string> keys;
  bool reset = false;  // else override
  Place place;
};
// Removes the reset entries from `document` and says where they and the overridden ones were.
std::vector<TaggedPath> take_tags(Node& document);
// What the document says to forget is removed from what earlier files said. `prefix`: the path of `base`.
void apply_tags(Node& base, const std::vector<TaggedPath>& tags, Report& report, const std::string& prefix = {});

}  // namespace gantry::compose
