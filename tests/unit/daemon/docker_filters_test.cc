#include <gtest/gtest.h>

#include "daemon/docker/filters.h"

namespace gantry::daemon::docker {
namespace {

constexpr std::string_view kKnown[] = {"label", "label!", "name", "status", "dangling"};

Filters parse_filters(std::string_view text) {
  Result<Filters> filters = Filters::parse(text, kKnown);
  EXPECT_TRUE(filters.ok()) << text;
  return filters.ok() ? std::move(*filters) : Filters();
}

TEST(Filters, BothEncodingsMeanTheSame) {
  for (const char* text :
       {R"({"status":{"exited":true,"dead":true,"paused":false}})", R"({"status":["exited","dead"]})"}) {
    const Filters filters = parse_filters(text);
    EXPECT_TRUE(filters.exact("status", "dead")) << text;
    EXPECT_TRUE(filters.exact("status", "exited")) << text;
    EXPECT_FALSE(filters.exact("status", "paused")) << text;
  }
  for (const char* text : {"", "{}", R"({"status":[]})"}) EXPECT_TRUE(parse_filters(text).exact("status", "anything")) << text;
}

TEST(Filters, RefusesWhatIsNoFilter) {
  struct Row {
    const char* text;
    const char* message;
  };
  const Row rows[] = {{"{", "invalid filter"},
                      {"[]", "invalid filter"},
                      {R"({"name":"x"})", "invalid filter"},
                      {R"({"name":[1]})", "invalid filter"},
                      {R"({"foo":["x"]})", "invalid filter 'foo'"}};
  for (const Row& row : rows) {
    const Result<Filters> filters = Filters::parse(row.text, kKnown);
    ASSERT_FALSE(filters.ok()) << row.text;
    EXPECT_EQ(filters.error().message(), row.message);
  }
}

TEST(Filters, EveryLabelMustHoldWhileOtherValuesAreAlternatives) {
  const engine::Labels labels = {{"a", "1"}, {"b", "2"}};
  EXPECT_TRUE(parse_filters(R"({"label":["a","b=2"]})").labels(labels));
  EXPECT_FALSE(parse_filters(R"({"label":["a","b=3"]})").labels(labels));
  EXPECT_FALSE(parse_filters(R"({"label!":["a=1"]})").labels(labels));
  EXPECT_TRUE(parse_filters(R"({"label!":["a=2"]})").labels(labels));
}

TEST(Filters, NamesMatchAsRegularExpressionsAnywhere) {
  const std::vector<std::string> names = {"shop-web-1", "/shop-web-1"};
  EXPECT_TRUE(parse_filters(R"({"name":["web"]})").match("name", names));
  EXPECT_TRUE(parse_filters(R"({"name":["^/shop-web-1$"]})").match("name", names));
  EXPECT_FALSE(parse_filters(R"({"name":["^web"]})").match("name", names));
  EXPECT_FALSE(parse_filters(R"({"name":["("]})").match("name", names)) << "a broken expression matches nothing";
}

TEST(Filters, FlagsTakeFourWordsOnly) {
  EXPECT_EQ(*parse_filters(R"({"dangling":["true"]})").flag("dangling"), true);
  EXPECT_EQ(*parse_filters(R"({"dangling":["0"]})").flag("dangling"), false);
  EXPECT_EQ(*parse_filters("{}").flag("dangling"), std::nullopt);
  const auto wrong = parse_filters(R"({"dangling":["x"]})").flag("dangling");
  ASSERT_FALSE(wrong.ok());
  EXPECT_EQ(wrong.error().message(), "invalid filter 'dangling=[x]'");
}

}  // namespace
}  // namespace gantry::daemon::docker
