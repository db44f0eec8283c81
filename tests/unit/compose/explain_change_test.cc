#include "compose/explain_change.h"

#include <gtest/gtest.h>

namespace gantry::compose {
namespace {

std::string explained(const std::string& was, const std::string& now) {
  Project project{.name = "shop"};
  project.marks["services.web"] = {"compose.yaml", 2, 3};
  project.marks["services.web.environment.URL"] = {"/home/me/override.yaml", 12, 7};
  project.marks["services.web.ports[1]"] = {"compose.yaml", 9, 9};
  return explain_differences(differences(project, "services.web", was, now));
}

TEST(ExplainChange, SaysWhatWasAndIsAndWhereItIsWritten) {
  const std::vector<std::tuple<std::string, std::string, std::string>> rows = {
      {R"({"environment":{"URL":"a"}})", R"({"environment":{"URL":"b"}})",
       R"(environment.URL changed (override.yaml:12, was "a", now "b"))"},
      {R"({"image":"a"})", R"({"image":"a","user":"app"})", R"(user added (compose.yaml:2, now "app"))"},
      {R"({"image":"a","user":"app"})", R"({"image":"a"})", R"(user removed (compose.yaml:2, was "app"))"},
      {R"({"ports":["80"]})", R"({"ports":["80","443"]})", R"(ports[1] added (compose.yaml:9, now "443"))"},
      {R"({"ports":["80","443"]})", R"({"ports":["443"]})", R"(ports removed (compose.yaml:2, was "80"))"},
      {R"({"command":["a","b"]})", R"({"command":["a","c"]})", R"(command[1] changed (compose.yaml:2, was "b", now "c"))"},
      {R"({"environment":{"DB_PASSWORD":"a"}})", R"({"environment":{"DB_PASSWORD":"b"}})",
       "environment.DB_PASSWORD changed (compose.yaml:2, was (not shown), now (not shown))"},
      {R"({"a":1,"b":1,"c":1,"d":1})", R"({"a":2,"b":2,"c":2,"d":2})",
       "a changed (compose.yaml:2, was 1, now 2); b changed (compose.yaml:2, was 1, now 2); c changed (compose.yaml:2, "
       "was 1, now 2); and 1 more"},
      {R"({"image":"a","scale":1,"build":{}})", R"({"image":"a","scale":2})", ""},
      {R"({"tmpfs":["a","b"]})", R"({"tmpfs":["b","a"]})", R"(tmpfs changed (compose.yaml:2, was ["a","b"], now ["b","a"]))"},
  };
  for (const auto& [was, now, expected] : rows) EXPECT_EQ(explained(was, now), expected);
}

TEST(ExplainChange, LongValuesAreCut) {
  const std::string text = explained(R"({"command":"a"})", R"({"command":")" + std::string(500, 'x') + R"("})");
  EXPECT_LT(text.size(), 160u);
  EXPECT_NE(text.find("…"), std::string::npos);
}

TEST(ExplainChange, WhatIsNoJsonExplainsNothing) { EXPECT_EQ(explained("", "{}"), ""); }

}  // namespace
}  // namespace gantry::compose
