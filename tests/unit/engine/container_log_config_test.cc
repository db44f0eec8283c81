#include <gtest/gtest.h>

#include "engine/container/log_config.h"

namespace gantry::engine {
namespace {

const LogSubject kSubject{.id = std::string(64, 'a'),
                          .name = "web",
                          .image = "nginx:1",
                          .image_id = "sha256:" + std::string(64, 'b'),
                          .labels = {{"team", "x"}, {"tier", "front"}},
                          .environment = {"MODE=a=b", "SECRET=s", "BARE"}};

using Options = std::map<std::string, std::string>;

std::string attributes(const Options& options) {
  const auto settings = log_settings({.driver = "", .options = options}, kSubject);
  return settings.ok() ? settings->attributes : settings.error().message();
}

TEST(LogConfig, SizesAreDecimal) {
  const auto settings = log_settings({.driver = "", .options = {{"max-size", "10k"}, {"max-file", "3"}}}, kSubject);
  ASSERT_TRUE(settings.ok());
  EXPECT_EQ(settings->maximum_size, 10'000u);
  EXPECT_EQ(settings->maximum_files, 3u);
  EXPECT_FALSE(settings->compress);
  EXPECT_EQ(settings->buffer_size, 0u);
  for (const char* wrong : {"", "k", "0", "1t", "99999999999999999999g"}) {
    EXPECT_FALSE(check_log_config({.driver = "", .options = {{"max-size", wrong}}}).ok()) << wrong;
  }
}

TEST(LogConfig, LocalRotatesAndCompressesByItself) {
  const auto settings = log_settings({.driver = "local", .options = {}}, kSubject);
  ASSERT_TRUE(settings.ok());
  EXPECT_EQ(settings->maximum_size, 20'000'000u);
  EXPECT_EQ(settings->maximum_files, 5u);
  EXPECT_TRUE(settings->compress);
}

TEST(LogConfig, NonBlockingHasABufferInBinaryUnits) {
  const auto settings =
      log_settings({.driver = "", .options = {{"mode", "non-blocking"}, {"max-buffer-size", "4m"}}}, kSubject);
  ASSERT_TRUE(settings.ok());
  EXPECT_EQ(settings->buffer_size, 4u << 20);
  EXPECT_EQ(log_settings({.driver = "", .options = {{"mode", "non-blocking"}}}, kSubject)->buffer_size, 1u << 20);
}

TEST(LogConfig, AttributesComeFromLabelsVariablesAndTheTag) {
  EXPECT_EQ(attributes({{"labels", "team, none"}}), R"({"team":"x"})");
  EXPECT_EQ(attributes({{"labels-regex", "^t(eam|ier)$"}}), R"({"team":"x","tier":"front"})");
  EXPECT_EQ(attributes({{"env", "MODE,BARE"}}), R"({"MODE":"a=b"})");
  EXPECT_EQ(attributes({{"env-regex", "^SEC"}}), R"({"SECRET":"s"})");
  EXPECT_EQ(attributes({{"tag", "{{.ImageName}}/{{ .Name }}/{{.ID}}"}}), R"({"tag":"nginx:1/web/aaaaaaaaaaaa"})");
}

TEST(LogConfig, WhatCannotBeMeantIsRefused) {
  const std::tuple<const char*, Options, const char*> rows[] = {
      {"syslog", {}, "logger: no log driver named 'syslog' is registered"},
      {"", {{"foo", "1"}}, "unknown log opt 'foo' for json-file log driver"},
      {"local", {{"labels", "a"}}, "unknown log opt 'labels' for local log driver"},
      {"", {{"max-file", "2"}}, "max-size should be set if max-file is set"},
      {"", {{"compress", "true"}}, "compress cannot be true when max-file is less than 2 or max-size is not set"},
      {"", {{"max-buffer-size", "1m"}}, "logger: max-buffer-size option is only supported with 'mode=non-blocking'"},
      {"", {{"mode", "sometimes"}}, "logger: unsupported mode \"sometimes\": use blocking or non-blocking"},
      {"", {{"labels-regex", "("}}, "invalid regular expression for labels-regex: \"(\""},
      {"", {{"tag", "{{.Foo}}"}}, "log tag: unknown field \".Foo\""},
  };
  for (const auto& [driver, options, message] : rows) {
    const auto checked = check_log_config({.driver = driver, .options = options});
    ASSERT_FALSE(checked.ok()) << message;
    EXPECT_TRUE(checked.error().message().starts_with(message)) << checked.error().message();
  }
}

}  // namespace
}  // namespace gantry::engine
