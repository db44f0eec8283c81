// The container's log on disk: json-file lines, rotated by size (x → x.1 → x.2 …).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "shim/log_line.h"
#include "shim/system.h"

namespace gantry::shim {

class LogFile {
 public:
  // max_size 0: one file for ever. max_files counts the current one. False: cannot be opened, errno says why.
  bool open(const std::string& path, uint64_t max_size, uint32_t max_files);

  // Data as it was read from one stream. Nothing is lost; a full disk drops lines and tries again with the next.
  void write(LineCutter& stream, std::string_view data);
  void finish(LineCutter& stream);

 private:
  void add(const char* stream, std::string_view text, bool newline, int64_t time);
  void flush();
  void rotate();

  std::string path_;
  uint64_t max_size_ = 0;
  uint32_t max_files_ = 1;
  Fd fd_;
  uint64_t size_ = 0;
  std::string batch_;  // lines not written yet: one system call for many
  LogTime time_;
  int64_t time_ns_ = -1;
};

}  // namespace gantry::shim
