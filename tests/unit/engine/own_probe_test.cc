#include <gtest/gtest.h>

#include <csignal>

#include "engine/container/log_probe.h"
#include "engine/container/network_probe.h"
#include "engine/container/signal_reaction.h"

namespace gantry::engine {
namespace {

std::string target_of(const std::vector<std::string>& test) {
  const auto target = parse_network_target(test);
  if (!target.ok()) return target.error().message();
  return target->address + " " + std::to_string(target->port) + " " + target->path + " " +
         std::to_string(target->least_status) + "-" + std::to_string(target->most_status);
}

TEST(OwnProbe, TargetsOfNetworkProbes) {
  EXPECT_EQ(target_of({"TCP", "127.0.0.1:80"}), "127.0.0.1 80  200-399");
  EXPECT_EQ(target_of({"TCP", "[::1]:80"}), "::1 80  200-399");
  EXPECT_EQ(target_of({"HTTP", "http://localhost/x"}), "127.0.0.1 80 /x 200-399");
  EXPECT_EQ(target_of({"HTTP", "http://127.0.0.1:8080", "204"}), "127.0.0.1 8080 / 204-204");
  EXPECT_NE(target_of({"HTTP", "http://name:8080/"}).find("is no IP address"), std::string::npos);
  EXPECT_NE(target_of({"HTTP", "https://127.0.0.1/"}).find("http://HOST:PORT/PATH"), std::string::npos);
  EXPECT_NE(target_of({"HTTP", "http://127.0.0.1/", "900"}).find("range of status codes"), std::string::npos);
  EXPECT_NE(target_of({"TCP", "127.0.0.1:0"}).find("has no port"), std::string::npos);
  EXPECT_NE(target_of({"TCP"}).find("needs an address"), std::string::npos);
  EXPECT_FALSE(check_log_expression("(").ok());
}

TEST(OwnProbe, SignalsThatPid1NeverHears) {
  const auto status = [](const char* pids, const char* blocked, const char* ignored, const char* caught) {
    return std::string("Name:\tsleep\nNSpid:\t") + pids + "\nSigBlk:\t" + blocked + "\nSigIgn:\t" + ignored +
           "\nSigCgt:\t" + caught + "\n";
  };
  constexpr const char* kNone = "0000000000000000";
  constexpr const char* kTerm = "0000000000004000";
  EXPECT_TRUE(drops_signal(status("1234\t1", kNone, kNone, kNone), SIGTERM));
  EXPECT_FALSE(drops_signal(status("1234\t1", kNone, kNone, kTerm), SIGTERM));
  EXPECT_TRUE(drops_signal(status("1234\t1", kNone, kNone, kTerm), SIGINT));
  EXPECT_FALSE(drops_signal(status("1234\t1", kTerm, kNone, kNone), SIGTERM));  // it may wait for it
  EXPECT_FALSE(drops_signal(status("1234\t1", kNone, kTerm, kNone), SIGTERM));  // on purpose
  EXPECT_FALSE(drops_signal(status("1234\t7", kNone, kNone, kNone), SIGTERM));
  EXPECT_FALSE(drops_signal(status("1234", kNone, kNone, kNone), SIGTERM));  // the host's pid namespace
  EXPECT_FALSE(drops_signal("", SIGTERM));
}

}  // namespace
}  // namespace gantry::engine
