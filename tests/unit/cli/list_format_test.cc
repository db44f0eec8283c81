#include "cli/list_format.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace gantry::cli {
namespace {

constexpr Column kColumns[] = {{"ID", "CONTAINER ID"}, {"Name", "NAMES"}};
constexpr ListFormat kList{.columns = kColumns, .standard = "{{.ID}}\t{{.Name}}"};

std::string shown(const std::string& format) {
  auto text =
      format_list(kList, format, {make_row({{"Name", "web"}, {"ID", "1"}}), make_row({{"ID", "22"}, {"Name", "db"}})});
  return text.ok() ? *text : text.error().message();
}

TEST(ListFormat, TablesAreAlignedAsDockers) {
  EXPECT_EQ(shown(""), "CONTAINER ID   NAMES\n1              web\n22             db\n");
  EXPECT_EQ(shown("table {{.Name}}\\t{{.ID}}"), "NAMES     CONTAINER ID\nweb       1\ndb        22\n");
}
TEST(ListFormat, TemplatesAndJsonAreALineEach) {
  EXPECT_EQ(shown("{{.Name}}={{.ID}}"), "web=1\ndb=22\n");
  EXPECT_EQ(shown("json"), "{\"ID\":\"1\",\"Name\":\"web\"}\n{\"ID\":\"22\",\"Name\":\"db\"}\n");
}
TEST(ListFormat, UnknownFieldsAreErrors) {
  EXPECT_NE(shown("{{.Foo}}").find("no entry for key \"Foo\""), std::string::npos);
}

}  // namespace
}  // namespace gantry::cli
