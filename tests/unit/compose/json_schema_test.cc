// The published schema is the one that the loader checks with.
#include "compose/json_schema.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "compose/schema.h"

namespace gantry::compose {
namespace {

const std::filesystem::path kFile =
    std::filesystem::path(GANTRY_TEST_DATA).parent_path() / "schemas" / "compose-spec.json";

TEST(JsonSchema, ThePublishedFileIsWhatTheLoaderKnows) {
  if (getenv("GANTRY_ACCEPT") != nullptr) {
    std::ofstream(kFile) << json_schema();
    GTEST_SKIP() << "schema rewritten: look at the difference";
  }
  std::ifstream file(kFile);
  std::stringstream text;
  text << file.rdbuf();
  EXPECT_EQ(text.str(), json_schema()) << "run this test with GANTRY_ACCEPT=1";
}

TEST(JsonSchema, EveryAttributeOfAServiceIsExplained) {
  const auto schema = nlohmann::json::parse(json_schema());
  for (const auto& [name, attribute] : schema["$defs"]["service"]["properties"].items()) {
    EXPECT_TRUE(attribute.contains("description")) << name;
  }
  for (const auto& [name, attribute] : schema["properties"].items()) {
    EXPECT_TRUE(attribute.contains("description")) << name;
  }
}

TEST(JsonSchema, EveryDefinitionIsThereAndUsed) {
  const std::string text = json_schema();
  const auto schema = nlohmann::json::parse(text);
  for (const auto& [name, definition] : schema["$defs"].items()) {
    EXPECT_NE(text.find("\"#/$defs/" + name + "\""), std::string::npos) << name;
    EXPECT_TRUE(definition.contains("type")) << name;
  }
  for (size_t at = text.find("#/$defs/"); at != std::string::npos; at = text.find("#/$defs/", at + 1)) {
    std::string name = text.substr(at + 8, text.find('"', at) - at - 8);
    EXPECT_TRUE(schema["$defs"].contains(name)) << name;
  }
}

}  // namespace
}  // namespace gantry::compose
