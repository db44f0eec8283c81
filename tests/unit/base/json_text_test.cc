#include "base/json_text.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

using namespace gantry;

TEST(JsonText, IsWhatAPrinterOfJsonWrites) {
  using nlohmann::json;
  for (const std::string text : {"", "plain text/with:signs", "quote \" and \\", "line\nand\ttab", "\x01", "\x7f", "ä€𝄞", "no \xff UTF-8"}) {
    std::string out = "x";
    append_json(out, text);
    EXPECT_EQ(out, "x" + json(text).dump(-1, ' ', false, json::error_handler_t::replace)) << text;
  }
}
