// Writes one piece after the other to a file on a thread of its own, while the next piece is made.
#pragma once

#include <atomic>
#include <cstdint>
#include <string_view>

namespace gantry::shim {

// Begins, waits and ends in one thread. Lives as long as the process.
class BlockWriter {
 public:
  // False: there can be no thread. True also when there is one already.
  bool start();
  // The bytes stay where they are until wait(). Not while another piece is under way.
  void begin(int fd, std::string_view bytes);
  // → how much of it was written: less than all when the disk is full or failed.
  size_t wait();

 private:
  enum State : uint32_t { idle, busy };
  static void* run(void* self);
  void set(State state);
  void wait_while(State state);

  std::atomic<uint32_t> state_ = idle;  // a futex: std::atomic's own wait brings 20 KB of the library with it
  bool started_ = false;
  bool failed_ = false;
  int fd_ = -1;
  std::string_view bytes_;
  size_t written_ = 0;
};

}  // namespace gantry::shim
