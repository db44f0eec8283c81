#include "base/fault.h"

#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstdlib>
#include <string_view>

namespace gantry {

const char* fault_setting() {
  static const char* const setting = std::getenv("GANTRY_FAULT");
  return setting;
}

namespace fault {

const bool kIsSet = fault_setting() != nullptr;

void reached(const char* point, const char* part) { reached(fault_setting(), point, part); }

void reached(const char* given, const char* point, const char* part) {
  static std::atomic<int> times{0};
  const std::string_view setting = given;
  const std::string_view begin = point;
  const size_t colon = setting.find(':');
  if (colon == std::string_view::npos) return;
  const std::string_view wanted = setting.substr(0, colon);
  if (!wanted.starts_with(begin) || wanted.substr(begin.size()) != part) return;
  if (++times < std::atoi(setting.data() + colon + 1)) return;
  const size_t file = setting.find(':', colon + 1);
  if (file != std::string_view::npos) (void)::open(setting.data() + file + 1, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  ::kill(::getpid(), SIGKILL);
}

}  // namespace fault
}  // namespace gantry
