#include "compose/interpolate.h"

#include <gtest/gtest.h>

namespace gantry::compose {
namespace {

const Environment kVariables = {{"V", "value"}, {"EMPTY", ""}, {"DOLLAR", "${V}"}, {"_x9", "u"}};

std::string substituted(std::string_view text) {
  auto result = substitute(text, lookup_in(kVariables));
  return result.ok() ? result->text : "! " + result.error().message();
}

struct InterpolateRow {
  const char* text;
  const char* expected;
};

TEST(Interpolate, EveryFormOfTheGrammar) {
  const InterpolateRow rows[] = {
      {"plain", "plain"},
      {"$V", "value"},
      {"a${V}b", "avalueb"},
      {"$_x9-", "u-"},
      {"$UNSET|${UNSET}", "|"},
      {"$$V", "$V"},
      {"$$$V", "$value"},
      {"$1 $} $- 5$", "$1 $} $- 5$"},
      {"${DOLLAR}", "${V}"},
      {"${EMPTY:-w}", "w"},
      {"${EMPTY-w}", ""},
      {"${UNSET-w}", "w"},
      {"${V:-w}", "value"},
      {"${V:+w}", "w"},
      {"${EMPTY:+w}", ""},
      {"${EMPTY+w}", "w"},
      {"${UNSET+w}", ""},
      {"${V:?w}", "value"},
      {"${UNSET:-$V}", "value"},
      {"${UNSET:-${OTHER:-c}}", "c"},
      {"${UNSET:-{\"j\":1}}", "{\"j\":1}"},
      {"${UNSET:-a}b}", "ab}"},
      {"${UNSET:-$$x}", "$x"},
      {"${UNSET:-a:?b}", "a:?b"},
  };
  for (const InterpolateRow& row : rows) EXPECT_EQ(substituted(row.text), row.expected) << row.text;
}

TEST(Interpolate, RequiredVariablesNameThemselvesAndTheReason) {
  EXPECT_EQ(substituted("${UNSET?}"), "! required variable UNSET is missing a value");
  EXPECT_EQ(substituted("${UNSET:?set it to $V}"), "! required variable UNSET is missing a value: set it to value");
  EXPECT_EQ(substituted("${EMPTY?no}"), "");
  EXPECT_EQ(substituted("${EMPTY:?no}"), "! required variable EMPTY is missing a value: no");
}

TEST(Interpolate, MalformedTemplatesAreErrors) {
  for (const char* text : {"${", "${}", "${1}", "${V/x/y}", "${V:0:1}", "${V=x}", "${!V}", "${ V}", "${V:-a\nb}"}) {
    EXPECT_TRUE(substituted(text).starts_with("! invalid interpolation format: ")) << text << " gave " << substituted(text);
  }
}

TEST(Interpolate, UnsetVariablesAreToldOncePerUseAndNotInUnusedWords) {
  auto result = substitute("$A ${A} ${V:-$B} ${C:-x}", lookup_in(kVariables));
  ASSERT_TRUE(result.ok());
  EXPECT_EQ(result->unset, (std::vector<std::string>{"A", "A"}));
}

TEST(Interpolate, DeeplyNestedWordsEndInAnErrorNotInACrash) {
  std::string text;
  for (int i = 0; i < 100'000; ++i) text += "${U:-";
  text += std::string(100'000, '}');
  EXPECT_TRUE(substituted(text).starts_with("! invalid interpolation format"));
}

TEST(Interpolate, WhatGrowsBeyondBoundsIsRefusedOnce) {
  const Environment environment = {{"BIG", std::string(1 << 20, 'x')}};
  std::string twenty;
  for (int i = 0; i < 20; ++i) twenty += "$BIG";
  EXPECT_EQ(substitute(twenty, lookup_in(environment)).error().message(),
            "the value is larger than 16 MiB once its variables are replaced");
  std::string text = "list:\n";
  for (int i = 0; i < 1000; ++i) text += "  - $BIG\n";
  Report report;
  auto documents = parse_yaml(text, report.add_file("f.yaml", text), report);
  interpolate(documents->front(), environment, {}, {}, report);
  std::string told;
  for (const Diagnostic& diagnostic : report.take()) told += render(diagnostic, {}) + "\n";
  EXPECT_EQ(told, "f.yaml:66:5: list[64]: the file's values are larger than 64 MiB once their variables are replaced\n");
}

}  // namespace
}  // namespace gantry::compose
