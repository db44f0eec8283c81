// That loading is saved, which only root may do; what the programs decide is in e2e/limits_test.py.
#include <gtest/gtest.h>

#include "engine/container/device_program.h"

namespace gantry::engine {
namespace {

TEST(DevicePrograms, OneIsMadeForContainersOfTheSameRulesInARow) {
  DevicePrograms programs;
  const std::vector<std::string> rules = {"c 1:3 rwm", "c 1:5 r"};
  const auto first = programs.of(rules);
  if (!first.ok()) GTEST_SKIP() << first.error().message();
  EXPECT_EQ(*programs.of(rules), *first);
  const auto other = *programs.of({"c 1:3 rwm"});
  EXPECT_NE(other, *first);
  EXPECT_NE(other->get(), (*first)->get());
  EXPECT_FALSE(programs.of({"x 1:3 rwm"}).ok());
  EXPECT_EQ(*programs.of({"c 1:3 rwm"}), other);
}

}  // namespace
}  // namespace gantry::engine
