#include "daemon/gantry/project_requests.h"

#include <gtest/gtest.h>

using namespace gantry;
using namespace gantry::daemon::api;

namespace {

std::string body_of(const std::string& name, const std::string& options = "{}") {
  return R"({"options":)" + options + R"(,"project":{"name":")" + name + R"(","services":{"web":{"name":"web","image":"i"}}}})";
}

}  // namespace

TEST(ProjectRequests, TheSameBytesAreTheSameProject) {
  RecentRequests recent;
  const auto first = recent.parse(body_of("shop"), "shop");
  ASSERT_TRUE(first.ok()) << first.error().message();
  EXPECT_EQ(first->project->services.at("web").image, "i");
  const auto again = recent.parse(body_of("shop"), "shop");
  EXPECT_EQ(again->project, first->project) << "not parsed again";
  const auto other_options = recent.parse(body_of("shop", R"({"no_start":true})"), "shop");
  EXPECT_NE(other_options->project, first->project);
  EXPECT_EQ(other_options->options, R"({"no_start":true})");
}

TEST(ProjectRequests, WhatIsKnownUnderOneNameIsRefusedUnderAnother) {
  RecentRequests recent;
  ASSERT_TRUE(recent.parse(body_of("shop"), "shop").ok());
  const auto refused = recent.parse(body_of("shop"), "depot");
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().message(), R"(the project's name "shop" is not that of the path, "depot")");
}

TEST(ProjectRequests, OnlyTheLastOnesAreKept) {
  RecentRequests recent;
  const auto first = recent.parse(body_of("shop"), "shop");
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(recent.parse(body_of("p" + std::to_string(i)), "p" + std::to_string(i)).ok());
  const auto again = recent.parse(body_of("shop"), "shop");
  EXPECT_NE(again->project, first->project);
  EXPECT_EQ(first->project.use_count(), 1) << "nothing holds the old one";
}

TEST(ProjectRequests, ALargeOneIsKeptAsLongAsAllTogetherAreNotTooLarge) {
  RecentRequests recent;
  const auto large = [](char letter) { return "[\"" + std::string(size_t{3} << 19, letter) + "\"]"; };
  const auto first = recent.parse(body_of("shop", large('a')), "shop");
  ASSERT_TRUE(first.ok()) << first.error().message();
  EXPECT_EQ(recent.parse(body_of("shop", large('a')), "shop")->project, first->project);
  ASSERT_TRUE(recent.parse(body_of("shop", large('b')), "shop").ok());
  EXPECT_EQ(first->project.use_count(), 1) << "nothing holds the old one";
  const auto too_large = recent.parse(body_of("shop", "[" + large('c') + "," + large('d') + "]"), "shop");
  EXPECT_EQ(too_large->project.use_count(), 1);
  EXPECT_EQ(recent.parse(body_of("shop", large('b')), "shop")->project.use_count(), 2)
      << "and it drives nothing else out";
}

TEST(ProjectRequests, AnUpNeedsAProject) {
  RecentRequests recent;
  EXPECT_EQ(recent.parse(R"({"options":{}})", "shop").error().message(), "the request has no \"project\"");
  EXPECT_TRUE(parse_project_request(R"({"options":{}})", "shop").ok());
  EXPECT_FALSE(parse_project_request(R"({"project":1})", "shop").ok());
  EXPECT_EQ(parse_project_request(R"({"projects":1})", "shop").error().message(),
            "unknown field \"projects\": expected \"project\" and \"options\"");
}
