#include "compose/source.h"

#include <gtest/gtest.h>

namespace gantry::compose {
namespace {

TEST(Render, ShowsTheLineTheCaretAndTheHint) {
  Diagnostic diagnostic{.mark = {"compose.yaml", 3, 11},
                        .path = "services.web.depends_on",
                        .message = "no service \"databse\"",
                        .hint = "did you mean \"database\"?"};
  EXPECT_EQ(render(diagnostic, {{"compose.yaml", "a\nb\n        - databse\n"}}),
            "compose.yaml:3:11: services.web.depends_on: no service \"databse\"\n"
            "  3 |         - databse\n"
            "    |           ^~~~~~~ did you mean \"database\"?");
}

TEST(Render, WithoutTheTextOrThePlaceSaysWhatItKnows) {
  Diagnostic diagnostic{.severity = Severity::warning, .message = "odd", .hint = "try x"};
  EXPECT_EQ(render(diagnostic, {}), "warning: odd; try x");
  diagnostic.mark = {"f", 2, 0};
  EXPECT_EQ(render(diagnostic, {}), "f:2: warning: odd; try x");
}

TEST(Render, UnderlinesQuotedTextsWhole) {
  Diagnostic diagnostic{.mark = {"f", 1, 4}, .message = "m"};
  EXPECT_EQ(render(diagnostic, {{"f", "ü: \"a b\" # c"}}), "f:1:4: m\n  1 | ü: \"a b\" # c\n    |    ^~~~~");
}

TEST(Render, ShowsAsMuchOfALongLineAsPeopleRead) {
  const std::string line = std::string(1000, 'a') + "b" + std::string(1000, 'c');
  const Diagnostic diagnostic{.mark = {"f", 1, 1001}, .message = "m", .length = 1000};
  EXPECT_EQ(render(diagnostic, {{"f", line}}), "f:1:1001: m\n  1 | …" + std::string(60, 'a') + "b" + std::string(59, 'c') +
                                                   "…\n    | " + std::string(61, ' ') + "^" + std::string(59, '~'));
}

}  // namespace
}  // namespace gantry::compose
