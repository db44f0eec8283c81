// The container's standard streams, as the supervisor holds them: reads its output, writes the log, serves the
// attached clients, and passes their input on. Everything is non-blocking and driven by poll().
//
// Output is read only as fast as it can be logged and every attached client takes it, so nothing is lost. But a client
// that takes nothing for kStallMs is cut off: it must not hold up the program for longer.
#pragma once

#include <poll.h>

#include <memory>
#include <string>
#include <vector>

#include "shim/log_file.h"
#include "shim/log_thread.h"
#include "shim/system.h"

namespace gantry::shim {

// What the child gets as its 0, 1, 2. With a tty all are -1: it opens its terminal itself.
struct ChildStreams {
  Fd in;   // none: /dev/null
  Fd out;
  Fd err;
};

class Streams {
 public:
  Streams() : out_("stdout"), err_("stderr") {}

  // Pipes, unless `tty`: then terminal() is told the master when the child has made it.
  bool open(bool tty, bool open_stdin, ChildStreams& child);
  LogFile& log() { return log_; }  // before anything is written to it
  void set_terminal(Fd master);
  bool resize(uint16_t rows, uint16_t columns);
  void attach(Fd client, bool close_stdin_at_end);

  // One turn of the loop: appends what to wait for, then gets the same entries back.
  void want(std::vector<pollfd>& polls);
  void handle(const pollfd* polls);
  int timeout_ms();  // until a stalled client is due or there is work on the log; -1: none

  // The program has ended: what is left in its pipes is read even if a client is slow.
  void begin_drain() { draining_ = true; }
  bool output_ended() const { return !out_source_.fd && !err_source_.fd; }
  // No more output is to come: writes unfinished lines, and lets the clients go when they have taken everything.
  void finish();
  bool clients_gone() const { return clients_.empty(); }

 private:
  static constexpr int kStallMs = 10'000;
  static constexpr size_t kClientBuffer = 256 << 10;  // above it, reading pauses

  struct Source {
    Fd fd;
    uint8_t stream = 0;  // 1 stdout, 2 stderr
    bool is_large = false;  // the pipe, or nothing more to be done about it
  };
  struct Client {
    Fd fd;
    std::string pending;
    size_t sent = 0;              // of `pending`
    int64_t stalled_since = 0;    // 0: not stalled
    bool closes_stdin = false;
    bool input_ended = false;
    bool wants_input() const { return !input_ended; }
  };

  void read_source(Source& source, LineCutter& cutter);
  void write_log(LineCutter& cutter, std::string_view data);
  bool log_has_work() { return !log_thread_.has_log() && log_.busy(); }
  static void enlarge_pipe(Source& source, size_t was_full_of);
  void fan_out(uint8_t stream, std::string_view data);
  void flush_client(Client& client);
  void read_client(Client& client);
  void flush_stdin();
  int stdin_fd() const { return tty_ ? terminal_.get() : stdin_.get(); }
  void drop_dead_clients();
  bool congested() const;
  bool accepts_input() const;

  bool tty_ = false;
  bool draining_ = false;
  bool finished_ = false;
  LogFile log_;
  LogThread log_thread_{log_};
  LineCutter out_;
  LineCutter err_;
  Source out_source_;
  Source err_source_;
  Fd stdin_;
  Fd terminal_;           // the master; out_source_ has a duplicate
  bool close_stdin_ = false;  // when stdin_pending_ is written
  std::string stdin_pending_;
  std::vector<std::unique_ptr<Client>> clients_;
  size_t polled_clients_ = 0;
};

}  // namespace gantry::shim
