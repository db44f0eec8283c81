// Writes the log of a program that fills its pipe on a thread of its own, while the next pieces are read. The log is the
// thread's from then on, until nothing came for a while or somebody takes it back; at all other times there is no hand-over.
#pragma once

#include <pthread.h>

#include <array>
#include <cstddef>
#include <cstdint>

#include "shim/log_file.h"

namespace gantry::shim {

// All calls from one thread. Lives as long as the process.
class LogThread {
 public:
  static constexpr size_t kPiece = 128 << 10;
  static constexpr size_t kPieces = 4;

  explicit LogThread(LogFile& log) : log_(log) {}
  LogThread(const LogThread&) = delete;

  // Where the next piece is to be read to: kPiece bytes. Waits while the thread is behind with all it has.
  char* room();
  // Gives the log to the thread. False: there can be none, the log stays the caller's.
  bool begin_burst();
  // Of `stream`, read to room() at `now`. False: the thread does not have the log.
  bool write(LineCutter& stream, size_t size, int64_t now);
  bool has_log();
  // Waits until all is written; the log is the caller's then.
  void take_back();

 private:
  struct Piece {
    LineCutter* stream = nullptr;
    size_t size = 0;
    int64_t time = 0;
  };

  static void* run(void* self);
  bool start();
  void loop();
  bool work();
  void wait_for_more();

  LogFile& log_;
  bool started_ = false;
  bool failed_ = false;

  pthread_mutex_t mutex_ = PTHREAD_MUTEX_INITIALIZER;  // of all below
  pthread_cond_t for_thread_ = PTHREAD_COND_INITIALIZER;
  pthread_cond_t for_caller_ = PTHREAD_COND_INITIALIZER;
  std::array<Piece, kPieces> pieces_;
  size_t first_ = 0;  // the thread's next one
  size_t count_ = 0;
  bool has_log_ = false;
  bool is_wanted_ = false;   // by take_back()
};

}  // namespace gantry::shim
