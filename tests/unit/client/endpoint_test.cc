#include <gtest/gtest.h>

#include "base/roots.h"
#include "client/api_client.h"
#include "client/connection.h"

namespace gantry::client {
namespace {

using Environment = std::map<std::string, std::string>;

TEST(Endpoint, TheNearestWordWins) {
  struct Row {
    Environment environment;
    const char* flag;
    const char* host;
    bool may_start;
  };
  const Row rows[] = {
      {{}, "", "unix:///run/gantry/gantry.sock", true},
      {{{"DOCKER_HOST", "unix:///d.sock"}}, "", "unix:///d.sock", false},
      {{{"DOCKER_HOST", "unix:///d.sock"}, {"GANTRY_HOST", "unix:///g.sock"}}, "", "unix:///g.sock", false},
      {{{"GANTRY_HOST", "unix:///g.sock"}}, "unix:///f.sock", "unix:///f.sock", false},
      {{{"GANTRY_RUN_ROOT", "/tmp/r"}}, "", "unix:///tmp/r/gantry.sock", true},
      {{{"GANTRY_RUN_ROOT", "/tmp/r"}, {"DOCKER_HOST", "unix:///d.sock"}}, "", "unix:///tmp/r/gantry.sock", true},
      {{{"GANTRY_RUN_ROOT", "/tmp/r"}}, "unix:///f.sock", "unix:///f.sock", true},
      {{}, "tcp://localhost:2375", "tcp://localhost:2375", false},
  };
  for (const Row& row : rows) {
    const Result<Endpoint> endpoint = Endpoint::from_environment(row.environment, row.flag);
    ASSERT_TRUE(endpoint.ok()) << row.host << ": " << endpoint.error().message();
    EXPECT_EQ(endpoint->host, row.host);
    EXPECT_EQ(endpoint->may_start_daemon(), row.may_start) << row.host;
  }
}

TEST(Endpoint, ADataRootOfItsOwnHasASocketOfItsOwn) {
  const auto one = Endpoint::from_environment({{"GANTRY_DATA_ROOT", "/tmp/one"}}, "");
  const auto two = Endpoint::from_environment({}, "", "/tmp/two");
  ASSERT_TRUE(one.ok() && two.ok());
  EXPECT_EQ(one->host, "unix:///run/gantry-" + instance_tag("/tmp/one") + "/gantry.sock");
  EXPECT_NE(one->host, two->host);
  EXPECT_TRUE(one->may_start_daemon());
}

TEST(Endpoint, RefusesWhatItCannotReach) {
  struct Row {
    const char* host;
    Code code;
    const char* message;
  };
  const Row rows[] = {
      {"https://host", Code::unsupported, "host \"https://host\": https:// is not supported; use unix://, tcp:// or ssh://"},
      {"ssh://-oProxyCommand=x", Code::invalid, "host \"ssh://-oProxyCommand=x\": no host name"},
      {"unix://relative", Code::invalid, "host \"unix://relative\": a unix socket needs an absolute path"},
      {"nonsense", Code::invalid, "host \"nonsense\" is no address: expected unix:///path, tcp://host:port or ssh://user@host"},
  };
  for (const Row& row : rows) {
    const Result<Endpoint> endpoint = Endpoint::from_environment({}, row.host);
    ASSERT_FALSE(endpoint.ok()) << row.host;
    EXPECT_EQ(endpoint.error().code(), row.code);
    EXPECT_EQ(endpoint.error().message(), row.message);
  }
}

TEST(Endpoint, TlsComesFromFlagsAndEnvironment) {
  const auto by_environment = Endpoint::from_environment({{"DOCKER_TLS_VERIFY", "1"}, {"HOME", "/nowhere"}}, "tcp://host:2376");
  ASSERT_TRUE(by_environment.ok());
  EXPECT_TRUE(by_environment->tls.on && by_environment->tls.verify);
  const auto by_flags = Endpoint::from_environment({{"HOME", "/nowhere"}}, "tcp://host:2376", {}, {}, {.tls = true, .tls_cert = "/c"});
  ASSERT_TRUE(by_flags.ok());
  EXPECT_TRUE(by_flags->tls.on);
  EXPECT_FALSE(by_flags->tls.verify);
  EXPECT_EQ(by_flags->tls.files.cert, "/c");
  EXPECT_FALSE(Endpoint::from_environment({}, "tcp://host:2376")->tls.on);
}

TEST(Address, SshHasUserPortAndSocket) {
  const auto address = Address::parse("ssh://me@host:2222/run/g.sock");
  ASSERT_TRUE(address.ok());
  EXPECT_EQ(address->user, "me");
  EXPECT_EQ(address->host, "host");
  EXPECT_EQ(address->port, "2222");
  EXPECT_EQ(address->path, "/run/g.sock");
  EXPECT_EQ(Address::parse("ssh://host")->port, "");
}

TEST(Address, TakesHostsAndPortsApart) {
  struct Row {
    const char* text;
    const char* host;
    const char* port;
  };
  for (const Row& row : {Row{"tcp://a:1", "a", "1"}, Row{"tcp://a", "a", "2375"}, Row{"tcp://[::1]:9", "::1", "9"},
                         Row{"tcp://[::1]", "::1", "2375"}}) {
    const Result<Address> address = Address::parse(row.text);
    ASSERT_TRUE(address.ok()) << row.text;
    EXPECT_EQ(address->host, row.host);
    EXPECT_EQ(address->port, row.port);
  }
}

TEST(UrlEncode, KeepsOnlyWhatNeedsNoEscape) { EXPECT_EQ(url_encode("a b/c:d~1%é"), "a%20b%2Fc%3Ad~1%25%C3%A9"); }

}  // namespace
}  // namespace gantry::client
