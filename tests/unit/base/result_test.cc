#include "base/result.h"

#include <cerrno>

namespace gantry {
namespace {

Result<int> half(int n) {
  if (n % 2 != 0) return invalid(std::to_string(n) + " is odd");
  return n / 2;
}

Result<std::string> quarter(int n) {
  int h = TRY(half(n));
  int q = TRY(half(h).within("second half"));
  return std::to_string(q);
}

TEST(Result, TryPassesTheErrorOnWithItsContext) {
  EXPECT_EQ(quarter(8).value(), "2");
  EXPECT_EQ(quarter(7).error().message(), "7 is odd");
  EXPECT_EQ(quarter(6).error().message(), "second half: 3 is odd");
}

TEST(Result, ErrnoNamesCallAndObject) {
  Error error = Error::from_errno(ENOENT, "open", "/x");
  EXPECT_EQ(error.message(), "open /x: No such file or directory");
  EXPECT_EQ(error.code(), Code::not_found);
  EXPECT_EQ(error.errno_value(), ENOENT);
}

TEST(Result, QuotedEscapesControlCharacters) { EXPECT_EQ(quoted("a\"b\n"), "\"a\\\"b\\x0a\""); }

}  // namespace
}  // namespace gantry
