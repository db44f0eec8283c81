#include "daemon/loaded_files.h"

#include <gtest/gtest.h>

#include <fstream>
#include <sstream>
#include <string>

#include "base/version.h"

using namespace gantry;

namespace {

// Kilobytes of read-only data of files that are in memory for this process.
size_t resident_tables() {
  std::ifstream maps("/proc/self/smaps");
  bool counts = false;
  size_t sum = 0;
  for (std::string line; std::getline(maps, line);) {
    std::istringstream words(line);
    std::string first, second;
    words >> first >> second;
    if (first.find('-') != std::string::npos && first.back() != ':') counts = second == "r--p" && line.find('/') != std::string::npos;
    if (counts && first == "Rss:") sum += std::stoul(second);
  }
  return sum;
}

}  // namespace

TEST(LoadedFiles, ReadOnlyDataIsGivenBackAndStaysReadable) {
  const std::string version = kVersion;
  const size_t before = resident_tables();
  daemon::give_back_loaded_tables();
  EXPECT_LT(resident_tables(), before);
  EXPECT_EQ(version, kVersion);
}
