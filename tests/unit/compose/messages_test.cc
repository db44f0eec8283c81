// What the user reads about files that are wrong: tests/golden/messages/*.txt, tables of cases (case_table.h).
#include "unit/compose/case_table.h"

namespace gantry::compose {
namespace {

TEST(Messages, EveryMistakeIsToldAsTheTablesSay) {
  size_t count = check_tables("messages", [](const Case& one) {
    LoadFixture fixture;
    LoadResult result = load_case(one, fixture);
    EXPECT_FALSE(result.ok()) << one.name << ": is loaded without an error";
    return fixture.messages(result);
  });
  EXPECT_GE(count, 180u);
  if (getenv("GANTRY_ACCEPT") != nullptr) GTEST_SKIP() << "tables rewritten: read the difference";
}

// A message says where: a file with its line and column. A few are about no place in a file.
TEST(Messages, SayWhere) {
  for (const auto& path : tables_in("messages")) {
    for (const Case& one : read_cases(path)) {
      std::string first = one.expected.substr(0, one.expected.find('\n'));
      EXPECT_FALSE(first.empty()) << one.name;
      bool placed = first.find(".yaml:") != std::string::npos || first.find("env:") != std::string::npos;
      bool placeless = first.find("empty compose file") == 0 || first.find("invalid project name") == 0 ||
                       first.find("no such service") == 0;
      EXPECT_TRUE(placed || placeless) << one.name << ": " << first;
    }
  }
}

}  // namespace
}  // namespace gantry::compose
