// CHECK(condition): a bug aborts, in release builds too. Containers outlive the daemon, so stopping
// it is cheaper than going on with a wrong store. Bad input and failing system calls are no bugs:
// they are `Error` values (base/result.h).
#pragma once

namespace gantry {

[[noreturn]] void check_failed(const char* condition, const char* file, int line);

}  // namespace gantry

#define CHECK(condition) \
  (static_cast<bool>(condition) ? void() : ::gantry::check_failed(#condition, __FILE__, __LINE__))
