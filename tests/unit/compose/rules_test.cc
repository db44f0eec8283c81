// The rules of the format, each with what `config` prints: tests/golden/rules/*.txt, tables of cases (case_table.h).
#include "unit/compose/case_table.h"

namespace gantry::compose {
namespace {

TEST(Rules, EveryRuleGivesWhatTheTablesSay) {
  size_t count = check_tables("rules", [](const Case& one) {
    LoadFixture fixture;
    LoadResult result = load_case(one, fixture);
    std::string explained;
    for (const Diagnostic& step : result.explanation) explained += render(step, result.texts) + "\n";
    EXPECT_TRUE(result.ok()) << one.name << "\n" << fixture.messages(result);
    return fixture.messages(result) + (explained.empty() ? fixture.shorten(result.canonical_yaml) : fixture.shorten(explained));
  });
  EXPECT_GE(count, 60u);
  if (getenv("GANTRY_ACCEPT") != nullptr) GTEST_SKIP() << "tables rewritten: read the difference";
}

}  // namespace
}  // namespace gantry::compose
