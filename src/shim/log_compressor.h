// Compresses a rotated log file into another one, a piece a call: the supervisor has other things to do meanwhile. Its
// memory (about a quarter of a megabyte) is there only while it works.
#pragma once

#include <zlib.h>

#include <cstdint>
#include <memory>
#include <string>

#include "shim/system.h"

namespace gantry::shim {

class LogCompressor {
 public:
  enum class State { working, finished, failed };
  // None: a file cannot be opened or there is no memory.
  static std::unique_ptr<LogCompressor> begin(const std::string& from, const std::string& to, uint32_t number);
  ~LogCompressor();  // removes the output unless keep()

  State step();
  uint32_t number() const { return number_; }  // of the file that is compressed: x.NUMBER
  const std::string& output() const { return output_; }
  // A rotation has renamed it. False: it was the oldest, `last`, and is gone.
  bool moved_up(uint32_t last) { return number_++ < last; }
  void keep() { kept_ = true; }

 private:
  static constexpr size_t kPiece = 64 << 10;  // about a millisecond's work

  LogCompressor() = default;
  Fd in_;
  Fd out_;
  std::string output_;
  uint32_t number_ = 0;
  z_stream stream_{};
  bool ready_ = false;
  bool kept_ = false;
  char input_[kPiece];
  char packed_[kPiece];
};

}  // namespace gantry::shim
