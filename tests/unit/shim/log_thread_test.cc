#include "shim/log_thread.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <random>
#include <sstream>

namespace gantry::shim {
namespace {

struct Case {
  const char* name;
  LogFormat format;
  uint64_t max_size;
  size_t longest;  // of a line
};

constexpr char kAttributes[] = R"({"tag":"t"})";

class LogThreadFlushTest : public testing::Test {
 protected:
  LogThreadFlushTest() {
    char name[] = "/tmp/gantry-log-XXXXXX";
    directory_ = ::mkdtemp(name);
  }
  ~LogThreadFlushTest() override { std::filesystem::remove_all(directory_); }

  std::filesystem::path directory_;
};

class LogThreadTest : public LogThreadFlushTest, public testing::WithParamInterface<Case> {
 protected:

  LogOptions options() const { return {.path = directory_ / "log", .max_size = GetParam().max_size, .max_files = 3, .compress = false}; }

  // The files' content, the oldest one's first.
  std::string logged() const {
    std::ostringstream text;
    for (const char* end : {".2", ".1", ""}) {
      std::ifstream file((directory_ / "log").string() + end);
      if (file.peek() != EOF) text << file.rdbuf();
    }
    return text.str();
  }

  // Lines of all kinds of characters; `data` is cut anywhere.
  std::string some_data() {
    std::uniform_int_distribution<size_t> length(0, GetParam().longest);
    std::uniform_int_distribution<int> special(0, 255);
    std::string text;
    while (text.size() < (3u << 20)) {
      text.append(length(random_), static_cast<char>('a' + text.size() % 26));
      text += static_cast<char>(special(random_));
      text += '\n';
    }
    return text;
  }

  std::mt19937 random_{1};
};

// As LineCutter and the one-line functions have it.
class Expected {
 public:
  explicit Expected(LogFormat format) : format_(format) {}
  void write(LineCutter& stream, std::string_view data, int64_t now) {
    stream.feed(data, now, [&](std::string_view text, bool newline, int64_t time) { add(stream, text, newline, time); });
  }
  void finish(LineCutter& stream) {
    stream.finish([&](std::string_view text, bool newline, int64_t time) { add(stream, text, newline, time); });
  }
  const std::string& text() const { return text_; }

 private:
  void add(const LineCutter& stream, std::string_view text, bool newline, int64_t time) {
    if (format_ == LogFormat::compact) return append_compact_line(text_, text, newline, stream.stream(), time);
    LogTime written;
    written.set(time);
    append_log_line(text_, text, newline, stream.stream(), written.text(), kAttributes);
  }

  LogFormat format_;
  std::string text_;
};

// The caller comes faster than any thread writes, and so makes many of the records itself.
TEST_P(LogThreadTest, WritesWhatOneLineAfterTheOtherWouldBe) {
  // Both live as long as the process, as the thread does.
  LogFile& log = *new LogFile;
  LogThread& thread = *new LogThread(log);
  ASSERT_TRUE(log.open(options(), GetParam().format, kAttributes, 0));
  ASSERT_TRUE(thread.begin_burst());
  LineCutter out("stdout"), err("stderr"), expected_out("stdout"), expected_err("stderr");
  Expected expected(GetParam().format);
  const std::string data = some_data();
  int64_t now = 1'764'100'000'123'456'789;
  std::bernoulli_distribution seldom(0.1);
  std::uniform_int_distribution<size_t> part(1, LogThread::kPiece);
  for (std::string_view rest = data; !rest.empty(); ++now) {
    const bool is_err = seldom(random_);
    const std::string_view piece = rest.substr(0, seldom(random_) ? part(random_) : LogThread::kPiece);
    std::memcpy(thread.room(), piece.data(), piece.size());
    ASSERT_TRUE(thread.write(is_err ? err : out, piece.size(), now));
    expected.write(is_err ? expected_err : expected_out, piece, now);
    ASSERT_TRUE(!seldom(random_) || thread.flush());
    rest.remove_prefix(piece.size());
  }
  thread.take_back();
  EXPECT_FALSE(thread.has_log());
  for (LineCutter* stream : {&out, &err}) log.finish(*stream);
  for (LineCutter* stream : {&expected_out, &expected_err}) expected.finish(*stream);
  const std::string text = logged();
  if (GetParam().max_size == 0) {
    EXPECT_EQ(text.size(), expected.text().size());
  } else {
    EXPECT_GE(text.size(), GetParam().max_size);
  }
  EXPECT_TRUE(expected.text().ends_with(text));  // not EXPECT_EQ: megabytes would be printed
}

// What is there is not kept back until there is more of it.
TEST_F(LogThreadFlushTest, IsSeenInTheFile) {
  LogFile& log = *new LogFile;
  LogThread& thread = *new LogThread(log);
  ASSERT_TRUE(log.open({.path = directory_ / "log", .max_size = 0, .max_files = 1, .compress = false}, LogFormat::json, "", 0));
  ASSERT_TRUE(thread.begin_burst());
  LineCutter out("stdout");
  std::memcpy(thread.room(), "a\n", 2);
  ASSERT_TRUE(thread.write(out, 2, 1));
  ASSERT_TRUE(thread.flush());
  const int watch = ::inotify_init1(IN_CLOEXEC);
  ASSERT_GE(::inotify_add_watch(watch, directory_.c_str(), IN_MODIFY), 0);
  char event[512];
  while (std::filesystem::file_size(directory_ / "log") == 0) {
    ASSERT_GT(::read(watch, event, sizeof event), 0);
  }
  ::close(watch);
  thread.take_back();
}

TEST_F(LogThreadFlushTest, ThereIsNoBurstWithoutALog) {
  LogFile log;
  LogThread thread(log);
  EXPECT_FALSE(thread.begin_burst());
  EXPECT_FALSE(thread.flush());
}

INSTANTIATE_TEST_SUITE_P(Logs, LogThreadTest,
                         testing::Values(Case{"json", LogFormat::json, 0, 200}, Case{"compact", LogFormat::compact, 0, 200},
                                         Case{"short_lines", LogFormat::json, 0, 2}, Case{"long_lines", LogFormat::json, 0, 100'000},
                                         Case{"rotated", LogFormat::json, 1 << 20, 200}),
                         [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace gantry::shim
