#include "cli/format.h"

#include <gtest/gtest.h>

namespace gantry::cli {
namespace {

constexpr const char* kRow = R"({"Name":"web","Count":2,"Labels":"a=b"})";

TEST(Format, TablesTakeTheirHeadersFromTheFields) {
  const std::vector<FormatColumn> columns = {{"VOLUME NAME", "{{.Name}}"}, {"N", "{{.Count}}"}};
  EXPECT_EQ(*formatted("table", {kRow}, columns), "VOLUME NAME   N\nweb           2\n");
  EXPECT_EQ(*formatted("table {{.Name}}\\t{{.Labels}}", {kRow}, columns), "VOLUME NAME   LABELS\nweb           a=b\n");
  EXPECT_EQ(*formatted("{{.Name}}", {kRow, kRow}, columns), "web\nweb\n");
  EXPECT_EQ(*formatted("json", {kRow}, columns), std::string(kRow) + "\n");
  EXPECT_FALSE(formatted("yaml", {kRow}, columns).ok());
  EXPECT_FALSE(formatted("{{.Name", {kRow}, columns).ok());
}

}  // namespace
}  // namespace gantry::cli
