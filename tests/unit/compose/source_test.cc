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

}  // namespace
}  // namespace gantry::compose
