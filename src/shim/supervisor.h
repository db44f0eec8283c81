// One container's supervisor: starts it, holds its streams, tells the daemon about it, cleans up after it.
//
//   starting ──go──► running ──PID 1 ends──► draining ──output read──► ended ──release──► gone
//      └── failure, or the daemon leaves before its go: everything is undone ─────────────► gone
//
// Daemons come and go meanwhile: each new one connects to the socket in the run directory and is greeted with
// `hello`. The last one that came is talked to. One thread, one poll() loop; the log of a
// program that fills its pipe is written by a thread of its own (log_thread.h).
#pragma once

#include <poll.h>

#include <memory>
#include <string>
#include <vector>

#include "shim/cgroup.h"
#include "shim/child.h"
#include "shim/protocol.h"
#include "shim/streams.h"
#include "shim/system.h"

namespace gantry::shim {

class Supervisor {
 public:
  explicit Supervisor(Fd daemon) : daemon_(static_cast<Fd&&>(daemon)) {}
  // From the launch message to the end; the process's exit status.
  int run();

 private:
  enum class Phase { starting, running, draining, ended, gone };
  struct ExecProcess {
    std::string id;
    Exec request;
    Child child;
    std::vector<Fd> daemon_ends;  // for exec_started
    bool started = false;
    bool failed = false;
  };
  struct Outgoing {
    std::string bytes;
    std::vector<Fd> fds;
  };

  // launching
  bool receive_launch(Fd& device_program);
  bool launch(Fd device_program);
  bool open_listener(const std::string& run_dir);
  bool enter_pid_namespace(const Namespace& choice);
  void fail_start(int exit_code, const std::string& message);

  // the loop
  void turn();
  int timeout_ms();
  void accept_daemon();
  void read_daemon();
  void handle(MessageType type, std::string_view body, std::vector<Fd>& fds);
  void lose_daemon();
  void send(MessageType type, const std::string& bytes, std::vector<Fd> fds = {});
  void flush_outgoing();

  // the container
  void read_child();
  void maybe_go();
  void note_started();
  void send_sockets(MessageType type, int64_t pid);
  void reap();
  void on_end(int status);
  void finish_end();
  void signal_container(int number);
  void answer(bool ok, const char* what);

  // execs
  void read_exec_request(std::string_view body, std::vector<Fd>& fds);
  void begin_exec(const std::string& id, Exec request);
  void refuse_exec(const std::string& id, int exit_code, const std::string& message);
  void read_exec(ExecProcess& exec);
  void end_exec(ExecProcess& exec, int status);
  void drop_ended_execs();

  Phase phase_ = Phase::starting;
  Fd daemon_;
  Fd listener_;
  Fd signals_;
  std::vector<Outgoing> outgoing_;

  std::string run_dir_;
  bool tty_ = false;
  bool own_network_ = false;
  bool children_in_pid_namespace_ = false;
  bool may_be_traced_ = false;  // those that we start, by others there
  std::unique_ptr<Launch> launch_;  // until the program runs
  Privileges privileges_;           // from then on
  Cgroup cgroup_;
  Streams streams_;
  Child init_;
  Fd init_pidfd_;  // of it, from the first exec on
  std::vector<Fd> sockets_;
  // Until this process ends, after everybody knows of the container's end: whoever lets an overlay go last waits until all
  // that is unwritten on its upper layer's filesystem, also by others, is on the disk. Else the dying program would.
  Fd root_;
  std::vector<std::string> warnings_;
  bool go_ = false;
  bool prepared_ = false;
  bool released_ = false;
  bool reported_ = false;  // the exit report is on disk, or its directory is gone
  int64_t started_ns_ = 0;
  int64_t drain_until_ms_ = 0;
  Exit exit_;
  std::vector<std::unique_ptr<ExecProcess>> execs_;
  std::unique_ptr<ChildMemory> spare_memory_;  // an exec's that runs its program now: for the next
};

}  // namespace gantry::shim
