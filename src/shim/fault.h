// The shim's points of base/fault.h, which see: GANTRY_FAULT=POINT:N[:FILE] kills it when it reaches POINT for the Nth time.
#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <cstring>

namespace gantry::shim {

inline void fault_point(const char* point) {
  static const char* const setting = ::getenv("GANTRY_FAULT");
  if (setting == nullptr) [[likely]] return;
  static int times = 0;
  const char* colon = ::strchr(setting, ':');
  const size_t length = ::strlen(point);
  if (colon == nullptr || static_cast<size_t>(colon - setting) != length || ::memcmp(setting, point, length) != 0) return;
  if (++times < ::atoi(colon + 1)) return;
  if (const char* file = ::strchr(colon + 1, ':')) (void)::open(file + 1, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  ::kill(::getpid(), SIGKILL);
}

}  // namespace gantry::shim
