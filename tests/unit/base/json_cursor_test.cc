#include "base/json_cursor.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

using namespace gantry;
using nlohmann::json;

namespace {

bool is_json(std::string_view text) {
  JsonCursor cursor(text);
  cursor.skip();
  return cursor.finished();
}

// A document made of what the cursor hands out.
json rebuilt(JsonCursor& cursor) {
  switch (cursor.next()) {
    case '{': {
      json object = json::object();
      cursor.members([&](std::string_view key) {
        const std::string name(key);
        object[name] = rebuilt(cursor);
      });
      return object;
    }
    case '[': {
      json array = json::array();
      cursor.items([&] { array.push_back(rebuilt(cursor)); });
      return array;
    }
    case '"': return cursor.text();
    case 't':
    case 'f': return cursor.flag();
    case 'n': return cursor.skip(), json();
    default: return cursor.number();
  }
}

}  // namespace

TEST(JsonCursor, HandsOutWhatAParserFinds) {
  for (const std::string text :
       {R"({})", R"([])", R"("")", R"( {"a" : [1, -2, 0, true, false, null], "b":{"c":"d"}} )", R"(["\"quoted\" \\ \/ \n\t", "ä€𝄞"])",
        R"({"\u0041\ud834\udd1e": "\u00e4"})", R"([1234567890123456789, -1, 1e3, 2.5])", "[\r\n\t]", R"({"a":1,"a":2})"}) {
    JsonCursor cursor(text);
    const json found = rebuilt(cursor);
    EXPECT_TRUE(cursor.finished()) << text;
    json expected = json::parse(text);
    for (json& number : expected) {
      if (number.is_number_float()) number = number.get<int64_t>();
    }
    EXPECT_EQ(found.dump(), expected.dump()) << text;
  }
}

TEST(JsonCursor, TakesForJsonWhatAParserTakesForJson) {
  for (const std::string text :
       {"", " ", "{", "}", "[", "[1", "[1,", "[1,]", "[,1]", "[1 2]", "{\"a\"}", "{\"a\":}", "{\"a\":1,}", "{a:1}", "{1:2}",
        "\"", "\"\\\"", "\"\\x\"", "\"\\u12\"", "\"\\ud834\"", "\"line\nfeed\"", "\"no \xff UTF-8\"", "\"cut \xe2\x82\"",
        "01", "-", "1.", ".5", "+1", "1e", "1e5", "-0", "0.0", "1-2", "NaN", "tru", "truee", "nul", "true", "null", "1 1",
        "\"a\" \"b\"", "[\"a\":1]", "{\"a\",1}", "[]]", "99999999999999999999", "1e400", "'a'", "[1] // no", "\"\\\\\"", "\"\\\\\\\""}) {
    EXPECT_EQ(is_json(text), json::accept(text)) << text;
  }
  const std::string nul("[1,\0]", 5);
  EXPECT_FALSE(is_json(nul));
}

TEST(JsonCursor, EveryCutOfATextIsAnError) {
  const std::string text = R"({"Names":["/a"],"Created":12,"Labels":{"k\n":"\u00e4","l":null},"Ports":[{"P":80}],"ok":true})";
  for (size_t length = 0; length < text.size(); ++length) EXPECT_FALSE(is_json(text.substr(0, length))) << length;
  EXPECT_TRUE(is_json(text));
}

TEST(JsonCursor, WhatIsOfAnotherKindReadsAsEmpty) {
  JsonCursor cursor(R"([{"a":1}, [2], "three", 4, true, null])");
  std::string seen;
  cursor.items([&] {
    switch (seen.size()) {
      case 0: seen += cursor.text().empty() ? 'e' : 'x'; break;
      case 1: seen += cursor.number() == 0 ? 'e' : 'x'; break;
      case 2: seen += cursor.flag() ? 'x' : 'e'; break;
      case 3: cursor.members([&](std::string_view) { seen += 'x'; }), seen += 'e'; break;
      case 4: cursor.items([&] { seen += 'x'; }), seen += 'e'; break;
      default: seen += cursor.texts().empty() ? 'e' : 'x'; break;
    }
  });
  EXPECT_EQ(seen, "eeeeee");
  EXPECT_TRUE(cursor.finished());
}

TEST(JsonCursor, PassesOverNoBottomlessText) {
  EXPECT_TRUE(is_json(std::string(400, '[') + std::string(400, ']')));
  EXPECT_FALSE(is_json(std::string(100000, '[')));
}
