#include "base/check.h"

#include <cstdio>
#include <cstdlib>

namespace gantry {

void check_failed(const char* condition, const char* file, int line) {
  std::fprintf(stderr, "gantry: bug at %s:%d: %s does not hold\n", file, line, condition);
  std::abort();
}

}  // namespace gantry
