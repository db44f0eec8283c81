#include "daemon/router.h"

#include <gtest/gtest.h>

namespace gantry::daemon {
namespace {

Router sample() {
  Router router;
  const auto none = [](Exchange&, const Call&) { return Result<>(); };
  for (const auto& [method, path] : std::vector<std::pair<const char*, const char*>>{{"GET", "/containers/json"},
                                                                                     {"GET", "/containers/{id}/json"},
                                                                                     {"DELETE", "/containers/{id}"},
                                                                                     {"GET", "/images/json"},
                                                                                     {"GET", "/images/{name...}/json"},
                                                                                     {"DELETE", "/images/{name...}"},
                                                                                     {"GET", "/networks"},
                                                                                     {"GET", "/networks/"}}) {
    router.add(method, path, none);
  }
  return router;
}

TEST(Router, FindsTheHandlerAndItsParameters) {
  struct Row {
    const char* method;
    const char* target;
    const char* name;  // of a parameter
    const char* value;
  };
  const Row rows[] = {{"GET", "/containers/abc/json", "id", "abc"},
                      {"GET", "/v1.43/containers/a%20b/json?size=1", "id", "a b"},
                      {"DELETE", "/v1.24/containers/x", "id", "x"},
                      {"GET", "/images/host:5000/a/b:tag/json", "name", "host:5000/a/b:tag"},
                      {"GET", "/images/a%2Fb/json", "name", "a/b"},
                      {"DELETE", "/images/library/redis", "name", "library/redis"}};
  const Router router = sample();
  for (const Row& row : rows) {
    const auto match = router.find(row.method, row.target);
    ASSERT_TRUE(match.ok()) << row.target << ": " << match.error().message();
    EXPECT_EQ(match->call[row.name], row.value) << row.target;
  }
}

TEST(Router, TheFirstOfTwoMatchingPatternsWins) {
  const auto match = sample().find("GET", "/images/json");
  ASSERT_TRUE(match.ok());
  EXPECT_TRUE(match->call.params.empty());
}

TEST(Router, RefusesUnknownPathsAndVersionsInDockersWords) {
  struct Row {
    const char* method;
    const char* target;
    Code code;
    const char* message;
  };
  const Row rows[] = {
      {"GET", "/nothing", Code::not_found, "page not found"},
      {"PUT", "/containers/json", Code::not_found, "page not found"},
      {"GET", "/containers/json/", Code::not_found, "page not found"},
      {"GET", "/v1.43", Code::not_found, "page not found"},
      {"GET", "/v1.99/containers/json", Code::invalid,
       "client version 1.99 is too new. Maximum supported API version is 1.50"},
      {"GET", "/v1.0/containers/json", Code::invalid,
       "client version 1.0 is too old. Minimum supported API version is 1.24, please upgrade your client to a newer "
       "version"},
  };
  const Router router = sample();
  for (const Row& row : rows) {
    const auto match = router.find(row.method, row.target);
    ASSERT_FALSE(match.ok()) << row.target;
    EXPECT_EQ(match.error().code(), row.code) << row.target;
    EXPECT_EQ(match.error().message(), row.message) << row.target;
  }
}

TEST(Router, TellsTheVersionOfThePath) {
  const auto old = sample().find("GET", "/v1.41/networks");
  const auto plain = sample().find("GET", "/networks/");
  ASSERT_TRUE(old.ok() && plain.ok());
  EXPECT_EQ(old->call.version, (ApiVersion{1, 41}));
  EXPECT_EQ(plain->call.version, kMaxApiVersion);
}

TEST(Query, ReadsBooleansAsDockerDoes) {
  const Query query("a=True&b=1&c=0&d=None&e=&f=%20no%20&g=x+y&g=z&h=-3&i=x");
  EXPECT_TRUE(query.flag("a"));
  EXPECT_TRUE(query.flag("b"));
  EXPECT_FALSE(query.flag("c"));
  EXPECT_FALSE(query.flag("d"));
  EXPECT_FALSE(query.flag("e"));
  EXPECT_TRUE(query.flag("e", true));
  EXPECT_FALSE(query.flag("f"));
  EXPECT_EQ(query.all("g"), (std::vector<std::string>{"x y", "z"}));
  EXPECT_EQ(*query.number("h"), -3);
  EXPECT_FALSE(query.number("i").ok());
  EXPECT_EQ(*query.number("missing"), std::nullopt);
}

}  // namespace
}  // namespace gantry::daemon
