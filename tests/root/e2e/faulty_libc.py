"""A library that is preloaded into a daemon by disk_test.py and limits_test.py: a disk that gives errors, a clock that
jumps. What happens is told by the file that GANTRY_TEST_FAULTS names, looked at on every call; no file, no fault:

    eio PATH       writing or syncing a file below PATH fails with EIO
    clock SECONDS  the wall clock is that much later (or earlier)
"""
import os
import shutil
import subprocess

SOURCE = r"""
#include <dlfcn.h>
#include <fcntl.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>

namespace {

template <class F>
F* real(const char* name) {
  return reinterpret_cast<F*>(dlsym(RTLD_NEXT, name));
}

// "eio" or "clock", and what follows; false: no such fault now.
bool told(const char* kind, char* value, size_t size) {
  static const char* const file = getenv("GANTRY_TEST_FAULTS");
  if (file == nullptr) return false;
  const int before = errno;
  const int fd = open(file, O_RDONLY | O_CLOEXEC);
  char text[512] = {};
  if (fd >= 0) {
    (void)!read(fd, text, sizeof(text) - 1);
    close(fd);
  }
  errno = before;
  const size_t length = strlen(kind);
  if (strncmp(text, kind, length) != 0 || text[length] != ' ') return false;
  snprintf(value, size, "%s", text + length + 1);
  value[strcspn(value, "\n")] = '\0';
  return true;
}

bool is_broken(int fd) {
  char below[400];
  if (!told("eio", below, sizeof(below))) return false;
  char link[32];
  char path[1024] = {};
  snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
  const int before = errno;
  const ssize_t length = readlink(link, path, sizeof(path) - 1);
  errno = before;
  if (length < 0 || strncmp(path, below, strlen(below)) != 0) return false;
  errno = EIO;
  return true;
}

long clock_jump() {
  char seconds[64];
  return told("clock", seconds, sizeof(seconds)) ? strtol(seconds, nullptr, 10) : 0;
}

}  // namespace

extern "C" {

ssize_t write(int fd, const void* data, size_t size) {
  static auto* const call = real<ssize_t(int, const void*, size_t)>("write");
  return is_broken(fd) ? -1 : call(fd, data, size);
}

ssize_t pwrite(int fd, const void* data, size_t size, off_t at) {
  static auto* const call = real<ssize_t(int, const void*, size_t, off_t)>("pwrite");
  return is_broken(fd) ? -1 : call(fd, data, size, at);
}

ssize_t pwrite64(int fd, const void* data, size_t size, off64_t at) {
  static auto* const call = real<ssize_t(int, const void*, size_t, off64_t)>("pwrite64");
  return is_broken(fd) ? -1 : call(fd, data, size, at);
}

int fsync(int fd) {
  static auto* const call = real<int(int)>("fsync");
  return is_broken(fd) ? -1 : call(fd);
}

int fdatasync(int fd) {
  static auto* const call = real<int(int)>("fdatasync");
  return is_broken(fd) ? -1 : call(fd);
}

int clock_gettime(clockid_t clock, timespec* time) {
  static auto* const call = real<int(clockid_t, timespec*)>("clock_gettime");
  const int result = call(clock, time);
  if (result == 0 && clock == CLOCK_REALTIME) time->tv_sec += clock_jump();
  return result;
}

int gettimeofday(timeval* time, void* zone) noexcept {
  static auto* const call = real<int(timeval*, void*)>("gettimeofday");
  const int result = call(time, zone);
  if (result == 0) time->tv_sec += clock_jump();
  return result;
}

time_t time(time_t* into) noexcept {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  if (into != nullptr) *into = now.tv_sec;
  return now.tv_sec;
}
}
"""


class FaultyLibc:
    """The library, built in `directory`, and its control file."""

    def __init__(self, directory):
        self.library, self.control = directory / "libfaulty.so", directory / "faults"
        source = directory / "faulty_libc.cc"
        source.write_text(SOURCE)
        compiler = os.environ.get("CXX") or shutil.which("c++")
        subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", self.library, source, "-ldl"], check=True)
        self.environment = {"LD_PRELOAD": str(self.library), "GANTRY_TEST_FAULTS": str(self.control)}

    def tell(self, fault):
        self.control.write_text(fault + "\n")

    def heal(self):
        self.control.unlink(missing_ok=True)
