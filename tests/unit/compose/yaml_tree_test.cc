#include "compose/yaml_tree.h"

#include <gtest/gtest.h>

#include "compose/output.h"

namespace gantry::compose {
namespace {

// The documents as free-form YAML, or what is wrong with them.
std::string reread(const std::string& text) {
  Report report;
  int file = report.add_file("f.yaml", text);
  std::string out;
  auto documents = parse_yaml(text, file, report);
  if (report.failed()) documents.reset();
  for (const Node& document : documents.value_or(std::vector<Node>())) {
    out += out.empty() ? "" : "---\n";
    out += to_yaml(document, {.double_dollars = false, .canonical = false});
  }
  for (const Diagnostic& diagnostic : report.take()) out += render(diagnostic, {}) + "\n";
  return out;
}

TEST(YamlTree, AnchorsAreCopiedAndMergeKeysGiveWayToWhatIsWritten) {
  EXPECT_EQ(reread("x: &x {a: 1, b: 2}\ny: {b: 3, <<: *x, c: 4}\nz: {<<: [{a: 5}, *x]}\n"),
            "x:\n  a: 1\n  b: 2\n\"y\":\n  a: 1\n  b: 3\n  c: 4\nz:\n  a: 5\n  b: 2\n");
}

TEST(YamlTree, AQuotedMergeKeyIsAnOrdinaryKey) { EXPECT_EQ(reread("\"<<\": {a: 1}\n"), "\"<<\":\n  a: 1\n"); }

TEST(YamlTree, StandardTagsDecideTheType) {
  EXPECT_EQ(reread("a: !!str 123\nb: !!binary aGk=\nc: !!bool \"true\"\nd: !other x\n"),
            "a: \"123\"\nb: hi\nc: true\nd: x\n");
  EXPECT_EQ(reread("a: !!int foo\n"), "f.yaml:1:4: a: cannot construct \"foo\" as a !!int\n");
}

TEST(YamlTree, WhatIsWrongIsToldWithItsPlace) {
  const std::pair<const char*, const char*> rows[] = {
      {"a: 1\nb:\n  c: 1\n  c: 2\n", "f.yaml:4:3: b.c: mapping key \"c\" already defined at line 3; remove one of them\n"},
      {"a: *nope\n", "f.yaml:1:4: yaml: line 1: unknown anchor 'nope' referenced; an anchor is set with &nope before its use\n"},
      {"a: {<<: foo}\n", "f.yaml:1:9: a: map merge requires map or sequence of maps as the value; write <<: *anchor, the anchor being on a mapping\n"},
      {"a: &x\n  b: *x\n", "f.yaml:2:6: a.b: cycle detected: the alias is inside of what its anchor names\n"},
      {"a:\n  1: x\n", "f.yaml:2:3: a: non-string key: 1; put it in quotes\n"},
      {"a:\n\tb: 1\n",
       "f.yaml:2:1: yaml: line 2: found a tab character that cannot start any token: indent with spaces\n"},
      {"a: \"open\nb: 1\n", "f.yaml:1:4: yaml: line 1: found unexpected end of stream: the quote is never closed\n"},
      {"a: b\x01\n", "f.yaml:1:5: yaml: control characters are not allowed; in double quotes write \\x and its number\n"},
      {"a: \xff\n", "f.yaml:1:4: yaml: invalid leading UTF-8 octet; save the file as UTF-8\n"},
      {"é: &a\n  ö: ü\nä: {ö: *b}\n", "f.yaml:3:8: yaml: line 3: unknown anchor 'b' referenced; did you mean \"*a\"?\n"},
  };
  for (auto [text, expected] : rows) EXPECT_EQ(reread(text), expected) << text;
}

TEST(YamlTree, ColumnsCountCharacters) {
  Report report;
  std::string text = "ö: {ü: 1, z: 2}\n";
  auto documents = parse_yaml(text, report.add_file("f", text), report);
  ASSERT_TRUE(documents && documents->size() == 1u);
  EXPECT_EQ(documents->at(0).find("ö")->find_entry("z")->place.column, 11);
}

TEST(YamlTree, HostileInputIsBounded) {
  std::string bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n";
  for (int i = 1; i < 10; ++i) {
    std::string before = "*a" + std::to_string(i - 1);
    bomb += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [" + before;
    for (int k = 0; k < 9; ++k) bomb += ", " + before;
    bomb += "]\n";
  }
  EXPECT_NE(reread(bomb).find("maximum node visit limit (100000)"), std::string::npos);
  EXPECT_NE(reread("a: " + std::string(50'000, '[')).find("f.yaml"), std::string::npos);
}

TEST(YamlTree, AFileThatEndsWithinABracketIsRefused) {
  for (const char* text : {"[", "{", "[a", "a: [", "{a: [b", "- [", "[[", "? [", "a: {b"}) {
    EXPECT_NE(reread(text).find("is never closed"), std::string::npos) << text << "\n" << reread(text);
  }
}

// A megabyte of what a parser may choke on: each is refused, or read, without growing beyond measure.
TEST(YamlTree, LargeHostileInputIsReadOrRefusedInBoundedTime) {
  const size_t kSize = 1'000'000;
  auto repeated = [&](const std::string& piece) {
    std::string text;
    text.reserve(kSize);
    while (text.size() + piece.size() <= kSize) text += piece;
    return text;
  };
  const std::string texts[] = {
      repeated("["), repeated("[]\n"), repeated("- "), repeated("a: "), repeated("? "), repeated("&a "), repeated("!a "),
      "a: \"" + repeated("\\"), "a: '" + repeated("''"), "a: |\n" + repeated(" x\n"), "a: " + repeated("x "),
      "a: [" + repeated("b, "), "a: {" + repeated("b, "), repeated("#\n"), repeated("---\n"), repeated("a\n"),
      repeated("{a: "), repeated("[a, "), "a: &x [1]\nb: [" + repeated("*x,") + "]", repeated("\n"), repeated("  "),
      "x: &x {a: 1}\ny:\n  <<: [" + repeated("*x,") + "]",
  };
  for (const std::string& text : texts) {
    std::string read_or_refused = reread(text).substr(0, 60);
    EXPECT_FALSE(read_or_refused.size() > 60) << text.substr(0, 20);
  }
}

TEST(YamlTree, DocumentsAreSeparate) {
  EXPECT_EQ(reread("a: 1\n---\nb: 2\n"), "a: 1\n---\nb: 2\n");
  EXPECT_EQ(reread("# nothing\n"), "");
  EXPECT_EQ(reread(""), "");
}

TEST(YamlTree, TextsThatLookLikeOtherTypesAreQuotedInTheOutput) {
  EXPECT_EQ(reread("a: 'yes'\nb: '1'\nc: 'x: y'\nd: '60:60'\ne: \"t\\tb\"\nf: '22:22'\ng: '- x'\nh: ''\ni: |\n  x\n  y\n"),
            "a: \"yes\"\nb: \"1\"\nc: 'x: y'\nd: 60:60\ne: \"t\\tb\"\nf: \"22:22\"\ng: '- x'\nh: \"\"\ni: |\n  x\n  y\n");
}

TEST(YamlTree, LongKeysAreMarkedInTheOutput) {
  const std::string key(129, 'k');
  const std::string printed = "? " + key + "\n:\n  a: 1\nz:\n  - ? " + key + "\n    : b\n";
  EXPECT_EQ(reread("? " + key + "\n: {a: 1}\nz: [{? " + key + " : b}]\n"), printed);
  EXPECT_EQ(reread(printed), printed);
  std::string escapes;  // longer than a key before a colon may be
  for (int i = 0; i < 300; ++i) escapes += "\\x7F";
  const std::string escaped = "? \"" + escapes + "\"\n: a\n";
  EXPECT_EQ(reread(escaped), escaped);
}

TEST(YamlTree, CharactersThatYamlDoesNotAllowAreEscapedInTheOutput) {
  const std::string text = "a: \"q\\n\\x96\"\nb: \"\\N\\L\\P\\uFEFF\"\nc: \"\xC2\xA0\xC3\xA9\"\n";
  const std::string printed = "a: \"q\\n\\x96\"\nb: \"\\N\\L\\P\\uFEFF\"\nc: \xC2\xA0\xC3\xA9\n";
  EXPECT_EQ(reread(text), printed);
  EXPECT_EQ(reread(printed), printed);
}

}  // namespace
}  // namespace gantry::compose
