#include "compose/timings.h"

#include <gtest/gtest.h>

namespace gantry::compose {
namespace {

using namespace std::chrono_literals;

const Timings kUp{.total = 1000ms,
                  .steps = {{.id = 1, .what = "create network n", .begin = 50ms, .end = 100ms},
                            {.id = 2, .what = "create db", .service = "db", .after = {1}, .begin = 100ms, .end = 150ms},
                            {.id = 3, .what = "create web", .service = "web", .after = {1}, .begin = 100ms, .end = 200ms},
                            {.id = 4, .what = "start db", .service = "db", .stage = 1, .begin = 210ms, .end = 300ms},
                            {.id = 5, .what = "wait for db", .stage = 1, .after = {4}, .begin = 300ms, .end = 900ms},
                            {.id = 6, .what = "start web", .stage = 1, .after = {5}, .begin = 900ms, .end = 990ms}}};

TEST(Timings, ThePathLeadsFromNothingToReadyWithoutAGap) {
  std::string text;
  std::chrono::nanoseconds reached{0};
  for (const PathPiece& piece : critical_path(kUp)) {
    EXPECT_EQ(piece.begin, reached);
    reached = piece.end;
    text += piece.what + "; ";
  }
  EXPECT_EQ(reached, kUp.total);
  EXPECT_EQ(text,
            "looking and planning; create network n; create web; waiting for its turn; start db; wait for db; start web; "
            "finishing; ");
}

TEST(Timings, ComeBackFromJson) {
  const auto again = timings_from_json(to_json(kUp));
  ASSERT_TRUE(again.ok());
  EXPECT_EQ(*again, kUp);
  EXPECT_FALSE(timings_from_json("{}").ok());
}

TEST(Timings, AreDrawn) {
  const std::string text = timings_text(kUp, 80);
  EXPECT_NE(text.find("* wait for db"), std::string::npos) << text;
  EXPECT_NE(text.find("  create db "), std::string::npos) << text;
  EXPECT_NE(text.find("1.000s  in all"), std::string::npos) << text;
  EXPECT_EQ(timings_svg(kUp).find("<svg"), 0u);
  EXPECT_NE(timings_trace(kUp).find("\"traceEvents\""), std::string::npos);
  EXPECT_NE(timings_text({}, 80).find("in all"), std::string::npos);
}

}  // namespace
}  // namespace gantry::compose
