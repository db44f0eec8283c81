#include "shim/log_line.h"

#include <gtest/gtest.h>

#include <cstring>
#include <memory>
#include <random>
#include <vector>

#include "shim/log_lines.h"

namespace gantry::shim {
namespace {

TEST(LogLine, CarriesItsAttributesBetweenStreamAndTime) {
  std::string line;
  append_log_line(line, "a\"b", true, "stdout", "T", R"({"k":"v"})");
  EXPECT_EQ(line, "{\"log\":\"a\\\"b\\n\",\"stream\":\"stdout\",\"attrs\":{\"k\":\"v\"},\"time\":\"T\"}\n");
  line.clear();
  append_log_line(line, "x", false, "stderr", "T");
  EXPECT_EQ(line, "{\"log\":\"x\",\"stream\":\"stderr\",\"time\":\"T\"}\n");
}

TEST(LogLine, EveryByteEndsAPlainRunOrGoesOnWithItWhereverItStands) {
  for (int byte = 0; byte < 256; ++byte) {
    for (const size_t before : {0, 1, 15, 16, 17, 31, 40}) {
      std::string text(before, 'x');
      text += static_cast<char>(byte);
      text += std::string(40, 'y');
      const size_t expected = is_plain(static_cast<unsigned char>(byte)) ? text.size() : before;
      EXPECT_EQ(plain_length(text), expected) << byte << " after " << before;
    }
  }
}

TEST(LogLine, WhatIsNotPlainIsEscaped) {
  std::string out;
  append_json_text(out, "a <b> & \"c\" \\ \x01\t\x7f \xc3\xa4 \xe2\x80\xa8 \xff 0123456789abcdef<");
  EXPECT_EQ(out, "a \\u003cb\\u003e \\u0026 \\\"c\\\" \\\\ \\u0001\\u0009\x7f \xc3\xa4 \\u2028 \\ufffd 0123456789abcdef\\u003c");
}

TEST(LogLine, TheCompactFormKeepsBytesAsTheyAre) {
  std::string line;
  append_compact_line(line, "a\xff\"b", true, "stdout", 1'764'100'000'123'456'789);
  append_compact_line(line, "piece", false, "stderr", 5);
  EXPECT_EQ(line, "o1764100000123456789 a\xff\"b\nE5 piece\n");
}

TEST(LineCutter, PiecesOfALongLineHaveItsFirstTime) {
  LineCutter cutter("stdout");
  std::string cut;
  const auto emit = [&](std::string_view text, bool newline, int64_t time) {
    cut += std::to_string(text.size()) + (newline ? "n" : "p") + std::to_string(time) + " ";
  };
  cutter.feed(std::string(kLogPiece + 10, 'x'), 1, emit);
  cutter.feed("yy\nz", 2, emit);
  cutter.finish(emit);
  EXPECT_EQ(cut, "16384p1 12n1 1p2 ");
}

// Records of `text`'s whole lines, one after the other.
std::string one_by_one(std::string_view text, bool compact) {
  std::string records;
  LineCutter cutter("stderr");
  cutter.feed(text, 7, [&](std::string_view line, bool newline, int64_t time) {
    if (compact) append_compact_line(records, line, newline, "stderr", time);
    else append_log_line(records, line, newline, "stderr", "T", R"({"k":"\n"})");
  });
  return records;
}

// Of each width that this processor has.
std::vector<AppendLines> all_json_lines() {
  std::vector<AppendLines> all = {append_json_lines_16};
#ifdef __x86_64__
  if (__builtin_cpu_supports("bmi") && __builtin_cpu_supports("avx2")) all.push_back(append_json_lines_32);
  if (__builtin_cpu_supports("bmi") && __builtin_cpu_supports("avx512bw")) all.push_back(append_json_lines_64);
  if (__builtin_cpu_supports("bmi2") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vbmi2")) {
    all.push_back(append_json_lines_64_expanding);
  }
#endif
  return all;
}

std::string at_once(std::string_view& text, bool compact) {
  std::string bytes(1 << 20, '\0');
  RecordSpace space(bytes.data(), bytes.size());
  if (compact) {
    append_compact_lines(space, text, compact_frame("stderr", 7));
    return std::string(space.records());
  }
  const std::string_view all = text;
  std::string records;
  for (const AppendLines append : all_json_lines()) {
    space.clear();
    text = all;
    append(space, text, json_frame("stderr", "T", R"({"k":"\n"})"));
    if (append != append_json_lines_16) {
      EXPECT_EQ(space.records(), records);
    }
    records = space.records();
  }
  return records;
}

TEST(LogTime, IsAsGoWritesIt) {
  const std::pair<int64_t, std::string_view> cases[] = {
      {0, "1970-01-01T00:00:00Z"},
      {1, "1970-01-01T00:00:00.000000001Z"},
      {951'782'400'500'000'000, "2000-02-29T00:00:00.5Z"},
      {951'782'400'000'100'000, "2000-02-29T00:00:00.0001Z"},
      {1'709'251'199'999'999'999, "2024-02-29T23:59:59.999999999Z"},
      {1'764'201'600'120'000'000, "2025-11-27T00:00:00.12Z"},
      {4'102'444'799'000'000'000, "2099-12-31T23:59:59Z"},
  };
  LogTime time;  // one for all: it keeps the second
  for (const auto& [ns, text] : cases) {
    time.set(ns);
    EXPECT_EQ(time.text(), text);
  }
}

TEST(LogLines, ManyAtOnceAreTheSameRecords) {
  std::mt19937 random(1);
  const std::string_view parts[] = {"x",  "plain words of some length", "\n", "\"", "\\", "\t", "<", "\xc3\xa4", "\xe2\x80\xa8",
                                    "\xff", std::string_view("\0", 1), "\r\n"};
  for (int round = 0; round < 2000; ++round) {
    std::string text;
    for (unsigned count = random() % 60; count > 0; --count) {
      text += parts[random() % std::size(parts)];
      if (round % 2 == 0) text += "\"key\":\"";  // as in lines of JSON
    }
    text += "\n";
    for (const bool compact : {false, true}) {
      std::string_view rest = text;
      EXPECT_EQ(at_once(rest, compact), one_by_one(text, compact)) << text;
      EXPECT_TRUE(rest.empty());
    }
  }
}

TEST(LogLines, WellFormedAndOtherSequencesOfBytes) {
  std::mt19937 random(2);
  const std::string_view bytes = "\x80\x8f\x9f\xa0\xa8\xa9\xaa\xbf\xc0\xc1\xc2\xdf\xe0\xe1\xe2\xec\xed\xee\xef\xf0\xf1\xf4\xf5\xff";
  // Those at the bounds of what is well-formed, and those beyond.
  const std::string_view parts[] = {"\xc3\xa4",     "\xdf\xbf",     "\xe0\xa0\x80", "\xe0\x9f\xbf", "\xe2\x80\xa7",     "\xe2\x80\xa8",
                                    "\xe2\x80\xa9", "\xe2\x80\xaa", "\xe2\x81\xa8", "\xed\x9f\xbf", "\xed\xa0\x80",     "\xef\xbf\xbf",
                                    "\xc1\xbf",     "\xc2\x80",     "\xe0\xbf\xc0", "\xe1\x7f\x80", "\xf0\x9f\x90\xb3", "\xf5\x80\x80\x80"};
  for (int round = 0; round < 4000; ++round) {
    std::string text;
    for (unsigned count = random() % 150; count > 0; --count) {
      const unsigned kind = random() % 8;
      if (kind < 3) text += parts[random() % std::size(parts)];
      else if (kind < 6 && round % 2 == 0) text += bytes[random() % bytes.size()];
      else text += "x\""[random() % 10 == 0];
    }
    text += "\n";
    std::string_view rest = text;
    EXPECT_EQ(at_once(rest, false), one_by_one(text, false));
  }
}

TEST(LogLines, LongAndUnfinishedLinesAreLeft) {
  for (const bool compact : {false, true}) {
    std::string text = "a\n" + std::string(kLogPiece - 1, '<') + "\n";
    std::string_view rest = text;
    EXPECT_EQ(at_once(rest, compact), one_by_one(text, compact));
    EXPECT_TRUE(rest.empty());

    text = "a\n" + std::string(kLogPiece, 'x') + "\n";
    rest = text;
    at_once(rest, compact);
    EXPECT_EQ(rest.size(), kLogPiece + 1) << "a text of a piece's size has no line end in its record";

    text = "a\nb";
    rest = text;
    at_once(rest, compact);
    EXPECT_EQ(rest, "b");
  }
}

TEST(LogLines, EachLengthAndEachPlaceOfASpecialCharacter) {
  for (size_t length = 0; length < 200; ++length) {
    for (const std::string_view special : {"\"", "\x01", "\xc3\xa4", "\xe2\x80\xa9", "\xf0\x9f\x90\xb3", "\xf0\x9f", "\n"}) {
      const std::string text = std::string(length, 'x') + std::string(special) + "y\n" + std::string(special) + "\n";
      // Nothing is read beyond its end.
      auto bytes = std::make_unique<char[]>(text.size());
      std::memcpy(bytes.get(), text.data(), text.size());
      std::string_view rest(bytes.get(), text.size());
      EXPECT_EQ(at_once(rest, false), one_by_one(text, false)) << text;
      EXPECT_TRUE(rest.empty());
    }
  }
}

TEST(LogLines, OnlyALineShorterThanAPieceIsTaken) {
  for (size_t length = kLogPiece - 70; length < kLogPiece + 200; ++length) {
    for (const char fill : {'x', '<'}) {
      for (const bool compact : {false, true}) {
        const std::string text = std::string(length, fill) + "\n" + std::string(200, 'y') + "\n";
        std::string_view rest = text;
        const std::string records = at_once(rest, compact);
        if (length < kLogPiece) {
          EXPECT_EQ(records, one_by_one(text, compact)) << length;
        } else {
          EXPECT_EQ(records, "") << length;
          EXPECT_EQ(rest, text);
        }
      }
    }
  }
}

TEST(LogLines, ALineThatMayHaveNoRoomIsLeft) {
  std::string bytes(kMostText + 100, '\0');
  RecordSpace space(bytes.data(), bytes.size());
  std::string_view rest = "first\nsecond\n";
  append_compact_lines(space, rest, compact_frame("stdout", 7));
  append_compact_lines(space, rest, {.head = ShortText(std::string(90, 'h')), .tail = ShortText("\n")});
  EXPECT_EQ(space.records(), "o7 first\no7 second\n");
  rest = "third\n";
  append_compact_lines(space, rest, {.head = ShortText(std::string(90, 'h')), .tail = ShortText("\n")});
  EXPECT_EQ(rest, "third\n");
}

}  // namespace
}  // namespace gantry::shim
