// Runs programs in sandboxes: the one way from the engine to gantry-shim. It knows processes, mounts,
// namespaces, cgroups; not containers' names, images or networks' addresses.
//
// A shim is the parent of its container, owns its stdio and log, and outlives the daemon. It listens on
// a socket in the container's run directory, so that a new daemon can take over.
#pragma once

#include <chrono>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/fd.h"
#include "base/function.h"
#include "base/ids.h"
#include "base/loop.h"
#include "base/result.h"
#include "engine/container/log_config.h"
#include "engine/iface/specs.h"

namespace gantry::engine {

// Who runs what: everything is resolved (no image, no names), except that user, groups and the program's
// path are looked up by the shim inside the container's root.
struct ProcessSpec {
  std::vector<std::string> arguments;
  std::vector<std::string> environment;  // complete and ordered, but HOME, which the shim adds if it is missing
  std::string user;                      // "", "name", "uid", "name:group", …
  std::vector<std::string> group_add;
  std::string working_dir = "/";
  bool tty = false;
  bool open_stdin = false;
  uint16_t rows = 0;
  uint16_t columns = 0;
  bool privileged = false;
};

struct RuntimeMount {
  enum class Kind { bind, tmpfs };
  Kind kind = Kind::bind;
  std::filesystem::path source;  // bind: absolute path on the host, exists
  std::string target;            // absolute, in the container
  bool read_only = false;
  bool recursive = true;
  std::string read_only_submounts;  // Mount::read_only_submounts
  std::string propagation;       // "" = rprivate
  std::string tmpfs_options;     // "size=…,mode=…", already merged with the defaults
  std::string subpath;           // bind: within source, opened beneath it
};

// A namespace of the container: its own, the host's, or that of a process.
struct NamespaceChoice {
  enum class Kind { own, host, of_process };
  Kind kind = Kind::own;
  int pid = 0;  // of_process
};

struct SandboxSpec {
  ContainerId id;
  std::filesystem::path run_dir;             // under /run: shim socket, state; made by the runtime, 0700
  std::vector<std::filesystem::path> layers; // read-only, topmost first; never empty
  std::filesystem::path upper;               // writable layer, exists
  std::filesystem::path work;                // overlay's, same filesystem, exists
  std::optional<std::filesystem::path> log_path;  // not given: no log
  LogSettings log;                           // its form, limits and attributes

  ProcessSpec process;
  std::string hostname;
  std::string domainname;
  std::vector<RuntimeMount> mounts;          // user's and /etc/{hosts,hostname,resolv.conf}, in order
  uint64_t shm_size = 64 << 20;
  bool no_shm = false;                       // ipc mode none
  bool read_only_root = false;
  bool init = false;
  std::vector<std::string> cap_add;
  std::vector<std::string> cap_drop;
  bool privileged = false;
  bool no_new_privileges = false;
  std::optional<std::string> seccomp;        // not given: the default profile; "unconfined"
  std::optional<std::vector<std::string>> masked_paths;
  std::optional<std::vector<std::string>> read_only_paths;
  std::map<std::string, std::string> sysctls;
  int oom_score_adj = 0;
  Resources resources;
  NamespaceChoice network;
  bool no_netfilter = false;                 // its namespace cannot have rules (net::NetworkStack::translates)
  NamespaceChoice pid;
  NamespaceChoice ipc;
  NamespaceChoice uts;
  std::string cgroup_mode;                   // "", "host", "private"
};

// Sockets that the new network namespace's own init opened inside it. A socket stays in the namespace
// where it was made, so the daemon can configure that namespace from any thread without entering it.
struct NetnsSockets {
  Fd route;      // NETLINK_ROUTE
  Fd netfilter;  // NETLINK_NETFILTER; invalid: SandboxSpec::no_netfilter
  Fd dns_udp;    // bound to 127.0.0.11, a free port; port 53 without netfilter
  Fd dns_tcp;    // listening on 127.0.0.11, likewise
  Fd netns;      // the namespace itself
};

struct ExitReport {
  int exit_code = 0;         // as of a shell: 128 + signal for a death by signal
  WallTime finished_at{};
  bool oom_killed = false;
};

// Why a start failed, with Docker's exit code for it: 126 not executable, 127 not found, 128 anything else.
struct StartFailure {
  int exit_code = 128;
  std::string message;
};

struct ExecSpec {
  ProcessSpec process;
  bool detached = false;  // nobody will read: without a tty it runs on /dev/null
};

// The daemon's end of a started exec. Without a tty three pipes; with one, the pty's master is all.
struct ExecStreams {
  Fd stdin_write;  // none unless open_stdin
  Fd stdout_read;  // the pty's master (read and write) with a tty
  Fd stderr_read;  // none with a tty
  Fd terminal;     // with a tty: a second descriptor of the master, for resizing
};

// A running shim, seen from the loop. Loop thread only.
class ShimLink {
 public:
  struct Handlers {
    Function<void(ExitReport)> exited;                  // PID 1 ended and its output is in the log
    Function<void(ExecId, ExitReport)> exec_exited;
    Function<void()> lost;                              // the shim went without a report: nothing can be asked any more
  };
  virtual ~ShimLink() = default;
  virtual int pid() const = 0;  // of the container's PID 1, in the host's pid namespace
  virtual WallTime started_at() const = 0;
  virtual Result<> signal(int number) = 0;      // to PID 1
  virtual Result<> kill_all() = 0;              // SIGKILL to everything in the container
  virtual Result<> pause() = 0;
  virtual Result<> unpause() = 0;
  virtual Result<> resize(uint16_t rows, uint16_t columns) = 0;
  virtual void exec(ExecId id, ExecSpec spec, Function<void(std::variant<ExecStreams, StartFailure>)> started) = 0;
  virtual Result<> signal_exec(ExecId id, int number) = 0;
  virtual Result<int> exec_pid(ExecId id) = 0;
  // A connection that carries the container's output from now on, and takes its input; any number at once.
  // Without a tty the frames of Docker's multiplexed stream, with one raw bytes; written bytes are stdin.
  // Half-closing it closes the program's stdin if `close_stdin_at_end`. A slow reader is cut off rather than
  // letting it hold up the program.
  virtual Result<Fd> attach(bool close_stdin_at_end) = 0;
  // The netns sockets, kept by the shim for the day the daemon is a new one.
  virtual Result<NetnsSockets> netns_sockets() = 0;
  // After `exited`: removes the shim's run directory. It waits, with nothing more to tell, until release() or the end of this.
  virtual void retire() = 0;
  // After `exited`: lets the shim go, and removes its run directory if retire() has not.
  virtual void release() = 0;
};

// A sandbox that is complete but for its network; nothing of the user's has run yet. Worker thread.
class PreparedSandbox {
 public:
  virtual ~PreparedSandbox() = default;  // not started: everything is undone
  virtual int pid() const = 0;
  // Empty descriptors unless SandboxSpec::network is `own`.
  virtual NetnsSockets& sockets() = 0;
  // What the machine could not do although it was asked for. Complete after run().
  virtual const std::vector<std::string>& warnings() const = 0;
  // As ShimLink::attach, before run(), for a client that must not miss the first byte. `stream` is our end of a
  // unix stream socket pair whose other end the client has; what it wrote already is kept as input.
  virtual Result<> attach(Fd stream, bool close_stdin_at_end) = 0;
  // Runs the program. After success the shim may be linked; after failure everything is undone.
  virtual std::optional<StartFailure> run() = 0;
};

class Runtime {
 public:
  struct Options {
    std::filesystem::path shim_executable;
    std::string cgroup_root;   // name of our directory in every cgroup hierarchy, unique per data root: "gantry-1a2b3c"
  };
  virtual ~Runtime() = default;

  // Blocking, on a worker thread: spawns the shim and has it build the sandbox up to the point where only
  // the network and exec are missing. The pid and the sockets are valid while the caller sets up the network.
  virtual std::variant<std::unique_ptr<PreparedSandbox>, StartFailure> prepare(const SandboxSpec& spec) = 0;

  // Loop thread. Takes over a sandbox whose run() succeeded.
  virtual std::unique_ptr<ShimLink> link(EventLoop& loop, std::unique_ptr<PreparedSandbox> started,
                                         ShimLink::Handlers handlers) = 0;
  // Loop thread, after a daemon restart. Finds the shim in `run_dir`; if the program ended meanwhile the shim
  // waits with its report and `exited` comes at once. not_found: no shim lives there any more.
  virtual Result<std::unique_ptr<ShimLink>> reconnect(EventLoop& loop, const ContainerId& id,
                                                      const std::filesystem::path& run_dir,
                                                      ShimLink::Handlers handlers) = 0;
  // Worker thread. Removes what a dead shim left: kills what is in its cgroups, removes them, the run
  // directory and mounts below it. Nothing there is no error. Without a run directory: the cgroups alone, which is cheap.
  virtual Result<> clean_up(const ContainerId& id, const std::filesystem::path& run_dir) = 0;
  // Any thread. Whose cgroups there are, known to the store or not.
  virtual std::vector<ContainerId> with_cgroups() const = 0;
  // Worker thread. New limits for a running container, `pid` being its PID 1. True: clean_up() must follow its end.
  virtual Result<bool> update(const ContainerId& id, int pid, const Resources& resources, bool privileged) = 0;
  // At the daemon's clean end: removes our (empty) cgroup directories.
  virtual void remove_cgroup_root() = 0;
};

// The real one. `options.shim_executable` must exist.
std::unique_ptr<Runtime> make_runtime(Runtime::Options options);

}  // namespace gantry::engine
