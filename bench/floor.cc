// The kernel's floor: what N containers on one bridge cost with bare system calls and nothing else.
//
//   bench_floor ROOTFS N      (as root; ROOTFS must hold /bin/sleep)
//
// One container = overlay mount, new mnt/pid/net/ipc/uts/cgroup namespaces, /proc /dev /dev/pts /sys, pivot_root, a
// veth pair on the bridge, exec of sleep. No image, no log, no store, no limits, no API. What starts the same
// containers can hardly be faster; bench/up.py prints Gantry's times as multiples of these, taken in the same run.
// Prints one JSON object: {"n":…,"start_ms":…,"stop_ms":…}.
#include <fcntl.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/sched.h>
#include <linux/veth.h>
#include <net/if.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <string>
#include <vector>

namespace {

constexpr char kBridge[] = "gfloor0";

[[noreturn]] void fail(const char* what) {
  std::fprintf(stderr, "bench_floor: %s: %s\n", what, std::strerror(errno));
  std::exit(1);
}
void require(bool ok, const char* what) {
  if (!ok) fail(what);
}

// One RTM_NEWLINK/RTM_DELLINK message; nested attributes are closed in reverse order of opening.
class LinkMessage {
 public:
  LinkMessage(uint16_t type, uint16_t flags) {
    header()->nlmsg_len = NLMSG_LENGTH(sizeof(ifinfomsg));
    header()->nlmsg_type = type;
    header()->nlmsg_flags = static_cast<uint16_t>(NLM_F_REQUEST | NLM_F_ACK | flags);
  }
  ifinfomsg& link() { return *static_cast<ifinfomsg*>(NLMSG_DATA(header())); }
  void bring_up() { link().ifi_flags = link().ifi_change = IFF_UP; }
  rtattr* add(uint16_t type, const void* data, size_t size) {
    auto* attribute = reinterpret_cast<rtattr*>(buffer_ + header()->nlmsg_len);
    attribute->rta_type = type;
    attribute->rta_len = static_cast<uint16_t>(RTA_LENGTH(size));
    if (size > 0) std::memcpy(RTA_DATA(attribute), data, size);
    header()->nlmsg_len += RTA_ALIGN(attribute->rta_len);
    return attribute;
  }
  rtattr* add(uint16_t type, const std::string& text) { return add(type, text.c_str(), text.size() + 1); }
  rtattr* add(uint16_t type, int value) { return add(type, &value, sizeof value); }
  rtattr* open(uint16_t type) { return add(type, nullptr, 0); }
  void close(rtattr* nested) {
    nested->rta_len = static_cast<uint16_t>(buffer_ + header()->nlmsg_len - reinterpret_cast<char*>(nested));
  }
  void reserve_peer_header() { header()->nlmsg_len += sizeof(ifinfomsg); }  // VETH_INFO_PEER starts with one, zeroed
  void send(int socket) {
    require(::send(socket, buffer_, header()->nlmsg_len, 0) > 0, "netlink send");
    alignas(nlmsghdr) char answer[4096];
    require(::recv(socket, answer, sizeof answer, 0) > 0, "netlink receive");
    const auto* error = static_cast<nlmsgerr*>(NLMSG_DATA(reinterpret_cast<nlmsghdr*>(answer)));
    errno = -error->error;
    require(error->error == 0, "netlink");
  }

 private:
  nlmsghdr* header() { return reinterpret_cast<nlmsghdr*>(buffer_); }
  alignas(nlmsghdr) char buffer_[1024]{};
};

int route_socket() { return ::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE); }

void bring_up(int socket, int index) {
  LinkMessage message(RTM_NEWLINK, 0);
  message.link().ifi_index = index;
  message.bring_up();
  message.send(socket);
}

// The child: from a fresh set of namespaces to sleep. Never returns.
[[noreturn]] void contain(const std::string& root, int go) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);  // a parent that failed leaves no child which waits for it, with its stdout open
  ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr);
  require(::mount(root.c_str(), root.c_str(), nullptr, MS_BIND | MS_REC, nullptr) == 0, "bind root");
  for (const char* name : {"/proc", "/dev", "/sys"}) ::mkdir((root + name).c_str(), 0755);
  constexpr unsigned long kSafe = MS_NOSUID | MS_NOEXEC | MS_NODEV;
  require(::mount("proc", (root + "/proc").c_str(), "proc", kSafe, nullptr) == 0, "proc");
  require(::mount("tmpfs", (root + "/dev").c_str(), "tmpfs", MS_NOSUID, "mode=755,size=65536k") == 0, "dev");
  ::mkdir((root + "/dev/pts").c_str(), 0755);
  ::mount("devpts", (root + "/dev/pts").c_str(), "devpts", MS_NOSUID | MS_NOEXEC, "newinstance,ptmxmode=0666");
  const std::pair<const char*, unsigned> devices[] = {
      {"null", 3}, {"zero", 5}, {"full", 7}, {"random", 8}, {"urandom", 9}};
  for (auto [name, minor_number] : devices) {
    ::mknod((root + "/dev/" + name).c_str(), S_IFCHR | 0666, makedev(1, minor_number));
  }
  ::mount("sysfs", (root + "/sys").c_str(), "sysfs", kSafe | MS_RDONLY, nullptr);
  require(::chdir(root.c_str()) == 0 && ::syscall(SYS_pivot_root, ".", ".") == 0 && ::umount2(".", MNT_DETACH) == 0 &&
              ::chdir("/") == 0,
          "pivot_root");
  char byte;
  require(::read(go, &byte, 1) == 1, "waiting for the network");
  int netlink = route_socket();
  bring_up(netlink, 1);
  bring_up(netlink, static_cast<int>(::if_nametoindex("eth0")));
  ::execl("/bin/sleep", "sleep", "1000", nullptr);
  fail("exec /bin/sleep");
}

void add_veth(int netlink, int bridge, const std::string& host_name, pid_t peer_of) {
  LinkMessage message(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL);
  message.bring_up();
  message.add(IFLA_IFNAME, host_name);
  message.add(IFLA_MASTER, bridge);
  rtattr* info = message.open(IFLA_LINKINFO);
  message.add(IFLA_INFO_KIND, "veth", 4);
  rtattr* data = message.open(IFLA_INFO_DATA);
  rtattr* peer = message.open(VETH_INFO_PEER);
  message.reserve_peer_header();
  message.add(IFLA_IFNAME, std::string("eth0"));
  message.add(IFLA_NET_NS_PID, static_cast<int>(peer_of));
  message.close(peer);
  message.close(data);
  message.close(info);
  message.send(netlink);
}

pid_t start_one(const std::string& rootfs, const std::string& directory, int netlink, int bridge, int number) {
  for (const char* name : {"", "/upper", "/work", "/root"}) ::mkdir((directory + name).c_str(), 0755);
  const std::string options =
      "lowerdir=" + rootfs + ",upperdir=" + directory + "/upper,workdir=" + directory + "/work";
  const std::string root = directory + "/root";
  require(::mount("overlay", root.c_str(), "overlay", 0, options.c_str()) == 0, "overlay");
  int go[2];
  int running[2];
  require(::pipe2(go, O_CLOEXEC) == 0 && ::pipe2(running, O_CLOEXEC) == 0, "pipe");
  clone_args arguments{};
  arguments.flags = CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP;
  arguments.exit_signal = SIGCHLD;
  const auto pid = static_cast<pid_t>(::syscall(SYS_clone3, &arguments, sizeof arguments));
  require(pid >= 0, "clone3");
  if (pid == 0) contain(root, go[0]);
  add_veth(netlink, bridge, "gfl" + std::to_string(number), pid);
  require(::write(go[1], "x", 1) == 1, "go");
  ::close(running[1]);
  char byte;
  static_cast<void>(!::read(running[0], &byte, 1));  // ends when exec closes the other end: the program runs
  for (int fd : {go[0], go[1], running[0]}) ::close(fd);
  return pid;
}

double milliseconds(std::chrono::steady_clock::duration time) {
  return std::chrono::duration<double, std::milli>(time).count();
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: bench_floor ROOTFS N\n");
    return 2;
  }
  const std::string rootfs = argv[1];
  const int count = std::atoi(argv[2]);
  char base_template[] = "/tmp/gantry-floor.XXXXXX";
  require(::mkdtemp(base_template) != nullptr, "mkdtemp");
  const std::string base = base_template;
  // The names of one run would meet those of the last: the kernel takes interfaces of dead namespaces away later.
  require(::unshare(CLONE_NEWNET) == 0, "unshare");
  const int netlink = route_socket();
  LinkMessage create(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL);
  create.add(IFLA_IFNAME, std::string(kBridge));
  rtattr* info = create.open(IFLA_LINKINFO);
  create.add(IFLA_INFO_KIND, "bridge", 6);
  create.close(info);
  create.send(netlink);
  const int bridge = static_cast<int>(::if_nametoindex(kBridge));
  bring_up(netlink, bridge);

  const auto started = std::chrono::steady_clock::now();
  std::vector<pid_t> pids;
  for (int i = 0; i < count; ++i) {
    pids.push_back(start_one(rootfs, base + "/" + std::to_string(i), netlink, bridge, i));
  }
  const auto all_run = std::chrono::steady_clock::now();
  for (pid_t pid : pids) ::kill(pid, SIGKILL);
  for (pid_t pid : pids) ::waitpid(pid, nullptr, 0);
  for (int i = 0; i < count; ++i) ::umount2((base + "/" + std::to_string(i) + "/root").c_str(), MNT_DETACH);
  LinkMessage remove(RTM_DELLINK, 0);
  remove.link().ifi_index = bridge;
  remove.send(netlink);
  const auto all_gone = std::chrono::steady_clock::now();
  std::filesystem::remove_all(base);
  std::printf("{\"n\":%d,\"start_ms\":%.2f,\"stop_ms\":%.2f}\n", count, milliseconds(all_run - started),
              milliseconds(all_gone - all_run));
  return 0;
}
