#include "cli/log_filter.h"

#include <gtest/gtest.h>

namespace gantry::cli {
namespace {

TEST(LogFilter, FindsTheLevelThatALineClaims) {
  const std::vector<std::pair<const char*, std::optional<LogLevel>>> rows = {
      {"level=warn msg=x", LogLevel::warn},
      {R"({"time":"now","level":"error","msg":"x"})", LogLevel::error},
      {"2026-01-02 10:00:00 [ERROR] x", LogLevel::error},
      {"2026-01-02T10:00:00Z INFO x", LogLevel::info},
      {"[warn] 12#12: x", LogLevel::warn},
      {"debug: x", LogLevel::debug},
      {"FATAL:  password authentication failed", LogLevel::error},
      {"no errors found, no warnings", std::nullopt},
      {"hello", std::nullopt},
      {"", std::nullopt},
  };
  for (const auto& [line, level] : rows) EXPECT_EQ(level_of_line(line), level) << line;
}

TEST(LogFilter, LevelsAndPatterns) {
  const auto passes = [](const char* pattern, const char* level, const char* line) {
    return LogFilter::create(pattern, level).value_or(LogFilter()).passes(line);
  };
  EXPECT_TRUE(passes("", "", "anything"));
  EXPECT_TRUE(passes("GET /a+", "", "GET /aaa"));
  EXPECT_FALSE(passes("GET /a+", "", "GET /b"));
  EXPECT_TRUE(passes("", "warn", "ERROR x"));
  EXPECT_FALSE(passes("", "warn", "INFO x"));
  EXPECT_FALSE(passes("", "error", "plain"));
  EXPECT_TRUE(passes("", "info", "plain"));
  EXPECT_FALSE(LogFilter::create("(", "").ok());
  EXPECT_FALSE(LogFilter::create("", "loud").ok());
}

}  // namespace
}  // namespace gantry::cli
