#include "compose/dotenv.h"

#include <gtest/gtest.h>

namespace gantry::compose {
namespace {

const Environment kOuterVariables = {{"OUTER", "out"}};

std::string show(const Result<Assignments>& result) {
  if (!result.ok()) return "! " + result.error().message();
  std::string out;
  for (const auto& [key, value, line] : *result) out += key + "=[" + value + "] ";
  if (!out.empty()) out.pop_back();
  return out;
}

std::string parsed(std::string_view text) { return show(parse_dotenv(text, lookup_in(kOuterVariables))); }

struct DotenvRow {
  const char* text;
  const char* expected;
};

TEST(Dotenv, EveryFormOfTheGrammar) {
  const DotenvRow rows[] = {
      {"", ""},
      {"# only a comment\n\n  # another", ""},
      {"A=1", "A=[1]"},
      {"\xEF\xBB\xBF" "A=1\r\nB=2\r\n", "A=[1] B=[2]"},
      {"  A = 1 \nB: 2", "A=[1] B=[2]"},
      {"export A=1", "A=[1]"},
      {"A.b-c[0]=x\n9=y", "A.b-c[0]=[x] 9=[y]"},
      {"A=a#b # comment", "A=[a#b]"},
      {"A=#text", "A=[#text]"},
      {"A=", "A=[]"},
      {"A={\"a\": \"b\"}", "A=[{\"a\": \"b\"}]"},
      {"A=C:\\dir\\new", "A=[C:\\dir\\new]"},
      {"A='$OUTER #'", "A=[$OUTER #]"},
      {"A='it\\'s'", "A=[it's]"},
      {"A='two\nlines'", "A=[two\nlines]"},
      {"A=\"x\\ty\\\"z\\n\"", "A=[x\ty\"z\n]"},
      {"A=\"$OUTER \\$OUTER $$OUTER\"", "A=[out $OUTER $OUTER]"},
      {"A=\"\\x41\\u\\c\"", "A=[\\x41\\u\\c]"},
      {"A=\"\\0101\"", "A=[A]"},
      {"A=\"one\ntwo\"", "A=[one\ntwo]"},
      {"A=\"x\" # comment\nB=2", "A=[x] B=[2]"},
      {"A=\"x\"B=1", "A=[x] B=[1]"},
      {"A=$OUTER\nB=${A}2\nC=${NO:-d}", "A=[out] B=[out2] C=[d]"},
      {"A=1\nA=2", "A=[1] A=[2]"},
      {"OUTER\nNOWHERE\n", "OUTER=[out]"},
      {"OUTER", "OUTER=[out]"},
  };
  for (const DotenvRow& row : rows) EXPECT_EQ(parsed(row.text), row.expected) << row.text;
}

TEST(Dotenv, ErrorsNameTheLine) {
  const DotenvRow rows[] = {
      {"A=1\nB%=2", "! line 2: unexpected character \"%\" in variable name \"B%=2\""},
      {"A B=1", "! line 1: key cannot contain a space"},
      {"=x", "! line 1: unexpected character \"=\" in variable name \"=x\""},
      {"\nA=\"x", "! line 2: unterminated quoted value \"x"},
      {"A=${ZZ:?boo}", "! line 1: required variable ZZ is missing a value: boo"},
  };
  for (const DotenvRow& row : rows) EXPECT_EQ(parsed(row.text), row.expected) << row.text;
}

TEST(Dotenv, VariablesMadeOfOthersTwiceAreRefusedBeforeTheyFillTheMemory) {
  std::string doubling = "A0=" + std::string(1024, 'x') + "\n";
  for (int i = 1; i < 60; ++i) {
    const std::string before = "$A" + std::to_string(i - 1);
    doubling += "A" + std::to_string(i) + "=" + before + before + "\n";
  }
  EXPECT_EQ(parsed(doubling), "! line 16: the value is larger than 16 MiB once its variables are replaced");
  std::string many = "A=" + std::string(1 << 20, 'x') + "\n";
  for (int i = 0; i < 1000; ++i) many += "B=$A\n";
  EXPECT_EQ(parsed(many), "! line 66: the values are larger than 64 MiB once their variables are replaced");
}

TEST(Dotenv, RawFormTakesEverythingAfterTheEqualsSign) {
  Lookup lookup = lookup_in(kOuterVariables);
  EXPECT_EQ(show(parse_raw_env("  A=\"q\" $X # no \n# c\n\nOUTER\nNOWHERE\nB==", lookup)),
            "A=[\"q\" $X # no ] OUTER=[out] B=[=]");
  EXPECT_EQ(show(parse_raw_env("=x", lookup)), "! no variable name on line '=x'");
  EXPECT_EQ(show(parse_raw_env("A B=x", lookup)), "! variable 'A B' contains whitespaces");
}

}  // namespace
}  // namespace gantry::compose
