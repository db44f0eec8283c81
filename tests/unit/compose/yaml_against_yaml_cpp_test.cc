// Our YAML reader against yaml-cpp: on everything that both read the same way, the trees are the same. Where they
// differ by design (types of plain scalars, duplicate keys, merge keys), the texts here keep clear of it.
#include <gtest/gtest.h>
#include <yaml-cpp/yaml.h>

#include <filesystem>
#include <fstream>
#include <random>
#include <sstream>

#include "compose/yaml_events.h"

namespace gantry::compose {
namespace {

using yaml::Event;

// Both as one line: scalars in <>, [a b], {k: v}.
std::string told(const yaml::Document& document, uint32_t at) {
  const Event& event = document.events[at];
  switch (event.kind) {
    case Event::Kind::scalar: return "<" + std::string(event.text) + ">";
    case Event::Kind::alias: return told(document, event.anchor);
    case Event::Kind::sequence:
    case Event::Kind::mapping: break;
  }
  bool map = event.kind == Event::Kind::mapping;
  std::string out(1, map ? '{' : '[');
  for (uint32_t child = at + 1; child < event.next; child = document.events[child].next) {
    out += told(document, child) + " ";
  }
  return out + (map ? '}' : ']');
}

std::string told(const YAML::Node& node) {
  if (node.IsSequence()) {
    std::string out = "[";
    for (const auto& item : node) out += told(item) + " ";
    return out + "]";
  }
  if (node.IsMap()) {
    std::string out = "{";
    for (const auto& entry : node) out += told(entry.first) + " " + told(entry.second) + " ";
    return out + "}";
  }
  return node.IsScalar() ? "<" + node.Scalar() + ">" : "<null>";
}

std::string null_as_such(std::string text) {
  for (const char* spelling : {"<>", "<~>", "<Null>", "<NULL>"}) {
    for (size_t at = 0; (at = text.find(spelling, at)) != std::string::npos;) text.replace(at, std::string_view(spelling).size(), "<null>");
  }
  return text;
}

std::string ours(const std::string& text) {
  std::vector<yaml::Document> documents;
  yaml::Failure failure;
  if (!yaml::read_documents(text, {}, documents, failure)) return "refused";
  std::string out;
  for (const yaml::Document& document : documents) out += (document.events.empty() ? "<null>" : told(document, 0)) + "\n";
  return null_as_such(out);
}

// The first document only: with a bracket too many yaml-cpp's LoadAll goes on for ever.
std::string their_first(const std::string& text) {
  try {
    return null_as_such(told(YAML::Load(text)) + "\n");
  } catch (const YAML::Exception&) {
    return "refused";
  }
}

std::string theirs(const std::string& text) {
  try {
    std::string out;
    for (const YAML::Node& node : YAML::LoadAll(text)) out += told(node) + "\n";
    return null_as_such(out);
  } catch (const YAML::Exception&) {
    return "refused";
  }
}

TEST(YamlAgainstYamlCpp, EveryStyleGivesTheSame) {
  const char* texts[] = {
      "a: 1\nb: two words\nc:\n  d: e\n",
      "- a\n- - b\n  - c\n-\n  - d\n- e: f\n  g: h\n",
      "a:\n- x\n- y\nb: z\n",
      "a: plain\n  goes on\n\n  after a blank line\nb: c\n",
      "a: 'it''s'\nb: 'two\n  lines\n\n  and more'\n",
      "a: \"tab\\t nl\\n u\\u00e9 x\\x41 \\\\ \\\" \\/\"\nb: \"folded\n  text \\\n  joined\"\n",
      "a: |\n  one\n   two\n\n  three\nb: |-\n  x\n\nc: |+\n  y\n\n\nd: end\n",
      "a: >\n  one\n  two\n\n  three\n   more\n  back\nb: >-\n  x\n  y\n",
      "a: |2\n    two in\n  none\nb: x\n",
      "{a: 1, b: [x, y, {c: d}], \"e\": f, g: , h: \"i\"}\n",
      "[a, b, [c], {d: e},]\n",
      "[a: b, c]\n",
      "a: {b: c,\n  d: [e,\n  f]}\n",
      "a: &x {k: v}\nb: *x\nc: &y text\nd: [*y, *x]\n",
      "? a\n: b\n? c\n",
      "---\na: 1\n---\nb: 2\n...\n---\nc\n",
      "# comment\na: 1 # more\n# between\nb: '#no'\nc: a#b\n",
      "a: http://x:80/y\nb: c:d\nc: -1\nd: -x\ne: ?x\nf: :x\n",
      "\xEF\xBB\xBF" "a: \xC3\xA9\n\xC3\xB6: \xE2\x82\xAC\n",
      "a:\r\n  b: c\r\n  d:\r\n    - e\r\n",
      "a: !!str 1\nb: !local [x]\nc: !<tag:x> y\n",
      "a:\n  - b: c\n    d:\n      - e\n  -\n    f: g\n",
      "a: [\n  b,\n  c\n]\nd: {\n  e: f\n}\n",
  };
  for (const char* text : texts) EXPECT_EQ(ours(text), theirs(text)) << text;
}

// Compose-like texts with a character changed, added or removed here and there. Where both read something, it is the
// same; where one of them refuses, nothing can be compared.
TEST(YamlAgainstYamlCpp, SlipsOfThePenGiveTheSameOrAnError) {
  const std::string base =
      "services:\n  web:\n    image: \"nginx:1.25\"\n    command: [sh, -c, 'echo hi']\n    environment:\n      - A=1\n"
      "      - B=two words\n    labels: {x: y, \"z\": w}\n    configs:\n      - source: c\n        target: /c\n"
      "  db:\n    image: pg\n    entrypoint: |\n      run\n      it\n";
  std::mt19937 random(1);
  const std::string characters = "abc:-[]{},'\"#&*!|>%@ \n?1";
  size_t compared = 0;
  for (int i = 0; i < 4000; ++i) {
    std::string text = base;
    for (int changes = 1 + static_cast<int>(random() % 2); changes > 0; --changes) {
      size_t at = random() % text.size();
      char c = characters[random() % characters.size()];
      switch (random() % 3) {
        case 0: text[at] = c; break;
        case 1: text.insert(at, 1, c); break;
        default: text.erase(at, 1);
      }
    }
    // Anchors and tags without a name, and what only one of them knows, are not to be compared.
    if (text.find_first_of("&*!%@>?") != std::string::npos) continue;
    std::string mine = ours(text), other = their_first(text);
    if (mine == "refused" || other == "refused") continue;
    ++compared;
    if (mine != other) ADD_FAILURE() << text << "\nours   " << mine << "theirs " << other;
    if (HasFailure()) break;
  }
  EXPECT_GT(compared, 500u);
}

TEST(YamlEvents, KnowTheirPlacesAndEnds) {
  std::vector<yaml::Document> documents;
  yaml::Failure failure;
  ASSERT_TRUE(yaml::read_documents("a:\n  - \xC3\xB6: [1]\n    b: 2\n", {}, documents, failure));
  const auto& events = documents.at(0).events;
  ASSERT_EQ(events.size(), 9u);
  EXPECT_EQ(events[0].next, 9u);
  EXPECT_EQ(events[0].children, 2u);
  EXPECT_EQ(events[5].line, 2);
  EXPECT_EQ(events[5].column, 8);  // the [, in characters
}

}  // namespace
}  // namespace gantry::compose
