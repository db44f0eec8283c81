#include "engine/container/log_reader.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <fstream>
#include <optional>
#include <thread>
#include <vector>

#include "engine/container/log_entry.h"

namespace gantry::engine {
namespace {

class LogReaderTest : public testing::Test {
 protected:
  LogReaderTest() {
    char name[] = "/tmp/gantry-log-XXXXXX";
    directory_ = ::mkdtemp(name);
    path_ = directory_ / "json.log";
  }
  ~LogReaderTest() override { std::filesystem::remove_all(directory_); }

  static std::string line(int n, const char* stream = "stdout") {
    const std::string number = std::to_string(n);
    return "{\"log\":\"line " + number + "\\n\",\"stream\":\"" + stream + "\",\"time\":\"2026-01-02T03:04:0" + number +
           "Z\"}\n";
  }
  void append(const std::filesystem::path& path, const std::string& text) {
    std::ofstream(path, std::ios::app) << text;
  }
  // Lines 1-3 in the oldest file, 4-6 in the next one, 7-9 in the current one.
  void three_files() {
    append(path_.string() + ".2", line(1) + line(2) + line(3));
    append(path_.string() + ".1", line(4) + line(5) + line(6));
    append(path_, line(7) + line(8) + line(9));
  }
  static WallTime at(int second) {
    WallTime time;
    EXPECT_TRUE(parse_rfc3339("2026-01-02T03:04:0" + std::to_string(second) + "Z", time));
    return time;
  }
  // The numbers of the lines that come until the end.
  static std::string rest(LogReader& reader) {
    std::string numbers;
    for (;;) {
      Result<std::optional<LogEntry>> entry = reader.next();
      if (!entry) return entry.error().message();
      if (!*entry) return numbers;
      numbers += (**entry).text.substr(5, 1);
    }
  }
  static LogRendering numbers() {
    return {.name = "numbers", .append = [](const LogEntry& entry, std::string& text) { text += entry.text.substr(5, 1); }};
  }
  static std::string rest_as_text(LogReader& reader) {
    std::string all;
    for (;;) {
      Result<std::shared_ptr<const std::string>> text = reader.next_text(numbers());
      if (!text) return text.error().message();
      if (!*text) return all;
      all += **text;
    }
  }
  std::string read(LogReadOptions options) {
    auto reader = open_log(path_, options);
    auto shared = open_log(path_, options);
    if (!reader || !shared) return "cannot be opened";
    const std::string numbers = rest(**reader);
    EXPECT_EQ(rest_as_text(**shared), numbers);
    return numbers;
  }

  std::filesystem::path directory_;
  std::filesystem::path path_;
};

TEST_F(LogReaderTest, RotatedFilesAreReadOldestFirst) {
  three_files();
  EXPECT_EQ(read({}), "123456789");
}

TEST_F(LogReaderTest, TailCountsAcrossFiles) {
  three_files();
  EXPECT_EQ(read({.tail = 0}), "");
  EXPECT_EQ(read({.tail = 2}), "89");
  EXPECT_EQ(read({.tail = 3}), "789");
  EXPECT_EQ(read({.tail = 4}), "6789");
  EXPECT_EQ(read({.tail = 7}), "3456789");
  EXPECT_EQ(read({.tail = 99}), "123456789");
}

TEST_F(LogReaderTest, TailOfALogLongerThanAChunk) {
  for (int i = 0; i < 3000; ++i) append(path_, line(i % 10));
  EXPECT_EQ(read({.tail = 12}), "890123456789");
  EXPECT_EQ(read({.tail = 2500}).size(), 2500u);
  EXPECT_EQ(read({}).size(), 3000u);
}

TEST_F(LogReaderTest, ReadersAtOncePassOnTheSameText) {
  std::string wanted;
  {
    std::ofstream log(path_);
    for (int i = 0; i < 20000; ++i) {
      log << line(i % 10);
      wanted += std::to_string(i % 10);
    }
  }
  std::vector<std::string> texts(8);
  std::vector<std::thread> readers;
  for (std::string& text : texts) {
    readers.emplace_back([this, &text] {
      auto reader = open_log(path_, {.follow = true});
      (*reader)->finish();
      text = rest_as_text(**reader);
    });
  }
  for (std::thread& reader : readers) reader.join();
  for (const std::string& text : texts) EXPECT_TRUE(text == wanted) << text.size();
}

TEST_F(LogReaderTest, AFollowersTextGoesOnWhereTheFileEnded) {
  auto reader = open_log(path_, {.follow = true});
  auto other = open_log(path_, {.follow = true});
  std::thread writer([&] {
    std::ofstream log(path_);
    for (int i = 0; i < 5000; ++i) {
      const std::string text = line(i % 10);
      log << text.substr(0, 7) << std::flush << text.substr(7) << std::flush;
    }
    (*reader)->finish();
    (*other)->finish();
  });
  std::string theirs;
  std::thread second([&] { theirs = rest_as_text(**other); });
  const std::string ours = rest_as_text(**reader);
  writer.join();
  second.join();
  EXPECT_EQ(ours.size(), 5000u);
  EXPECT_TRUE(ours == theirs);
  EXPECT_EQ(ours.substr(0, 12), "012345678901");
}

TEST_F(LogReaderTest, SinceAndUntilIncludeTheirInstant) {
  three_files();
  EXPECT_EQ(read({.since = at(3), .until = at(8)}), "345678");
  EXPECT_EQ(read({.tail = 5, .since = at(3), .until = at(6)}), "56");
}

TEST_F(LogReaderTest, AMissingLogIsEmpty) {
  EXPECT_EQ(read({}), "");
  EXPECT_EQ(read({.tail = 3}), "");
}

TEST_F(LogReaderTest, ATornLineIsSkipped) {
  append(path_, line(1) + "{\"log\":\"torn\n" + line(2) + "{\"log\":\"half");
  EXPECT_EQ(read({}), "12");
}

TEST_F(LogReaderTest, AFollowerGetsWhatIsWrittenLaterThroughRotations) {
  append(path_, line(1));
  auto reader = open_log(path_, {.follow = true});
  ASSERT_TRUE(reader.ok());
  std::thread writer([&] {
    append(path_, line(2));
    std::filesystem::rename(path_, path_.string() + ".1");
    append(path_, line(3));
    std::filesystem::rename(path_.string() + ".1", path_.string() + ".2");
    std::filesystem::rename(path_, path_.string() + ".1");
    append(path_, line(4).substr(0, 10));
    append(path_, line(4).substr(10) + line(5));
    (*reader)->finish();
  });
  EXPECT_EQ(rest(**reader), "12345");
  writer.join();
}

TEST_F(LogReaderTest, AFollowerWaitsForALogThatIsNotThereYet) {
  auto reader = open_log(path_, {.tail = 0, .follow = true});
  ASSERT_TRUE(reader.ok());
  std::thread writer([&] { append(path_, line(1)); });
  const auto entry = (*reader)->next();
  ASSERT_TRUE(entry.ok() && *entry);
  EXPECT_EQ((**entry).text, "line 1\n");
  (*reader)->stop();
  EXPECT_EQ(rest(**reader), "");
  writer.join();
}

TEST_F(LogReaderTest, StopWakesAWaitingFollower) {
  append(path_, line(1));
  auto reader = open_log(path_, {.tail = 0, .follow = true});
  ASSERT_TRUE(reader.ok());
  std::thread stopper([&] { (*reader)->stop(); });
  EXPECT_EQ(rest(**reader), "");
  stopper.join();
}

TEST_F(LogReaderTest, AFollowerEndsWhenUntilHasPassed) {
  append(path_, line(1));
  EXPECT_EQ(read({.until = at(9), .follow = true}), "1");
}

TEST(LogEntry, EscapesAndUnknownKeysAreRead) {
  const auto entry = parse_log_entry(
      R"({"log":"a\u003c\"\\\t\u00e9\ud83d\ude00\ufffd\r\n","stream":"stderr","attrs":{"x":[1,{"y":"}"}]},)"
      R"("time":"1970-01-01T00:00:01.000000005Z"})");
  ASSERT_TRUE(entry.has_value());
  EXPECT_EQ(entry->text, "a<\"\\\t\u00e9\U0001f600\ufffd\r\n");
  EXPECT_EQ(entry->stream, LogStream::err);
  EXPECT_EQ(entry->time.time_since_epoch().count(), 1'000'000'005);
}

TEST(LogEntry, WhatIsNoEntryIsRefused) {
  for (const char* text : {"", "{", "{}", "[]", R"({"log":"x"})", R"({"log":"x","time":"now"})",
                           R"({"log":"\u12","time":"1970-01-01T00:00:01Z"})",
                           R"({"log":"x","time":"1970-01-01T00:00:01Z")",
                           R"({"log":1,"time":"1970-01-01T00:00:01Z"})"}) {
    EXPECT_FALSE(parse_log_entry(text).has_value()) << text;
  }
}

TEST(LogEntry, NothingOfTheLineBeforeIsLeft) {
  const std::string json = R"({"log":"one\n","stream":"stderr","attrs":{"tag":"t"},"time":"2026-01-02T03:04:05.25Z"})";
  const std::vector<std::string> lines = {
      json,
      R"({"log":"two","stream":"stderr","attrs":{"tag":"t"},"time":"2026-01-02T03:04:05.25Z"})",  // the same after its text
      R"({"log":"three","stream":"stderr","attrs":{"tag":"t"},"time":"2026-01-02T03:04:05.000000003Z"})",  // only its time differs
      R"({"log":"four","stream":"stderr","attrs":{"tag":"t"},"time":"2026-01-02T03:04:05Z"})",
      R"({"log":"five","time":"2026-01-02T03:04:06.5Z"})",
      R"({"log":"torn)",
      R"({"log":"torn")",
      R"({"log":"torn","time":"2026-01-02T03:04:06.5Z")",
      R"({"log":"torn","time":"2026-01-02T03:04:06.)",
      R"({"log":"six","time":"2026-01-02T03:04:06.Z"})",
      R"({"stream":"stderr","time":"2026-01-02T03:04:06.5Z","log":"seven"})",
      R"({"log":"eight","time":"2026-01-02T03:04:06.5Z"})",
      json,
      "o1 nine",
      json,
      R"({"log":"ten","stream":"stderr","log":"eleven","time":"2026-01-02T03:04:05.5Z"})",
      R"({"log":"twelve","stream":"stderr","log":"eleven","time":"2026-01-02T03:04:05.5Z"})",
      R"({"log":"thirteen","time":"2026-01-02T03:04:05Z","x":"1.5Z"})",
      R"({"log":"fourteen","time":"2026-01-02T03:04:05Z","x":"1.6Z"})",
      R"({"log":"fifteen","stream":"stderr","attrs":{"tag":"t"},"time":"nonsense"})",
      R"({"lo\u0067":"sixteen","stre\u0061m":"std\u0065rr","time":"2026-01-02T03:04:0\u0035Z"})",
  };
  LogEntryParser parser;
  for (const std::string& line : lines) {
    const LogEntry* entry = parser.parse(line);
    EXPECT_EQ(entry ? std::optional(*entry) : std::nullopt, parse_log_entry(line)) << line;
  }
  const LogEntry* entry = parser.parse(lines.back());
  ASSERT_TRUE(entry);
  EXPECT_EQ(entry->text, "sixteen");
  EXPECT_EQ(entry->stream, LogStream::err);
  EXPECT_EQ(parse_log_entry(lines[1])->text, "two");
  EXPECT_EQ(parse_log_entry(lines[2])->time - parse_log_entry(lines[0])->time, std::chrono::nanoseconds(3 - 250'000'000));
  EXPECT_EQ(parse_log_entry(lines[15])->text, "eleven");  // as Go's decoder: the last one
}

TEST_F(LogReaderTest, BothFormsOfLinesAreRead) {
  const auto json = parse_log_entry(
      R"({"log":"x\n","stream":"stderr","attrs":{"b c":"1/2","tag":"t"},"time":"2026-01-02T03:04:05Z"})");
  ASSERT_TRUE(json);
  EXPECT_EQ(json->attributes, "b+c=1%2F2,tag=t");
  const auto compact = parse_log_entry("e1767323045000000007 a b\xff");
  ASSERT_TRUE(compact);
  EXPECT_EQ(compact->stream, LogStream::err);
  EXPECT_EQ(compact->text, "a b\xff\n");
  EXPECT_EQ(compact->time - at(5), std::chrono::nanoseconds(7));
  EXPECT_EQ(parse_log_entry("O1 piece")->text, "piece");
  EXPECT_EQ(parse_log_entry("o1 ")->text, "\n");
  for (const char* torn : {"o", "o1", "x1 a", "o-", "oa b", ""}) EXPECT_FALSE(parse_log_entry(torn)) << torn;
}

TEST_F(LogReaderTest, RotatedFilesMayBeCompressed) {
  three_files();
  const std::string pack = "gzip " + path_.string() + ".1 " + path_.string() + ".2";
  ASSERT_EQ(::system(pack.c_str()), 0);
  EXPECT_EQ(rest(**open_log(path_, {})), "123456789");
  EXPECT_EQ(rest(**open_log(path_, {.tail = 5})), "56789");
}

TEST_F(LogReaderTest, AFileThatIsCompressedWhileItIsFollowedIsNotReadTwice) {
  append(path_, line(1) + line(2));
  auto reader = *open_log(path_, {.follow = true});
  EXPECT_EQ((*reader->next())->text, "line 1\n");
  // Rotated and compressed, with the time of the file that it was, as the shim does it.
  std::filesystem::rename(path_, path_.string() + ".1");
  ASSERT_EQ(::system(("gzip " + path_.string() + ".1").c_str()), 0);
  append(path_, line(3));
  reader->finish();
  EXPECT_EQ(rest(*reader), "23");
}

}  // namespace
}  // namespace gantry::engine
