#include "client/contexts.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <fstream>

#include "client/api_client.h"

namespace gantry::client {
namespace {

class ContextsTest : public testing::Test {
 protected:
  ContextsTest() {
    char name[] = "/tmp/gantry-contexts-XXXXXX";
    home_ = ::mkdtemp(name);
    environment_ = {{"HOME", home_.string()}};
  }
  ~ContextsTest() override { std::filesystem::remove_all(home_); }
  std::filesystem::path home_;
  Contexts::Environment environment_;
};

TEST_F(ContextsTest, AreMadeUsedAndRemoved) {
  Contexts contexts(environment_);
  EXPECT_EQ(*contexts.current(), "default");
  std::ofstream(home_ / "ca") << "CA";
  ASSERT_TRUE(
      contexts.create({.name = "far", .description = "d", .host = "tcp://far:2376", .tls = {.ca = home_ / "ca"}}).ok());
  const auto far = contexts.find("far");
  ASSERT_TRUE(far.ok());
  EXPECT_EQ(far->host, "tcp://far:2376");
  EXPECT_EQ(far->description, "d");
  EXPECT_TRUE(far->tls.ca.ends_with("/docker/ca.pem"));
  EXPECT_EQ(far->tls.key, "");
  EXPECT_EQ(contexts.create({.name = "far", .host = "unix:///x"}).error().message(), "context \"far\" already exists");
  ASSERT_TRUE(contexts.use("far").ok());
  EXPECT_EQ(*contexts.current(), "far");
  EXPECT_EQ(contexts.remove("far").error().code(), Code::conflict);
  ASSERT_TRUE(contexts.use("default").ok());
  ASSERT_TRUE(contexts.remove("far").ok());
  EXPECT_TRUE(contexts.list()->empty());
}

TEST_F(ContextsTest, NamesAndAddressesAreChecked) {
  Contexts contexts(environment_);
  for (const char* name : {"", "default", "../x", "a/b", "-x", "a b"}) {
    EXPECT_FALSE(contexts.create({.name = name, .host = "unix:///x"}).ok()) << name;
  }
  EXPECT_FALSE(contexts.create({.name = "ok", .host = "nonsense"}).ok());
  EXPECT_FALSE(contexts.use("none").ok());
}

TEST_F(ContextsTest, TheEnvironmentAndFlagsDecideWhichOneHolds) {
  Contexts contexts(environment_);
  ASSERT_TRUE(contexts.create({.name = "a", .host = "unix:///a.sock"}).ok());
  ASSERT_TRUE(contexts.create({.name = "b", .host = "unix:///b.sock"}).ok());
  ASSERT_TRUE(contexts.use("a").ok());
  const auto host = [&](Contexts::Environment more, const char* flag = "", EndpointFlags flags = {}) {
    more.insert(environment_.begin(), environment_.end());
    const auto endpoint = Endpoint::from_environment(more, flag, {}, {}, flags);
    return endpoint.ok() ? endpoint->host : endpoint.error().message();
  };
  EXPECT_EQ(host({}), "unix:///a.sock");
  EXPECT_EQ(host({{"DOCKER_CONTEXT", "b"}}), "unix:///b.sock");
  EXPECT_EQ(host({{"DOCKER_HOST", "unix:///h.sock"}}), "unix:///h.sock");
  EXPECT_EQ(host({{"DOCKER_HOST", "unix:///h.sock"}}, "", {.context = "b"}), "unix:///b.sock");
  EXPECT_EQ(host({}, "unix:///f.sock", {.context = "b"}), "unix:///f.sock");
  EXPECT_EQ(host({{"GANTRY_RUN_ROOT", "/tmp/r"}}), "unix:///tmp/r/gantry.sock");
  EXPECT_EQ(host({}, "", {.context = "default"}), "unix:///run/gantry/gantry.sock");
  EXPECT_EQ(host({}, "", {.context = "none"}), "context \"none\" does not exist: see `gantry context ls`");
}

}  // namespace
}  // namespace gantry::client
