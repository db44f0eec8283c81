// The container's log on disk: lines of json-file or of our compact form, rotated by size (x → x.1 → x.2 …), the
// rotated ones compressed (x.1.gz) if wished, a piece at a time, so that nobody waits for it.
//
// Usually the supervisor writes it itself: the program then is as quick as the disk. With a buffer a process of its own
// does (LogWriter): lines that the buffer has no room for are dropped and counted.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "shim/log_line.h"
#include "shim/log_lines.h"
#include "shim/log_records.h"
#include "shim/protocol.h"
#include "shim/system.h"

namespace gantry::shim {

class LogCompressor;

struct LogOptions {
  std::string path;
  uint64_t max_size = 0;   // 0: one file for ever
  uint32_t max_files = 1;  // counts the current one
  bool compress = false;
};

// The files. Records are whole lines.
class LogDisk {
 public:
  LogDisk();
  ~LogDisk();
  // False: cannot be opened, errno says why.
  bool open(LogOptions options);
  bool is_open() const { return static_cast<bool>(fd_); }
  // A full disk drops records and tries again with the next ones. Rotates between records only.
  void append(std::string_view records);
  // Writes all of `before` and then as much of `records` as fills the file's last block and further whole ones, also in the
  // middle of a record: the kernel takes whole blocks for two thirds of the price. What is left of `records` stays there.
  // False: there is no whole block, or a size to rotate at, and nothing was written.
  bool append_blocks(std::string_view before, std::string_view& records);
  size_t until_block_end() const;
  // Has the filesystem set room aside for `coming` and more beyond the file's end: blocks that it has already cost it half
  // as much to fill. A filesystem that cannot is as good, only slower.
  void reserve(size_t coming);
  bool has_reserve() const { return reserved_until_ > size_; }
  void release();  // gives back what was not used
  // Compressing is under way: work() does the next piece.
  bool busy() const { return compressor_ != nullptr; }
  void work();
  void stop_compressing();  // what it has made so far is removed

 private:
  bool write_out(std::string_view bytes, std::string_view more = {});
  void end_torn_record();
  void rotate();
  std::string numbered(uint32_t number, bool packed) const;
  void begin_compressing();

  LogOptions options_;
  Fd fd_;
  uint64_t size_ = 0;
  uint64_t reserved_until_ = 0;
  bool in_record_ = false;  // the last byte was none's end
  bool is_torn_ = false;    // nor will it come: a full disk, or a shim that was killed
  std::unique_ptr<LogCompressor> compressor_;
};

class LogFile {
 public:
  // `buffer` > 0: by a process of its own, see above.
  bool open(LogOptions options, LogFormat format, const std::string& attributes, uint64_t buffer);
  // Otherwise what is written is dropped: the container has no log.
  bool is_open() const { return disk_.is_open() || static_cast<bool>(pipe_); }

  // Data as it was read from one stream at `now`. Some of it may wait for flush().
  void write(LineCutter& stream, std::string_view data, int64_t now);
  // As write(), for whole lines that are records already, made by a copy of maker().
  void write_records(std::string_view records);
  const RecordMaker& maker() const { return maker_; }
  // Nothing more is at hand.
  void flush();
  void finish(LineCutter& stream);
  // Nothing more will come; waits for the writer's end for a moment.
  void close();

  bool busy() const { return disk_.busy(); }
  void work() { disk_.work(); }
  void stop_compressing() { disk_.stop_compressing(); }

  // Between them the program writes as fast as it can: room on the disk is set aside. The end flushes.
  void begin_burst();
  void end_burst();
  bool has_process() const { return static_cast<bool>(pipe_); }

 private:
  void write_whole_lines(const char* stream, std::string_view& data, int64_t now);
  void add(const char* stream, std::string_view text, bool newline, int64_t time);
  void hand_over(std::string_view record);
  void make_room();
  void begin_space(std::string_view left);
  bool start_writer(uint64_t buffer);

  LogDisk disk_;
  RecordMaker maker_;
  RecordSpace waiting_;  // records not written yet: one system call for many
  bool in_burst_ = false;
  std::string record_;   // scratch

  Fd pipe_;             // to the writer
  Fd writer_;           // its pidfd
  size_t capacity_ = 0; // of the pipe
  uint64_t dropped_ = 0;
};

}  // namespace gantry::shim
