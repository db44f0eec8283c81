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
