#include "cli/copy_paths.h"

#include <gtest/gtest.h>

namespace gantry::cli {
namespace {

TEST(CopyPaths, AColonNamesAServiceUnlessItIsPartOfAPath) {
  const auto text = [](const char* given) {
    const CopyPlace place = parse_copy_place(given);
    return place.service + "|" + place.path;
  };
  EXPECT_EQ(text("web:/etc/x"), "web|/etc/x");
  EXPECT_EQ(text("web:x"), "web|x");
  EXPECT_EQ(text("./a:b"), "|./a:b");
  EXPECT_EQ(text("/a:b"), "|/a:b");
  EXPECT_EQ(text("dir/a:b"), "|dir/a:b");
  EXPECT_EQ(text("-"), "|-");
}

// The table of `docker cp --help`.
TEST(CopyPaths, TargetsFollowDockersRules) {
  struct Row {
    const char* source;
    bool source_is_directory;
    const char* target;
    bool exists, is_directory, parent;
    const char* expected;
  };
  const std::vector<Row> rows = {
      {"a.txt", false, "/dst", false, false, true, "/ dst"},
      {"a.txt", false, "/dst/", false, false, true, "error: no such directory: /dst/"},
      {"a.txt", false, "/dst", true, false, true, "/ dst"},
      {"a.txt", false, "/dst", true, true, true, "/dst a.txt"},
      {"dir", true, "/dst", false, false, true, "/ dst"},
      {"dir", true, "/dst", true, false, true, "error: cannot copy directory dir onto the file /dst"},
      {"dir", true, "/dst", true, true, true, "/dst dir"},
      {"dir/.", true, "/dst", true, true, true, "/dst "},
      {"dir/.", true, "/dst", false, false, true, "/ dst"},
      {"a.txt", false, "/no/dst", false, false, false, "error: no such directory: /no"},
      {"/x/dir/", true, "/dst/", true, true, true, "/dst dir"},
  };
  for (const Row& row : rows) {
    const auto target = copy_target(row.source, row.source_is_directory, row.target,
                                    {.exists = row.exists, .is_directory = row.is_directory}, row.parent);
    const std::string text = target.ok() ? target->directory + " " + target->name : "error: " + target.error().message();
    EXPECT_EQ(text, row.expected) << row.source << " -> " << row.target;
  }
}

}  // namespace
}  // namespace gantry::cli
