#include "cli/log_sources.h"

#include <gtest/gtest.h>

#include "base/strings.h"

namespace gantry::cli {
namespace {

ContainerRow row_of(const std::string& service, int number) {
  return {.id = service + "-id",
          .name = "shop-" + service + "-" + std::to_string(number),
          .labels = {{"com.docker.compose.service", service},
                     {"com.docker.compose.container-number", std::to_string(number)}}};
}
const std::vector<ContainerRow> kPresent = {row_of("db", 1), row_of("web", 1)};
const std::vector<PastRunRow> kPast = {{.service = "web", .replica = 1, .run = 2, .container_id = "b", .tty = true},
                                       {.service = "web", .replica = 1, .run = 3, .container_id = "c"},
                                       {.service = "web", .replica = 2, .run = 1, .container_id = "d"}};

std::string selected(const std::string& wish) {
  const auto sources = select_runs("shop", kPresent, kPast, *parse_run_wish(wish));
  if (!sources.ok()) return sources.error().message();
  std::vector<std::string> names;
  for (const LogSource& source : *sources) names.push_back(source.name);
  return join(names, " ");
}

TEST(LogSources, ARunIsChosenByItsNumberOrCountedBackwards) {
  EXPECT_EQ(selected("2"), "web-1#2");
  EXPECT_EQ(selected("1"), "db-1 web-2#1");
  EXPECT_EQ(selected("4"), "web-1");  // what is there now goes on counting
  EXPECT_EQ(selected("0"), "db-1 web-1");
  EXPECT_EQ(selected("-1"), "web-1#3 web-2#1");
  EXPECT_EQ(selected("all"), "db-1 web-1#2 web-1#3 web-1 web-2#1");
}

TEST(LogSources, ARunThatIsNotThereIsAnErrorThatNamesThoseThatAre) {
  EXPECT_EQ(selected("9"), "no such run; there are those of db-1: 1, web-1: 2 to 4, web-2: 1");
}

TEST(LogSources, AnEarlierRunLiesWithTheProject) {
  const auto sources = select_runs("shop", kPresent, kPast, {.number = 2});
  EXPECT_EQ(sources->at(0).path, "/gantry/v1/projects/shop/runs/b/logs");
  EXPECT_EQ(sources->at(0).tty, true);
  EXPECT_EQ(sources_of("shop", kPresent).at(1).path, "/containers/web-id/logs");
}

TEST(LogSources, WishesThatAreNoneAreRefused) {
  for (const char* text : {"", "x", "1x", "--1", "-", "99999999999"}) EXPECT_FALSE(parse_run_wish(text).ok()) << text;
}

TEST(LogSources, TheDaemonsListIsRead) {
  const auto rows = parse_past_runs(R"([{"service":"web","replica":2,"run":7,"container_id":"x","tty":true}])");
  ASSERT_TRUE(rows.ok());
  EXPECT_EQ(rows->at(0).run, 7);
  EXPECT_EQ(rows->at(0).replica, 2);
  EXPECT_TRUE(rows->at(0).tty);
  EXPECT_FALSE(parse_past_runs("x").ok());
}

}  // namespace
}  // namespace gantry::cli
