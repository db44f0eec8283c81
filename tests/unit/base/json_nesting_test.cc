#include "base/json_nesting.h"

#include <gtest/gtest.h>

namespace gantry {
namespace {

TEST(JsonNesting, CountsWhatIsOpenAtOnce) {
  EXPECT_EQ(json_nesting(""), 0);
  EXPECT_EQ(json_nesting("1"), 0);
  EXPECT_EQ(json_nesting("[]"), 1);
  EXPECT_EQ(json_nesting(R"({"a":[{}],"b":[[]]})"), 3);
}

TEST(JsonNesting, BracketsInTextsDoNotCount) {
  EXPECT_EQ(json_nesting(R"(["[[[{{{"])"), 1);
  EXPECT_EQ(json_nesting(R"(["\"[[[", "\\", []])"), 2);
}

TEST(JsonNesting, TextThatIsNoJsonHasADepth) {
  EXPECT_EQ(json_nesting("]]]["), 0);
  EXPECT_EQ(json_nesting("[[[\""), 3);
  EXPECT_EQ(json_nesting("\"\\"), 0);
}

}  // namespace
}  // namespace gantry
