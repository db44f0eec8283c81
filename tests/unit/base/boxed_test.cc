#include "base/boxed.h"

#include <gtest/gtest.h>

#include <string>

using gantry::Boxed;

TEST(Boxed, IsAnOptionalValue) {
  Boxed<std::string> box;
  EXPECT_FALSE(box);
  EXPECT_EQ(box, Boxed<std::string>());
  box = std::string("a");
  ASSERT_TRUE(box.has_value());
  EXPECT_EQ(*box, "a");
  EXPECT_NE(box, Boxed<std::string>());
  box.emplace() += "b";
  EXPECT_EQ(box, Boxed<std::string>("b"));
  box.reset();
  EXPECT_FALSE(box);
}

TEST(Boxed, CopiesAreApart) {
  Boxed<std::string> first("a");
  Boxed<std::string> second = first;
  second->append("b");
  EXPECT_EQ(*first, "a");
  first = second;
  second->append("c");
  EXPECT_EQ(*first, "ab");
  Boxed<std::string>& same = first;
  first = same;
  EXPECT_EQ(*first, "ab");
  first = Boxed<std::string>();
  EXPECT_FALSE(first);
}

TEST(Boxed, MovingLeavesNothing) {
  Boxed<std::string> first("a");
  const Boxed<std::string> second = std::move(first);
  EXPECT_EQ(*second, "a");
  EXPECT_FALSE(first);
}
