#include "base/fault.h"

#include <gtest/gtest.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>

namespace gantry {
namespace {

void visit(const char* setting, int times) {
  for (int i = 0; i < times; ++i) {
    fault::reached(setting, "store project", " after");
    fault::reached(setting, "store project", " before");
  }
  std::exit(0);
}

TEST(Fault, KillsAtTheNthVisitOfItsPoint) {
  EXPECT_EXIT(visit("store project before:3", 3), testing::KilledBySignal(SIGKILL), "");
  EXPECT_EXIT(visit("store project before:4", 3), testing::ExitedWithCode(0), "");
}

TEST(Fault, IgnoresOtherPointsAndSettingsThatNameNone) {
  for (const char* setting : {"store project:1", "store project before", "", ":1", "store", "store project beforehand:1"}) {
    EXPECT_EXIT(visit(setting, 3), testing::ExitedWithCode(0), "") << setting;
  }
}

TEST(Fault, LeavesTheFileThatWasAskedFor) {
  const auto file = std::filesystem::temp_directory_path() / "gantry-fault-test";
  std::filesystem::remove(file);
  EXPECT_EXIT(visit(("store project after:1:" + file.string()).c_str(), 1), testing::KilledBySignal(SIGKILL), "");
  EXPECT_TRUE(std::filesystem::remove(file));
}

}  // namespace
}  // namespace gantry
