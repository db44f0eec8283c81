#include "shim/child.h"

#include <cerrno>
#include <csignal>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/magic.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <new>
#include <utility>

#include "shim/cgroup.h"
#include "shim/mount_api.h"
#include "shim/netns.h"
#include "shim/program.h"
#include "shim/rootfs.h"

namespace gantry::shim {
namespace {

// What both kinds of child are given. By numbers: the supervisor closes its own meanwhile.
struct Descriptors {
  int channel = -1;
  int supervisor_end = -1;  // the channel's other one
  int in = -1;
  int out = -1;
  int err = -1;
};

struct ContainerStart {
  const Launch& launch;
  Descriptors descriptors;
};

struct ExecStart {
  const Exec& exec;
  const Privileges& privileges;
  const CgroupPlan& cgroups;
  int init;
  int kept;
  Descriptors descriptors;
};

ChildStreams begin_child(const Descriptors& descriptors) {
  set_child_channel(descriptors.channel);
  ::close(descriptors.supervisor_end);  // or our end of it would never be seen
  check(::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) == 0, "prctl PR_SET_PDEATHSIG");
  ::prctl(PR_SET_NAME, "gantry-child", 0, 0, 0);
  ::setsid();
  return {Fd(descriptors.in), Fd(descriptors.out), Fd(descriptors.err)};
}

void join_namespace(const Namespace& choice, const char* name, int type) {
  if (choice.kind != NamespaceKind::of_process) return;
  std::string path = "/proc/" + text_of(choice.pid) + "/ns/" + name;
  Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  check(static_cast<bool>(fd), "open", path);
  check(::setns(fd.get(), type) == 0, "join namespace", path);
}

uint64_t new_namespaces(const Launch& launch) {
  uint64_t flags = CLONE_NEWNS;
  if (launch.network.kind == NamespaceKind::own) flags |= CLONE_NEWNET;
  if (launch.pid.kind == NamespaceKind::own) flags |= CLONE_NEWPID;
  if (launch.ipc.kind == NamespaceKind::own) flags |= CLONE_NEWIPC;
  if (launch.uts.kind == NamespaceKind::own) flags |= CLONE_NEWUTS;
  return flags;
}

void set_names(const Launch& launch) {
  if (launch.uts.kind != NamespaceKind::own) return;
  if (!launch.hostname.empty()) {
    check(::sethostname(launch.hostname.data(), launch.hostname.size()) == 0, "sethostname", launch.hostname);
  }
  // An empty one is set, too: the namespace begins with a copy of the host's.
  check(::setdomainname(launch.domainname.data(), launch.domainname.size()) == 0, "setdomainname", launch.domainname);
}

[[noreturn]] void run_container(void* argument) {
  const auto& [launch, descriptors] = *static_cast<const ContainerStart*>(argument);
  ChildStreams streams = begin_child(descriptors);
  join_namespace(launch.network, "net", CLONE_NEWNET);
  join_namespace(launch.ipc, "ipc", CLONE_NEWIPC);
  join_namespace(launch.uts, "uts", CLONE_NEWUTS);
  // First, so that the daemon sets up the network while we mount.
  if (launch.network.kind == NamespaceKind::own) open_network_sockets(launch.no_netfilter != 0);
  set_names(launch);
  // Where we are now becomes this namespace's root; in a v2 tree we were born there.
  join_cgroups(launch.cgroup.attach);
  if (launch.cgroup.private_namespace != 0) check(::unshare(CLONE_NEWCGROUP) == 0, "unshare cgroup namespace");
  Rootfs rootfs(launch);
  rootfs.build();
  Fd terminal;
  if (launch.program.tty != 0) terminal = rootfs.open_terminal();
  rootfs.enter();
  if (terminal) {
    adopt_terminal(static_cast<Fd&&>(terminal));
  } else {
    adopt_pipes(static_cast<ChildStreams&&>(streams));
  }
  become(launch.program, launch.privileges, launch.reaper != 0 ? Role::reaper : Role::first);
}

Fd open_exec_terminal(const Program& program) {
  Fd master(::open("/dev/pts/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC | O_NOFOLLOW));
  check(master && is_on_filesystem(master.get(), DEVPTS_SUPER_MAGIC), "open /dev/pts/ptmx");
  int unlock = 0;
  check(::ioctl(master.get(), TIOCSPTLCK, &unlock) == 0, "unlock the terminal");
  Fd slave(::ioctl(master.get(), TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC));
  check(static_cast<bool>(slave), "open the terminal");
  if (program.rows != 0 || program.columns != 0) {
    winsize size{program.rows, program.columns, 0, 0};
    ::ioctl(master.get(), TIOCSWINSZ, &size);
  }
  int fd = master.get();
  Writer writer;
  writer(ChildMessage::terminal);
  check(send_packet(child_channel(), writer.take(), &fd, 1), "hand over the terminal");
  return slave;
}

[[noreturn]] void run_exec(void* argument) {
  const auto& [exec, privileges, cgroups, init, kept, descriptors] = *static_cast<const ExecStart*>(argument);
  ChildStreams streams = begin_child(descriptors);
  // Closing at exec would be too late: a working directory of /proc/self/fd/N leads there before.
  if (kept >= 0) ::close(kept);
  join_cgroups(cgroups.attach);
  int namespaces = CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS;
  if (cgroups.private_namespace != 0) namespaces |= CLONE_NEWCGROUP;
  check(::setns(init, namespaces) == 0, "join the container's namespaces");
  ::umask(022);
  if (exec.program.tty != 0) {
    adopt_terminal(open_exec_terminal(exec.program));
  } else {
    adopt_pipes(static_cast<ChildStreams&&>(streams));
  }
  if (exec.privileged_capabilities == 0) become(exec.program, privileges, Role::exec);
  Privileges more = privileges;
  more.capabilities = exec.privileged_capabilities;
  become(exec.program, more, Role::exec);
}

// `make_start`: of the child's descriptors, what `run` is called with.
template <class MakeStart>
Child start_child(uint64_t flags, int cgroup, std::unique_ptr<ChildMemory> memory, const ChildStreams& streams,
                  void (*run)(void*), MakeStart make_start) {
  Child child;
  int ends[2];
  if (!memory) return child;
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) return child;
  child.channel.reset(ends[0]);
  const Fd theirs(ends[1]);
  const Descriptors descriptors{.channel = theirs.get(),
                                .supervisor_end = child.channel.get(),
                                .in = streams.in.get(),
                                .out = streams.out.get(),
                                .err = streams.err.get()};
  using Start = decltype(make_start(descriptors));
  auto* start = new (memory->take(sizeof(Start))) Start(make_start(descriptors));
  child.pid = clone_child(flags, cgroup, *memory, run, start);
  child.memory = std::move(memory);
  return child;
}

// A reaper never loads another program: what runs inside of the container for long must not have our memory. And what keeps a
// process from the kernel's choice of a victim holds for all that have its memory.
bool must_be_copied(const Launch& launch) { return launch.reaper != 0 || launch.privileges.oom_score_adj != 0; }

}  // namespace

bool may_trace(uint64_t capabilities) { return (capabilities >> CAP_SYS_PTRACE & 1) != 0; }

Child start_container(const Launch& launch, ChildStreams streams, int cgroup, bool may_be_traced) {
  const uint64_t memory = may_be_traced || must_be_copied(launch) ? 0 : CLONE_VM;
  return start_child(new_namespaces(launch) | memory, cgroup, ChildMemory::make(), streams, run_container,
                     [&](const Descriptors& descriptors) {
                       return ContainerStart{.launch = launch, .descriptors = descriptors};
                     });
}

Child start_exec(const Exec& exec, const Privileges& privileges, const CgroupPlan& cgroups, int init, int kept,
                 ChildStreams streams, int cgroup, bool may_be_traced, std::unique_ptr<ChildMemory> memory) {
  if (!memory) memory = ChildMemory::make();
  return start_child(may_be_traced ? 0 : CLONE_VM, cgroup, std::move(memory), streams, run_exec,
                     [&](const Descriptors& descriptors) {
                       return ExecStart{.exec = exec,
                                        .privileges = privileges,
                                        .cgroups = cgroups,
                                        .init = init,
                                        .kept = kept,
                                        .descriptors = descriptors};
                     });
}

}  // namespace gantry::shim
