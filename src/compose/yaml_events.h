// A YAML document as a flat list of what is written in it, in the order of the text: the step between characters and
// the tree of yaml_tree.h. Pure; any thread.
//
// The grammar is the one that compose files are read with everywhere: YAML 1.2 as libyaml and its descendants read it
// (block and flow collections, the five styles of scalars, anchors, tags, directives, several documents).
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

#include "compose/report.h"

namespace gantry::compose::yaml {

struct Event {
  enum class Kind : uint8_t { scalar, alias, sequence, mapping };

  Kind kind = Kind::scalar;
  bool plain = false;       // scalars: written without quotes, and not as a block
  bool anchored = false;    // something may refer to it
  int line = 0;             // from 1
  int column = 0;           // from 1, in characters
  std::string_view text;    // scalars: the value; aliases: the anchor's name
  std::string_view tag;     // "" none, "!" a string, "!reset", "tag:yaml.org,2002:int"
  uint32_t next = 0;        // one past this node, with all that is in it
  uint32_t children = 0;    // mappings: keys and values counted alike
  uint32_t anchor = 0;      // aliases: the event that they stand for
};

// Views point into the text that was read, or into `made`.
struct Document {
  Document() = default;
  Document(Document&&) = default;  // not to be copied: the views would point into the original
  Document& operator=(Document&&) = default;

  int line = 1;
  std::vector<Event> events;      // the root first; empty: nothing is written
  std::deque<std::string> made;   // texts that are not in the file as such: folded, unescaped
};

struct Limits {
  size_t depth = 1000;       // collections within each other
  size_t nodes = 500'000;    // of all documents
  size_t documents = 1000;
};

// What stopped the reading; `message` in the words of a YAML reader, `hint` in those of its user.
struct Failure {
  int line = 0;
  int column = 0;
  std::string message;
  std::string hint;
};

// False: `failure` says why. The text must be valid UTF-8 without control characters (see yaml_reader.cc).
bool read_documents(std::string_view text, const Limits& limits, std::vector<Document>& documents, Failure& failure);

}  // namespace gantry::compose::yaml
