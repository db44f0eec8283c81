#include "base/ignore_patterns.h"

#include <gtest/gtest.h>

namespace gantry {
namespace {

TEST(IgnorePatterns, LastMatchingLineDecides) {
  struct Row {
    const char* text;
    const char* path;
    bool left_out;
  };
  const Row rows[] = {
      {"", "a", false},
      {"a", "a", true},
      {"a", "b/a", false},
      {"a", "a/b/c", true},  // a pattern for a parent leaves the tree out
      {"/a", "a", true},     // a leading slash means the root
      {"./a/", "a", true},   // cleaned
      {"a/../b", "b", true},
      {"# a\n", "# a", false},  // comment
      {" # a\n", "# a", true},  // only in column 0
      {"*.o", "x.o", true},
      {"*.o", "d/x.o", false},  // * stops at /
      {"*/*.o", "d/x.o", true},
      {"**/*.o", "x.o", true},  // ** is any depth, none as well
      {"**/*.o", "a/b/x.o", true},
      {"a/**", "a/b/c", true},
      {"a/**", "a", false},
      {"a/**/z", "a/z", true},
      {"a/**/z", "a/b/c/z", true},
      {"a/**/z", "az", false},
      {"**x", "d/x", true},
      {"**x", "d/ax", false},  // ** in front of text stands for whole directories
      {"**", "a/b", true},
      {"?.c", "a.c", true},
      {"?.c", "ab.c", false},
      {"[a-c].c", "b.c", true},
      {"[^a-c].c", "b.c", false},
      {"[^a-c].c", "d.c", true},
      {"\\*.c", "*.c", true},
      {"\\*.c", "a.c", false},
      {"*\n!keep", "keep", false},
      {"*\n!keep", "keep/x", false},
      {"*\n!keep", "other", true},
      {"!keep\n*", "keep", true},
      {"a\n!a/b\na/b/c", "a/x", true},
      {"a\n!a/b\na/b/c", "a/b/x", false},
      {"a\n!a/b\na/b/c", "a/b/c", true},
      {"! keep\n", "keep", false},
      {".", "a", false},
      {"\xEF\xBB\xBF"
       "a\r\nb\r\n",
       "a", true},
      {"a b", "a b", true},
  };
  for (const Row& row : rows) {
    Result<IgnorePatterns> patterns = IgnorePatterns::parse(row.text);
    ASSERT_TRUE(patterns.ok()) << row.text;
    EXPECT_EQ(patterns->matches(row.path), row.left_out) << row.text << " on " << row.path;
  }
}

TEST(IgnorePatterns, DirectoryIsSkippedOnlyWhenNothingBelowCanBeTakenBack) {
  struct Row {
    const char* text;
    const char* directory;
    bool skipped;
  };
  const Row rows[] = {
      {"node_modules", "node_modules", true},
      {"node_modules", "node_modules/x", true},
      {"a\n!a/b/c", "a", false},
      {"a\n!a/b/c", "a/b", false},
      {"a\n!a/b/c", "a/x", true},
      {"a\n!b/c", "a", true},
      {"a\n!**/keep", "a", false},
      {"!a/b\na", "a", true},  // the later line wins for the whole tree
      {"*\n!*.md", "src", true},
      {"b", "a", false},
  };
  for (const Row& row : rows) {
    Result<IgnorePatterns> patterns = IgnorePatterns::parse(row.text);
    ASSERT_TRUE(patterns.ok());
    EXPECT_EQ(patterns->can_skip(row.directory), row.skipped) << row.text << " on " << row.directory;
  }
}

TEST(IgnorePatterns, BadLinesAreNamed) {
  EXPECT_EQ(IgnorePatterns::parse("a\n!\n").error().message(), "line 2: illegal exclusion pattern: \"!\"");
  EXPECT_EQ(IgnorePatterns::parse("[a").error().message(), "line 1: syntax error in pattern \"[a\"");
}

TEST(Glob, ManyStarsTakeLinearTime) {
  const Glob glob = Glob::compile("*a*a*a*a*a*a*a*a*a*a*a*a*a*a*b", Glob::Stars::single).value();
  EXPECT_FALSE(glob.matches(std::string(5000, 'a')));
}

}  // namespace
}  // namespace gantry
