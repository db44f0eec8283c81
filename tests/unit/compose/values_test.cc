#include "compose/values.h"

#include <gtest/gtest.h>

#include "compose/output.h"
#include "compose/scalar.h"

namespace gantry::compose {
namespace {

TEST(Values, Bytes) {
  struct Row {
    const char* text;
    int64_t expected;
  };
  for (Row row : {Row{"0", 0}, Row{"-1", -1}, Row{"100", 100}, Row{"1k", 1024}, Row{"1.5g", 1610612736},
                  Row{"2 MB", 2 << 20}, Row{"3KiB", 3072}, Row{"7b", 7}, Row{"0.5k", 512}, Row{"1t", 1ll << 40}}) {
    auto value = parse_bytes(row.text);
    ASSERT_TRUE(value.ok()) << row.text;
    EXPECT_EQ(*value, row.expected) << row.text;
  }
  EXPECT_EQ(parse_bytes("1q").error().message(), "invalid suffix: 'q' in size \"1q\"; known are b, k, m, g, t, p");
  EXPECT_EQ(parse_bytes("abc").error().message(), "invalid size: \"abc\"; write for example 512m or 1.5g");
  for (const char* text : {"", "1,5", "1kk", "99999999p", "k"}) EXPECT_FALSE(parse_bytes(text).ok()) << text;
}

TEST(Values, DurationsReadAndPrintAsGoDoes) {
  const std::pair<const char*, const char*> rows[] = {
      {"0", "0s"},      {"90s", "1m30s"},   {"3600s", "1h0m0s"}, {"1d", "24h0m0s"},        {"1h5m30s20ms", "1h5m30.02s"},
      {"1us", "1µs"},   {"1500us", "1.5ms"}, {"10ns", "10ns"},    {"-90s", "-1m30s"},       {"1.5s", "1.5s"},
      {"0.1ms", "100µs"}, {"1w", "168h0m0s"}, {"0s", "0s"},        {"1m0.000000001s", "1m0.000000001s"},
  };
  for (auto [text, expected] : rows) {
    auto value = parse_duration(text);
    ASSERT_TRUE(value.ok()) << text;
    EXPECT_EQ(format_duration(*value), expected) << text;
  }
  EXPECT_EQ(parse_duration("10").error().message(), "missing unit in duration \"10\"; for seconds write \"10s\"");
  EXPECT_EQ(parse_duration("1M").error().message(),
            "unknown unit \"M\" in duration \"1M\"; known are ns, us, ms, s, m, h, d, w");
  for (const char* text : {"", "s", "abc", "1 s", "999999999w"}) EXPECT_FALSE(parse_duration(text).ok()) << text;
}

std::string words(std::string_view text) {
  auto parsed = split_command(text);
  if (!parsed.ok()) return "!";
  std::string out;
  for (const std::string& word : *parsed) out += "[" + word + "]";
  return out;
}

TEST(Values, CommandLinesSplitLikeAShellWithoutExpansion) {
  const std::pair<const char*, const char*> rows[] = {
      {"", ""},
      {"a  b\tc\nd", "[a][b][c][d]"},
      {"a 'b  c' \"d e\"", "[a][b  c][d e]"},
      {"a\\ b \"x\\ty\"", "[a b][xty]"},
      {"a '' \"\"", "[a][][]"},
      {"echo $VAR ${X} `a b` $(c d)", "[echo][$VAR][${X}][`a b`][$(c d)]"},
      {"a; b", "[a]"},
      {"a && b", "[a]"},
      {"a 2>x", "[a]"},
      {"pre'mid'post", "[premidpost]"},
      {"'open", "!"},
      {"\"open", "!"},
      {"a (b)", "!"},
      {"a\\", "!"},
  };
  for (auto [text, expected] : rows) EXPECT_EQ(words(text), expected) << text;
}

TEST(Values, PathsAreCleaned) {
  const std::pair<const char*, const char*> rows[] = {
      {"/a/../b/./c//d/", "/b/c/d"}, {"/../..", "/"}, {"a/..", "."}, {"../a", "../a"}, {"", "."}, {"/", "/"}};
  for (auto [text, expected] : rows) EXPECT_EQ(clean_path(text), expected) << text;
}

TEST(Scalars, PlainOnesResolveAsTheFormatSays) {
  using Kind = Node::Kind;
  struct Row {
    const char* text;
    Kind kind;
    const char* value;
  };
  for (const Row& row : {
           Row{"", Kind::null, ""},           Row{"~", Kind::null, ""},          Row{"NULL", Kind::null, ""},
           Row{"true", Kind::boolean, "true"}, Row{"FALSE", Kind::boolean, "false"}, Row{"yes", Kind::string, "yes"},
           Row{"12", Kind::integer, "12"},     Row{"+12", Kind::integer, "12"},   Row{"-7", Kind::integer, "-7"},
           Row{"1_000", Kind::integer, "1000"}, Row{"0777", Kind::integer, "511"}, Row{"0o17", Kind::integer, "15"},
           Row{"0x1F", Kind::integer, "31"},   Row{"0b11", Kind::integer, "3"},   Row{"089", Kind::number, "89"},
           Row{"0o8", Kind::string, "0o8"},    Row{"3.10", Kind::number, "3.1"},  Row{"1.", Kind::number, "1"},
           Row{"1e3", Kind::number, "1000"},   Row{"1000000.0", Kind::number, "1e+06"},
           Row{"1234567.0", Kind::number, "1.234567e+06"},                       Row{"-0", Kind::number, "-0"},
           Row{"12345678901234567890", Kind::integer, "12345678901234567890"},   Row{".inf", Kind::number, "+Inf"},
           Row{"22:22", Kind::string, "22:22"}, Row{"190:20:30", Kind::string, "190:20:30"},
           Row{"2001-12-14", Kind::string, "2001-12-14"},                        Row{"-", Kind::string, "-"},
           Row{"1.2.3", Kind::string, "1.2.3"}, Row{"0x", Kind::string, "0x"},   Row{".", Kind::string, "."},
       }) {
    Scalar scalar = resolve_plain(row.text);
    EXPECT_EQ(scalar.kind, row.kind) << row.text;
    EXPECT_EQ(scalar.text, row.value) << row.text;
  }
}

TEST(Output, NaturalOrderOfKeys) {
  EXPECT_TRUE(natural_less("a2", "a10"));
  EXPECT_TRUE(natural_less("1", "2"));
  EXPECT_TRUE(natural_less("2", "10"));
  EXPECT_TRUE(natural_less("A", "a"));
  EXPECT_TRUE(natural_less("a-b", "ab"));
  EXPECT_FALSE(natural_less("a", "a"));
  EXPECT_TRUE(natural_less("a", "aa"));
}

}  // namespace
}  // namespace gantry::compose
