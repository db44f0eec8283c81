#include "compose/progress.h"

#include <gtest/gtest.h>

using namespace gantry;
using namespace gantry::compose;

TEST(Progress, EveryFieldComesBack) {
  Progress progress{.resource = Progress::Resource::image,
                    .name = "nginx",
                    .service = "web",
                    .status = Progress::Status::error,
                    .text = "Error",
                    .details = "line 1\nline 2 \"quoted\"",
                    .cause = "image changed",
                    .mark = "compose.yaml:1:2",
                    .current = 5,
                    .total = 10,
                    .layer = "0123456789ab"};
  std::string line = to_json_line(progress);
  EXPECT_EQ(line.back(), '\n');
  EXPECT_EQ(line.find('\n'), line.size() - 1);
  EXPECT_EQ(parse_progress_line(line)->progress, progress);
  EXPECT_EQ(parse_progress_line(to_json_line(Progress{}))->progress, Progress{});
}

TEST(Progress, OutcomesComeBack) {
  Outcome outcome{.ok = false, .message = "web-1 not started:\n  x", .exit_code = 130};
  EXPECT_EQ(parse_progress_line(to_json_line(outcome))->outcome, outcome);
  EXPECT_EQ(to_json_line(Outcome{}), "{\"outcome\":{\"ok\":true}}\n");
}

TEST(Progress, BytesThatAreNoTextDoNotBreakTheLine) {
  auto parsed = parse_progress_line(to_json_line(Progress{.details = "bad \xff byte"}));
  ASSERT_TRUE(parsed.ok());
  EXPECT_EQ(parsed->progress->details, "bad \xef\xbf\xbd byte");
}

TEST(Progress, WhatANewerDaemonAddsIsLeftOut) {
  const Progress progress{.resource = Progress::Resource::container, .name = "web-1", .service = "web", .text = "Running"};
  const std::string line = to_json_line(progress);
  const std::string longer = line.substr(0, line.size() - 3) + R"(,"colour":"red","weight":1}})";
  EXPECT_EQ(parse_progress_line(longer)->progress, progress);
  EXPECT_FALSE(parse_progress_line(line.substr(0, line.size() - 3) + R"(,"colour":null}})").ok());
}

TEST(Progress, OtherLinesAreRefused) {
  for (const char* line : {"", "x", "[]", "{}", R"({"progress":1})", R"({"progress":{"status":"new"}})",
                           R"({"progress":{"name":1}})", R"({"outcome":{"message":1}})"}) {
    EXPECT_FALSE(parse_progress_line(line).ok()) << line;
  }
}
