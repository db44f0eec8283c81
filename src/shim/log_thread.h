// Writes the log of a program that fills its pipe on a thread of its own, while the next pieces are read. The log is the
// thread's from then on, until nothing came for a while or somebody takes it back; at all other times there is no hand-over.
// The thread makes the records, too, since their bytes are more than the program's and moving them to another processor
// costs as much; when it is far behind, who reads has the time and makes them.
//
// The thread has as much to do as the program and who reads together. These two take turns and share a processor well; either of
// them with the thread leaves the other processor idle half of the time.
#pragma once

#include <pthread.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "shim/log_file.h"
#include "shim/processor.h"

namespace gantry::shim {

// All calls from one thread. Lives as long as the process.
class LogThread {
 public:
  static constexpr size_t kPiece = 256 << 10;
  static constexpr size_t kPieces = 4;
  static constexpr size_t kRecordSpaces = 4;

  explicit LogThread(LogFile& log) : log_(log) {}
  LogThread(const LogThread&) = delete;

  // Where the next piece is to be read to: kPiece bytes. Waits while the thread is behind with all it has.
  char* room();
  // Gives the log to the thread. False: there can be none or there is no log, which stays the caller's.
  bool begin_burst();
  // Of `stream`, read to room() at `now`. False: the thread does not have the log.
  bool write(LineCutter& stream, size_t size, int64_t now);
  // Nothing more is at hand: what was given is not to wait for more. False: the thread does not have the log.
  bool flush();
  bool has_log();
  // Waits until all is written; the log is the caller's then.
  void take_back();

 private:
  struct Piece {
    LineCutter* stream = nullptr;
    size_t size = 0;
    int64_t time = 0;
    std::string_view records = {};  // of what it has from records_begin to records_end
    size_t records_begin = 0;
    size_t records_end = 0;
  };

  static void* run(void* self);
  bool start();
  void loop();
  bool work();
  void make_records(Piece& piece, const char* data);
  void write_piece(const Piece& piece, const char* data);
  void wait_for_more();

  LogFile& log_;
  std::atomic<int> processor_ = -1;  // the thread's, at its last piece's begin
  Crowding crowding_;                // the thread's
  // The caller's.
  bool started_ = false;
  bool failed_ = false;
  RecordMaker maker_;
  size_t next_space_ = 0;
  std::array<bool, kPieces> pieces_in_{};  // memory, in this burst
  std::array<bool, kRecordSpaces> spaces_in_{};

  pthread_mutex_t mutex_ = PTHREAD_MUTEX_INITIALIZER;  // of all below
  pthread_cond_t for_thread_ = PTHREAD_COND_INITIALIZER;
  pthread_cond_t for_caller_ = PTHREAD_COND_INITIALIZER;
  std::array<Piece, kPieces> pieces_;
  size_t first_ = 0;  // the thread's next one
  size_t count_ = 0;
  size_t with_records_ = 0;  // of those
  bool is_flush_due_ = false;
  bool has_log_ = false;
  bool is_wanted_ = false;   // by take_back()
};

}  // namespace gantry::shim
