#include <gtest/gtest.h>

#include "engine/image/reference.h"

namespace gantry::engine {
namespace {

TEST(Reference, ParsesAndRendersAsDockerDoes) {
  const std::string digest = "sha256:" + std::string(64, 'a');
  struct Row {
    std::string text;
    std::string canonical;
    std::string familiar;
  };
  const Row rows[] = {
      {"redis", "docker.io/library/redis:latest", "redis:latest"},
      {"redis:7", "docker.io/library/redis:7", "redis:7"},
      {"user/app", "docker.io/user/app:latest", "user/app:latest"},
      {"docker.io/redis", "docker.io/library/redis:latest", "redis:latest"},
      {"index.docker.io/library/redis", "docker.io/library/redis:latest", "redis:latest"},
      {"docker.io/library/a/b", "docker.io/library/a/b:latest", "library/a/b:latest"},
      {"localhost:5000", "docker.io/library/localhost:5000", "localhost:5000"},
      {"localhost/x", "localhost/x:latest", "localhost/x:latest"},
      {"localhost:5000/x:1", "localhost:5000/x:1", "localhost:5000/x:1"},
      {"host.example/a/b_c/d--e:T.1-x", "host.example/a/b_c/d--e:T.1-x", "host.example/a/b_c/d--e:T.1-x"},
      {"Foo/x", "Foo/x:latest", "Foo/x:latest"},
      {"[::1]:5000/x", "[::1]:5000/x:latest", "[::1]:5000/x:latest"},
      {"x@" + digest, "docker.io/library/x@" + digest, "x@" + digest},
      {"x:1@" + digest, "docker.io/library/x:1@" + digest, "x:1@" + digest},
  };
  for (const Row& row : rows) {
    Result<Reference> parsed = Reference::parse(row.text);
    ASSERT_TRUE(parsed.ok()) << row.text << ": " << parsed.error().message();
    EXPECT_EQ(parsed->canonical(), row.canonical) << row.text;
    EXPECT_EQ(parsed->familiar(), row.familiar) << row.text;
    EXPECT_EQ(Reference::parse(parsed->canonical()).value(), *parsed) << row.text;
  }
}

TEST(Reference, RefusesInDockersWords) {
  struct Row {
    std::string text;
    std::string message;
  };
  const std::string hex(64, 'a');
  const Row rows[] = {
      {"", "invalid reference format"},
      {"a:", "invalid reference format"},
      {":a", "invalid reference format"},
      {"a//b", "invalid reference format"},
      {"a..b", "invalid reference format"},
      {"a___b", "invalid reference format"},
      {"-a", "invalid reference format"},
      {"a b", "invalid reference format"},
      {"x:.a", "invalid reference format"},
      {"ho_st.example/x", "invalid reference format"},
      {"../../etc", "invalid reference format"},
      {"x/../y", "invalid reference format"},
      {"Redis", "invalid reference format: repository name (library/Redis) must be lowercase"},
      {hex, "invalid repository name (" + hex + "), cannot specify 64-byte hexadecimal strings"},
      {std::string(256, 'a'), "repository name must not be more than 255 characters"},
      {"x@sha256:abc", "invalid reference format"},
      {"x@md5:" + std::string(32, 'a'), "unsupported digest algorithm"},
      {"x@sha256:" + std::string(63, 'a'), "invalid checksum digest length"},
  };
  for (const Row& row : rows) {
    Result<Reference> parsed = Reference::parse(row.text);
    ASSERT_FALSE(parsed.ok()) << row.text << " gave " << parsed->canonical();
    EXPECT_EQ(parsed.error().message(), row.message) << row.text;
    EXPECT_EQ(parsed.error().code(), Code::invalid);
  }
}

}  // namespace
}  // namespace gantry::engine
