// What the engine and gantry-shim say to each other: plain structs, their encoding, and the numbers of the
// messages. The only file that both include.
//
// The channel is a SOCK_SEQPACKET unix socket: one packet, one message, descriptors by SCM_RIGHTS. A packet is a
// u32 MessageType and the fields of one struct below. Whatever may be large (a launch, an exec) travels as a memfd.
// Both ends are the same build on the same machine, so numbers are in its byte order; every length is still
// checked, since a shim may be older than the daemon that reconnects to it.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace gantry::shim {

inline constexpr uint32_t kProtocolVersion = 3;
inline constexpr uint32_t kMaxText = 16u << 20;     // one string; the kernel's limit for one argument is 128 KiB
inline constexpr uint32_t kMaxItems = 1u << 20;     // one list
inline constexpr uint32_t kMaxPacket = 64u << 10;   // one packet
inline constexpr uint32_t kMaxSmallExec = 16u << 10;
inline constexpr uint32_t kMaxBlob = 64u << 20;     // one memfd
inline constexpr int kMaxDescriptors = 8;           // in one packet
inline constexpr int kChannelFd = 3;                // the shim is started with its end here
inline constexpr const char* kSocketName = "shim.sock";
inline constexpr const char* kReportName = "exit";  // "<code> <nanoseconds since 1970> <oom 0|1>\n"

// Appends fields to a string.
class Writer {
 public:
  template <class... Fields>
  void operator()(const Fields&... fields) {
    (put(fields), ...);
  }
  std::string take() { return std::move(bytes_); }

 private:
  template <class T>
  void put(const T& value) {
    if constexpr (std::is_arithmetic_v<T> || std::is_enum_v<T>) {
      bytes_.append(reinterpret_cast<const char*>(&value), sizeof value);
    } else if constexpr (std::is_same_v<T, std::string>) {
      put(static_cast<uint32_t>(value.size()));
      bytes_.append(value);
    } else {
      const_cast<T&>(value).fields(*this);  // `fields` lists them for both directions
    }
  }
  template <class T>
  void put(const std::vector<T>& items) {
    put(static_cast<uint32_t>(items.size()));
    for (const T& item : items) put(item);
  }
  std::string bytes_;
};

// Takes fields off a string; after the first one that does not fit everything reads as empty and ok() is false.
class Reader {
 public:
  explicit Reader(std::string_view bytes) : rest_(bytes) {}
  template <class... Fields>
  void operator()(Fields&... fields) {
    (get(fields), ...);
  }
  bool ok() const { return ok_; }
  bool at_end() const { return ok_ && rest_.empty(); }

 private:
  template <class T>
  void get(T& value) {
    if constexpr (std::is_arithmetic_v<T> || std::is_enum_v<T>) {
      value = T{};
      if (!has(sizeof value)) return;
      std::memcpy(&value, rest_.data(), sizeof value);
      rest_.remove_prefix(sizeof value);
    } else if constexpr (std::is_same_v<T, std::string>) {
      uint32_t size = 0;
      get(size);
      value.clear();
      if (size > kMaxText) ok_ = false;
      if (!has(size)) return;
      value.assign(rest_.data(), size);
      rest_.remove_prefix(size);
    } else {
      value.fields(*this);
    }
  }
  template <class T>
  void get(std::vector<T>& items) {
    uint32_t count = 0;
    get(count);
    items.clear();
    // Every item takes at least a byte: a lying count ends with the input, not with the memory.
    if (count > kMaxItems || count > rest_.size()) ok_ = false;
    for (uint32_t i = 0; ok_ && i < count; ++i) {
      items.emplace_back();
      get(items.back());
    }
  }
  bool has(size_t size) {
    if (size > rest_.size()) ok_ = false;
    return ok_;
  }
  std::string_view rest_;
  bool ok_ = true;
};

template <class T>
std::string encode(const T& value) {
  Writer writer;
  writer(value);
  return writer.take();
}
// False if the bytes are not exactly one T.
template <class T>
bool decode(std::string_view bytes, T& value) {
  Reader reader(bytes);
  reader(value);
  return reader.at_end();
}

// ---- What to run -------------------------------------------------------------------------------------

struct Rlimit {
  uint32_t resource = 0;  // RLIMIT_…
  std::string name;
  uint64_t soft = 0;
  uint64_t hard = 0;
  template <class A> void fields(A& a) { a(resource, name, soft, hard); }
};

// What a program may do. Kept by the shim for later execs.
struct Privileges {
  uint64_t capabilities = 0;  // bounding, permitted and effective; inheritable and ambient stay empty
  uint8_t no_new_privileges = 0;
  std::string seccomp;        // struct sock_filter[]; empty: none
  std::vector<Rlimit> rlimits;
  int32_t oom_score_adj = 0;
  template <class A> void fields(A& a) { a(capabilities, no_new_privileges, seccomp, rlimits, oom_score_adj); }
};

struct Program {
  std::vector<std::string> arguments;
  std::vector<std::string> environment;
  std::string user;
  std::vector<std::string> groups;
  std::string working_dir;
  uint8_t tty = 0;
  uint8_t open_stdin = 0;
  uint16_t rows = 0;
  uint16_t columns = 0;
  template <class A> void fields(A& a) {
    a(arguments, environment, user, groups, working_dir, tty, open_stdin, rows, columns);
  }
};

// ---- The sandbox -------------------------------------------------------------------------------------

enum class MountKind : uint8_t { bind, tmpfs };
enum class Propagation : uint8_t { rprivate, priv, rshared, shared, rslave, slave };

// What `read_only` means for the mounts below a bind's source.
enum class ReadOnlySubmounts : uint8_t { if_possible, no, must };

struct MountEntry {
  MountKind kind = MountKind::bind;
  Propagation propagation = Propagation::rprivate;
  uint8_t read_only = 0;
  ReadOnlySubmounts submounts = ReadOnlySubmounts::if_possible;
  uint8_t recursive = 1;
  std::string source;
  std::string subpath;
  std::string target;
  std::string options;  // tmpfs
  template <class A> void fields(A& a) {
    a(kind, propagation, read_only, submounts, recursive, source, subpath, target, options);
  }
};

// A node that the shim makes: below /dev if the path starts so, else anywhere in the root.
struct DeviceNode {
  std::string path;
  uint32_t mode = 0;  // type and permissions
  uint32_t uid = 0;
  uint32_t gid = 0;
  uint32_t major = 0;
  uint32_t minor = 0;
  template <class A> void fields(A& a) { a(path, mode, uid, gid, major, minor); }
};

// One thing to do to the cgroup tree, in order.
struct CgroupStep {
  enum class Kind : uint8_t {
    make_directory,  // existing is fine
    write,           // value → file
    copy_if_empty,   // file `value` → file `path` unless that has content: cpuset wants it
  };
  Kind kind = Kind::make_directory;
  uint8_t required = 0;       // failing means that the start fails
  std::string path;
  std::string value;
  std::string warning;        // if it fails and is not required; empty: silence
  template <class A> void fields(A& a) { a(kind, required, path, value, warning); }
};

struct CgroupMount {
  std::string name;    // below /sys/fs/cgroup in the container
  std::string source;  // the container's own directory on the host
  template <class A> void fields(A& a) { a(name, source); }
};
struct CgroupLink {
  std::string name;
  std::string target;
  template <class A> void fields(A& a) { a(name, target); }
};

struct CgroupPlan {
  std::vector<CgroupStep> steps;
  std::vector<std::string> attach;       // v1 directories that a process joins before its program runs
  std::string unified;                   // v2 directory that PID 1 is born in; empty: there is no v2 tree
  std::string freezer;                   // v1 directory for pausing; empty: unified does it
  std::string oom_file;                  // has a line "oom_kill N"; empty: unknown
  std::vector<std::string> directories;  // to remove at the end
  std::vector<CgroupMount> mounts;       // v1 and hybrid: what /sys/fs/cgroup shows
  std::vector<CgroupLink> links;
  uint8_t private_namespace = 0;         // a cgroup namespace of its own, whose root is the container's directory
  uint8_t pure_v2 = 0;                   // /sys/fs/cgroup is one cgroup2 mount
  template <class A> void fields(A& a) {
    a(steps, attach, unified, freezer, oom_file, directories, mounts, links, private_namespace, pure_v2);
  }
};

enum class NamespaceKind : uint8_t { own, host, of_process };
struct Namespace {
  NamespaceKind kind = NamespaceKind::own;
  int32_t pid = 0;
  template <class A> void fields(A& a) { a(kind, pid); }
};

struct Setting {  // a sysctl: "net.ipv4.ip_forward"
  std::string name;
  std::string value;
  template <class A> void fields(A& a) { a(name, value); }
};

enum class LogFormat : uint8_t { json, compact };

struct Launch {
  uint32_t version = kProtocolVersion;
  std::string run_dir;
  std::vector<std::string> layers;  // topmost first
  std::string upper;
  std::string work;
  std::string log_path;             // empty: no log
  uint64_t log_max_size = 0;
  uint32_t log_max_files = 1;
  LogFormat log_format = LogFormat::json;
  uint8_t log_compress = 0;         // rotated files become .gz
  uint64_t log_buffer = 0;          // > 0: the program does not wait for the disk; so much may wait for it
  std::string log_attributes;       // JSON object that each line carries; may be empty
  Program program;
  Privileges privileges;
  std::string hostname;
  std::string domainname;
  std::vector<MountEntry> mounts;
  std::vector<DeviceNode> devices;
  uint64_t shm_size = 0;
  uint8_t no_shm = 0;               // ipc mode none: there is no /dev/shm
  uint8_t read_only_root = 0;
  uint8_t writable_system = 0;      // privileged: /sys and /sys/fs/cgroup are writable
  uint8_t reaper = 0;               // PID 1 is ours and forwards signals
  std::vector<std::string> masked_paths;
  std::vector<std::string> read_only_paths;
  std::vector<Setting> sysctls;
  CgroupPlan cgroup;
  Namespace network;
  uint8_t no_netfilter = 0;         // names are asked for at port 53 itself, there is no socket for rules
  Namespace pid;
  Namespace ipc;
  Namespace uts;
  template <class A> void fields(A& a) {
    a(version, run_dir, layers, upper, work, log_path, log_max_size, log_max_files, log_format, log_compress,
      log_buffer, log_attributes, program, privileges, hostname,
      domainname, mounts, devices, shm_size, no_shm, read_only_root, writable_system, reaper, masked_paths, read_only_paths,
      sysctls, cgroup, network, no_netfilter, pid, ipc, uts);
  }
};

// ---- Messages ----------------------------------------------------------------------------------------

enum class MessageType : uint32_t {
  // daemon → shim
  launch = 1,   // fds: memfd with a Launch [, device program]
  go,           // run the program
  signal,       // Number: to PID 1
  kill_all,     // SIGKILL to everything
  pause,        // answered by `done`
  unpause,      // answered by `done`
  resize,       // Size
  attach,       // Attach; fds: the client's stream
  exec,         // Named; fds: memfd with an Exec
  exec_signal,  // NamedNumber
  sockets,      // answered by `sockets_are`
  release,      // after `exited`: end
  small_exec,   // SmallExec: no larger than kMaxSmallExec. To shims of the daemon's own version only
  // shim → daemon
  ready = 100,  // Number (pid); fds: route, netfilter unless no_netfilter, dns_udp, dns_tcp, netns; or none
  started,      // Started
  failed,       // Failed: nothing is left
  hello,        // Hello: greets every new connection
  exited,       // Exit
  exec_started, // NamedNumber (pid); fds: stdin, stdout, stderr as far as there are, or terminal ×2
  exec_failed,  // ExecFailed
  exec_exited,  // ExecExit
  done,         // Failed; exit_code 0: it worked
  sockets_are,  // fds as of `ready`
};

struct Nothing {
  template <class A> void fields(A&) {}
};
struct Number {
  int64_t value = 0;
  template <class A> void fields(A& a) { a(value); }
};
struct Size {
  uint16_t rows = 0;
  uint16_t columns = 0;
  template <class A> void fields(A& a) { a(rows, columns); }
};
struct Attach {
  uint8_t close_stdin_at_end = 0;
  template <class A> void fields(A& a) { a(close_stdin_at_end); }
};
struct Named {
  std::string id;
  template <class A> void fields(A& a) { a(id); }
};
struct NamedNumber {
  std::string id;
  int64_t value = 0;
  template <class A> void fields(A& a) { a(id, value); }
};
struct Exec {
  Program program;
  uint64_t privileged_capabilities = 0;  // 0: those of the container
  uint8_t detached = 0;                  // without a tty its streams are /dev/null, and none are sent
  template <class A> void fields(A& a) { a(program, privileged_capabilities, detached); }
};
struct SmallExec {
  std::string id;
  Exec exec;
  template <class A> void fields(A& a) { a(id, exec); }
};
struct Started {
  int64_t at_ns = 0;  // since 1970
  std::vector<std::string> warnings;
  template <class A> void fields(A& a) { a(at_ns, warnings); }
};
struct Failed {
  int32_t exit_code = 128;
  std::string message;
  template <class A> void fields(A& a) { a(exit_code, message); }
};
struct Exit {
  int32_t code = 0;
  int64_t at_ns = 0;
  uint8_t oom_killed = 0;
  template <class A> void fields(A& a) { a(code, at_ns, oom_killed); }
};
struct ExecFailed {
  std::string id;
  Failed failure;
  template <class A> void fields(A& a) { a(id, failure); }
};
struct ExecExit {
  std::string id;
  Exit exit;
  template <class A> void fields(A& a) { a(id, exit); }
};
struct Hello {
  int32_t pid = 0;
  int64_t started_ns = 0;
  uint8_t tty = 0;
  uint8_t ended = 0;
  Exit exit;
  template <class A> void fields(A& a) { a(pid, started_ns, tty, ended, exit); }
};

template <class T>
std::string packet(MessageType type, const T& body) {
  Writer writer;
  writer(type, body);
  return writer.take();
}
// The type of a packet, and its body as a view into it. 0 for a packet that is too short.
inline MessageType split_packet(std::string_view bytes, std::string_view& body) {
  uint32_t type = 0;
  if (bytes.size() < sizeof type) return MessageType{0};
  std::memcpy(&type, bytes.data(), sizeof type);
  body = bytes.substr(sizeof type);
  return MessageType{type};
}

}  // namespace gantry::shim
