#include "shim/log_line.h"

#include <gtest/gtest.h>

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

}  // namespace
}  // namespace gantry::shim
