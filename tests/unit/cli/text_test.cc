#include "cli/text.h"

#include <gtest/gtest.h>

#include "cli/commands/commands.h"
#include "cli/table.h"

namespace gantry::cli {
namespace {

using namespace std::chrono_literals;

TEST(Text, DurationsReadAsInDockersLists) {
  const std::vector<std::pair<std::chrono::seconds, std::string>> rows = {
      {0s, "Less than a second"}, {1s, "1 second"},         {59s, "59 seconds"},   {60s, "About a minute"},
      {119s, "About a minute"},   {120s, "2 minutes"},      {59min, "59 minutes"}, {60min, "About an hour"},
      {47h, "47 hours"},          {48h, "2 days"},          {13 * 24h, "13 days"}, {14 * 24h, "2 weeks"},
      {60 * 24h, "2 months"},     {729 * 24h, "24 months"}, {730 * 24h, "2 years"}};
  for (const auto& [duration, expected] : rows) EXPECT_EQ(human_duration(duration), expected) << duration.count();
}

TEST(Text, SizesHaveThreeDigits) {
  const std::vector<std::pair<uint64_t, std::string>> rows = {
      {0, "0B"}, {999, "999B"}, {1000, "1kB"}, {12'340'000, "12.3MB"}, {999'999, "1MB"}, {1'500'000'000, "1.5GB"}};
  for (const auto& [bytes, expected] : rows) EXPECT_EQ(human_size(bytes), expected);
}

TEST(Text, NeighbouringPortsAreJoined) {
  EXPECT_EQ(ports_text({}), "");
  EXPECT_EQ(ports_text({{.target = 80}}), "80/tcp");
  EXPECT_EQ(ports_text({{"0.0.0.0", 81, 8081, "tcp"}, {"0.0.0.0", 80, 8080, "tcp"}, {"", 443, 0, "tcp"}}),
            "443/tcp, 0.0.0.0:8080-8081->80-81/tcp");
  EXPECT_EQ(ports_text({{"::", 53, 53, "udp"}, {"127.0.0.1", 53, 53, "tcp"}}), "127.0.0.1:53->53/tcp, [::]:53->53/udp");
  EXPECT_EQ(ports_text({{"0.0.0.0", 80, 8080, "tcp"}, {"0.0.0.0", 81, 9090, "tcp"}}),
            "0.0.0.0:8080->80/tcp, 0.0.0.0:9090->81/tcp");
}

TEST(Text, TimesAreUnderstoodInEveryUsualForm) {
  const WallTime now{std::chrono::seconds(1'000'000)};
  const std::vector<std::pair<std::string, std::string>> rows = {{"42m", "997480.000000000"},
                                                                 {"1.5s", "999998.500000000"},
                                                                 {"1970-01-02T00:00:00Z", "86400.000000000"},
                                                                 {"1970-01-02T01:00:00+01:00", "86400.000000000"},
                                                                 {"1970-01-02T00:00:00", "86400.000000000"},
                                                                 {"1970-01-02", "86400.000000000"},
                                                                 {"12345", "12345"},
                                                                 {"12345.5", "12345.5"}};
  for (const auto& [text, expected] : rows) {
    const auto time = api_time(text, now);
    ASSERT_TRUE(time.ok()) << text;
    EXPECT_EQ(*time, expected) << text;
  }
  EXPECT_EQ(api_time("yesterday", now).error().message(),
            "invalid time \"yesterday\": give a duration back from now (\"42m\"), a time (\"2026-01-02T15:04:05Z\") or "
            "unix seconds");
}

TEST(Text, ShorteningCountsCharactersNotBytes) {
  EXPECT_EQ(display_width("äöü"), 3u);
  EXPECT_EQ(shorten("äöü", 3), "äöü");
  EXPECT_EQ(shorten("äöüß", 3), "äö…");
  EXPECT_EQ(shorten("container", 6, "..."), "con...");
}

TEST(Text, ColumnsAreAsWideAsTheirWidestCell) {
  Table table({"NAME", "STATUS", "PORTS"});
  table.add({"web-1", "Up", ""});
  table.add({"a", "Exited (0)", "80/tcp"});
  EXPECT_EQ(table.text(),
            "NAME    STATUS       PORTS\n"
            "web-1   Up           \n"
            "a       Exited (0)   80/tcp\n");
  EXPECT_EQ(Table({"A", "B"}).text(), "A   B\n");
}

TEST(Text, ReferencesAreSplitAtTheTagAndNotAtTheRegistrysPort) {
  const auto split = [](std::string_view text) {
    const auto parts = split_reference(text);
    return parts.repository + " " + parts.tag;
  };
  EXPECT_EQ(split("nginx:1.2"), "nginx 1.2");
  EXPECT_EQ(split("nginx"), "nginx <none>");
  EXPECT_EQ(split("host:5000/a/b"), "host:5000/a/b <none>");
  EXPECT_EQ(split("host:5000/a/b:c"), "host:5000/a/b c");
  EXPECT_EQ(split("a:b@sha256:12"), "a b");
  EXPECT_EQ(split(""), "<none> <none>");
}

}  // namespace
}  // namespace gantry::cli
