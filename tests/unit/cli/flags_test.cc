#include "cli/flags.h"

#include <gtest/gtest.h>

namespace gantry::cli {
namespace {

constexpr Flag kFlags[] = {
    {.name = "detach", .letter = 'd', .help = "Run in the background"},
    {.name = "verbose", .letter = 'v', .help = "More"},
    {.name = "env", .letter = 'e', .kind = FlagKind::list, .value_name = "KEY=VALUE", .help = "Set a variable"},
    {.name = "user", .letter = 'u', .kind = FlagKind::text, .value_name = "USER", .help = "Run as this user"},
    {.name = "timeout", .letter = 't', .kind = FlagKind::number, .value_name = "SECONDS", .help = "Wait"},
    {.name = "menu", .help = "", .refused = "the menu is not built yet"},
    {.name = "secret", .help = "", .hidden = true},
};
constexpr Syntax kSyntax{.name = "go", .arguments = "[SERVICE...]", .summary = "Go", .flags = kFlags};

// What was understood, as text: "detach=true user=root | a b".
std::string parsed(std::vector<std::string> words, const Syntax& syntax = kSyntax) {
  const auto arguments = parse(syntax, {}, words);
  if (!arguments.ok()) return "error: " + arguments.error().message();
  std::string text;
  for (const Flag& flag : kFlags) {
    if (!arguments->given(flag.name)) continue;
    text += std::string(flag.name) + "=";
    const auto values = arguments->list(flag.name);
    for (size_t i = 0; i < values.size(); ++i) text += (i > 0 ? "," : "") + values[i];
    text += " ";
  }
  text += "|";
  for (const std::string& word : arguments->positional()) text += " " + word;
  return text;
}

TEST(Flags, WordsAreReadAsGetoptDoes) {
  const std::vector<std::pair<std::vector<std::string>, std::string>> rows = {
      {{}, "|"},
      {{"a", "-d", "b"}, "detach=true | a b"},
      {{"-dv"}, "detach=true verbose=true |"},
      {{"-d=false"}, "detach=false |"},
      {{"--detach=false", "a"}, "detach=false | a"},
      {{"-e", "A=1", "-eB=2", "--env=C=3", "--env", "D"}, "env=A=1,B=2,C=3,D |"},
      {{"-uroot"}, "user=root |"},
      {{"-u=root"}, "user=root |"},
      {{"-u", "a", "--user", "b"}, "user=b |"},
      {{"-dt5"}, "detach=true timeout=5 |"},
      {{"-t", "-1"}, "timeout=-1 |"},
      {{"--", "-d"}, "| -d"},
      {{"-"}, "| -"},
      {{"--menu=false"}, "menu=false |"},
  };
  for (const auto& [words, expected] : rows) EXPECT_EQ(parsed(words), expected);
}

TEST(Flags, MistakesAreNamedAndCorrected) {
  const std::vector<std::pair<std::vector<std::string>, std::string>> rows = {
      {{"--detahc"}, "error: unknown flag: --detahc: did you mean --detach?"},
      {{"--zzzzzz"}, "error: unknown flag: --zzzzzz"},
      {{"-dx"}, "error: unknown shorthand flag: 'x' in -dx"},
      {{"--user"}, "error: flag needs an argument: --user"},
      {{"-du"}, "error: flag needs an argument: 'u' in -du"},
      {{"-t", "soon"}, "error: invalid argument \"soon\" for \"-t, --timeout\" flag: a number is needed"},
      {{"--detach=maybe"}, "error: invalid argument \"maybe\" for \"-d, --detach\" flag: true or false is needed"},
      {{"--menu"}, "error: --menu is not supported: the menu is not built yet"},
  };
  for (const auto& [words, expected] : rows) EXPECT_EQ(parsed(words), expected);
}

TEST(Flags, OptionsEndAtTheFirstArgumentOfACommandThatPassesTheRestOn) {
  Syntax syntax = kSyntax;
  syntax.interspersed = false;
  EXPECT_EQ(parsed({"-d", "web", "ls", "-d", "--", "x"}, syntax), "detach=true | web ls -d -- x");
}

TEST(Flags, TooFewOrTooManyArgumentsAreRefused) {
  Syntax syntax = kSyntax;
  syntax.least_arguments = 2;
  syntax.most_arguments = 2;
  EXPECT_EQ(parsed({"a"}, syntax), "error: requires at least 2 arg(s), only received 1");
  EXPECT_EQ(parsed({"a", "b", "c"}, syntax), "error: accepts at most 2 arguments, received 3");
}

TEST(Flags, LeadingOptionsStopAtTheCommand) {
  std::vector<std::string> rest;
  const auto arguments = parse_leading(kFlags, std::vector<std::string>{"-u", "root", "up", "-d"}, rest);
  ASSERT_TRUE(arguments.ok());
  EXPECT_EQ(arguments->text("user"), "root");
  EXPECT_FALSE(arguments->on("detach"));
  EXPECT_EQ(rest, (std::vector<std::string>{"up", "-d"}));
}

TEST(Flags, HelpListsWhatWorksAndSaysWhatDoesNot) {
  EXPECT_EQ(help_page("compose", kSyntax, {}), R"(Usage:  compose go [OPTIONS] [SERVICE...]

Go

Options:
  -d, --detach            Run in the background
  -e, --env KEY=VALUE     Set a variable
      --menu              Not supported: the menu is not built yet
  -t, --timeout SECONDS   Wait
  -u, --user USER         Run as this user
  -v, --verbose           More
)");
}

}  // namespace
}  // namespace gantry::cli
