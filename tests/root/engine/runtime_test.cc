// The runtime and its shim on the real kernel.
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <csignal>
#include <fstream>

#include "root/engine/sandbox_world.h"

namespace gantry::engine {
namespace {

class RuntimeRoot : public SandboxWorld {};

TEST_F(RuntimeRoot, ReportsTheProgramsExitCode) {
  EXPECT_EQ(run({"true"}).exit_code, 0);
  EXPECT_EQ(run_shell("exit 42").exit_code, 42);
}

TEST_F(RuntimeRoot, ReportsDeathBySignalAs128PlusNumber) {
  auto running = start(spec({"sleep", "60"}));
  ASSERT_TRUE(running);
  loop_->ask([&] { EXPECT_TRUE(running->link->signal(SIGKILL).ok()); });
  EXPECT_EQ(wait(*running).exit_code, 137);
  release(std::move(running));
}

TEST_F(RuntimeRoot, LogsBothStreams) {
  Outcome outcome = run_shell("echo out; echo err >&2; printf unfinished");
  EXPECT_EQ(outcome.out, "out\nunfinished");
  EXPECT_EQ(outcome.err, "err\n");
}

TEST_F(RuntimeRoot, LosesNothingOfALongOutput) {
  Outcome outcome = run_shell("seq 1 200000");
  EXPECT_EQ(outcome.out.size(), 1288895u);
  EXPECT_EQ(outcome.out.substr(outcome.out.size() - 14), "199999\n200000\n");
}

TEST_F(RuntimeRoot, GivesTheProgramItsEnvironmentWithHomeLast) {
  EXPECT_EQ(run({"env"}).out, "PATH=/bin\nGREETING=hello\nHOME=/root\n");
  SandboxSpec other = spec({"env"});
  other.process.user = "1000";
  EXPECT_EQ(run(other).out, "PATH=/bin\nGREETING=hello\nHOME=/home/user\n");
}

TEST_F(RuntimeRoot, ResolvesUsersInsideTheRoot) {
  struct Row {
    const char* user;
    const char* expected;
  };
  for (const Row& row : {Row{"", "0 0 0"}, Row{"user", "1000 1000 1000 50"}, Row{"1000", "1000 1000 1000 50"},
                         Row{"user:extra", "1000 60 60"}, Row{"1234", "1234 0 0"}, Row{"1234:5678", "1234 5678 5678"}}) {
    SandboxSpec wanted = shell("echo $(id -u) $(id -g) $(id -G)");
    wanted.process.user = row.user;
    EXPECT_EQ(run(wanted).out, std::string(row.expected) + "\n") << row.user;
  }
  SandboxSpec unknown = spec({"true"});
  unknown.process.user = "nobody-here";
  Outcome outcome = run(unknown);
  EXPECT_EQ(outcome.failure, "unable to find user nobody-here: no matching entries in passwd file");
  EXPECT_EQ(outcome.exit_code, 128);
}

TEST_F(RuntimeRoot, SaysWhyAProgramCannotRun) {
  Outcome missing = run({"no-such-program"});
  EXPECT_EQ(missing.failure, "exec: \"no-such-program\": executable file not found in $PATH");
  EXPECT_EQ(missing.exit_code, 127);
  Outcome path = run({"/no/such"});
  EXPECT_EQ(path.failure, "exec: \"/no/such\": stat /no/such: no such file or directory");
  EXPECT_EQ(path.exit_code, 127);
  Outcome denied = run({"/data/plain"});
  EXPECT_EQ(denied.failure, "exec: \"/data/plain\": permission denied");
  EXPECT_EQ(denied.exit_code, 126);
  Outcome format = run({"/data/bad"});
  EXPECT_EQ(format.failure, "exec /data/bad: exec format error");
  EXPECT_EQ(format.exit_code, 126);
}

TEST_F(RuntimeRoot, MakesTheWorkingDirectory) {
  SandboxSpec wanted = spec({"pwd"});
  wanted.process.working_dir = "/made/for/this";
  EXPECT_EQ(run(wanted).out, "/made/for/this\n");
  wanted = spec({"pwd"});
  wanted.process.working_dir = "/data/plain";
  EXPECT_EQ(run(wanted).failure, "Cannot mkdir: /data/plain is not a directory");
}

TEST_F(RuntimeRoot, HasNamespacesOfItsOwn) {
  EXPECT_EQ(run_shell("echo $$; hostname; ls /proc | grep -c '^[0-9]'").out.substr(0, 6), "1\nbox\n");
}

TEST_F(RuntimeRoot, MountsDockersDefaults) {
  std::string mounts = run({"cat", "/proc/mounts"}).out;
  for (const char* line :
       {"overlay / overlay rw,", "proc /proc proc rw,nosuid,nodev,noexec,relatime", "tmpfs /dev tmpfs rw,nosuid,",
        "devpts /dev/pts devpts rw,nosuid,noexec,relatime,gid=5,mode=620,ptmxmode=666",
        "sysfs /sys sysfs ro,nosuid,nodev,noexec", "mqueue /dev/mqueue mqueue rw,nosuid,nodev,noexec",
        "/dev/shm tmpfs rw,nosuid,nodev,noexec", "proc /proc/sys proc ro,nosuid,nodev,noexec"}) {
    EXPECT_NE(mounts.find(line), std::string::npos) << line << " in\n" << mounts;
  }
  EXPECT_EQ(mounts.find(directory_.native() + " "), std::string::npos) << mounts;
}

TEST_F(RuntimeRoot, FillsDev) {
  EXPECT_EQ(run_shell("cd /dev; ls -1 | grep -v '^core$' | tr '\\n' ' '; stat -c '%t:%T %a' null; readlink fd").out,
            "fd full mqueue null ptmx pts random shm stderr stdin stdout tty urandom zero 1:3 666\n/proc/self/fd\n");
}

TEST_F(RuntimeRoot, MasksAndProtectsWhatTheKernelShowsOfTheHost) {
  EXPECT_EQ(run_shell("cat /proc/kcore | wc -c; ls /sys/firmware | wc -l; echo 1 > /proc/sysrq-trigger || echo refused").out,
            "0\n0\nrefused\n");
}

TEST_F(RuntimeRoot, RefusesWritesToAReadOnlyRoot) {
  SandboxSpec wanted = shell("touch /new 2>/dev/null || echo refused; touch /dev/shm/ok && echo shm");
  wanted.read_only_root = true;
  EXPECT_EQ(run(wanted).out, "refused\nshm\n");
}

TEST_F(RuntimeRoot, MountsWhatTheUserAsksFor) {
  std::filesystem::path host = directory_ / "host";
  std::filesystem::create_directories(host / "sub");
  ASSERT_TRUE(write_file(host / "file", "from the host\n").ok());
  SandboxSpec wanted = shell(
      "cat /mnt/a/file /etc/single; touch /mnt/a/new; touch /mnt/ro/x 2>/dev/null || echo ro; "
      "stat -c %a /scratch; grep ' /scratch ' /proc/mounts | grep -o 'size=[0-9a-z]*'; ls /mnt/s | wc -l");
  wanted.mounts = {{.source = host, .target = "/mnt/a"},
                   {.source = host, .target = "/mnt/ro", .read_only = true},
                   {.source = host / "file", .target = "/etc/single"},
                   {.source = host, .target = "/mnt/s", .subpath = "sub"},
                   {.kind = RuntimeMount::Kind::tmpfs, .target = "/scratch", .tmpfs_options = "size=64k,noexec"}};
  EXPECT_EQ(run(wanted).out, "from the host\nfrom the host\nro\n1777\nsize=64k\n0\n");
  EXPECT_TRUE(std::filesystem::exists(host / "new"));
}

TEST_F(RuntimeRoot, RefusesAFileMountedOnADirectory) {
  SandboxSpec wanted = spec({"true"});
  wanted.mounts = {{.source = directory_ / "layer/data/plain", .target = "/etc"}};
  Outcome outcome = run(wanted);
  EXPECT_NE(outcome.failure.find("Are you trying to mount a directory onto a file (or vice-versa)?"), std::string::npos)
      << outcome.failure;
  EXPECT_EQ(outcome.exit_code, 127);
}

TEST_F(RuntimeRoot, KeepsMountTargetsInsideTheRoot) {
  std::filesystem::create_directories(directory_ / "evil");
  std::filesystem::create_directory_symlink("../../../../../../" + directory_.native() + "/evil",
                                            directory_ / "layer/escape");
  SandboxSpec wanted = shell("cat /escape/inside/plain");
  wanted.mounts = {{.source = directory_ / "layer/data", .target = "/escape/inside"}};
  run(wanted);
  EXPECT_TRUE(std::filesystem::is_empty(directory_ / "evil"));
}

TEST_F(RuntimeRoot, GivesOnlyDockersCapabilities) {
  EXPECT_EQ(run_shell("grep -E 'Cap(Prm|Eff|Bnd|Inh|Amb)' /proc/self/status | tr -d '\\t' | tr '\\n' ' '").out,
            "CapInh:0000000000000000 CapPrm:00000000a80425fb CapEff:00000000a80425fb CapBnd:00000000a80425fb "
            "CapAmb:0000000000000000 ");
  SandboxSpec wanted = shell("grep Seccomp: /proc/self/status; unshare -m true || mount -t tmpfs x /tmp || echo refused");
  Outcome outcome = run(wanted);
  EXPECT_NE(outcome.out.find("refused"), std::string::npos) << outcome.out;
}

TEST_F(RuntimeRoot, FiltersSystemCallsUnlessToldNotTo) {
  SandboxSpec wanted = shell("grep Seccomp: /proc/self/status | tr -d '\\t'");
  EXPECT_EQ(run(wanted).out, "Seccomp:2\n");
  wanted = shell("grep Seccomp: /proc/self/status | tr -d '\\t'");
  wanted.seccomp = "unconfined";
  EXPECT_EQ(run(wanted).out, "Seccomp:0\n");
}

TEST_F(RuntimeRoot, KeepsDevicesOfTheHostAway) {
  // CAP_MKNOD is among the default capabilities, so only the cgroup stands before the host's disk and memory.
  Outcome outcome = run_shell("mknod /tmp/mem c 1 1; cat /tmp/mem 2>&1 | head -c 100");
  EXPECT_NE(outcome.out.find("Operation not permitted"), std::string::npos) << outcome.out;
  EXPECT_EQ(run_shell("head -c 4 /dev/zero | wc -c").out, "4\n");
}

TEST_F(RuntimeRoot, AppliesSysctlsAndNames) {
  SandboxSpec wanted = shell("cat /proc/sys/net/ipv4/ip_unprivileged_port_start /proc/sys/kernel/shmmni");
  wanted.sysctls = {{"kernel.shmmni", "1234"}};
  EXPECT_EQ(run(wanted).out, "0\n1234\n");
}

TEST_F(RuntimeRoot, TakesInputFromAnAttachedClient) {
  auto [ours, theirs] = *make_socket_pair(SOCK_STREAM);
  ASSERT_TRUE(write_all(ours.get(), "typed before the start\n").ok());
  SandboxSpec wanted = spec({"cat"});
  wanted.process.open_stdin = true;
  auto running = start(wanted, nullptr, std::move(theirs));
  ASSERT_TRUE(running);
  ::shutdown(ours.get(), SHUT_WR);
  std::string expected("\x01\0\0\0\0\0\0\x17typed before the start\n", 31);
  EXPECT_EQ(read_to_end(ours.get()), expected);
  EXPECT_EQ(wait(*running).exit_code, 0);
  release(std::move(running));
}

TEST_F(RuntimeRoot, SendsEveryAttachedClientEverything) {
  SandboxSpec wanted = shell("read go; seq 1 50000");
  wanted.process.open_stdin = true;
  auto running = start(wanted);
  ASSERT_TRUE(running);
  Fd first = loop_->ask([&] { return *running->link->attach(false); });
  Fd second = loop_->ask([&] { return *running->link->attach(true); });
  std::string first_text;
  std::thread reader([&] { first_text = read_to_end(first.get()); });
  ASSERT_TRUE(write_all(second.get(), "go\n").ok());
  std::string second_text = read_to_end(second.get());
  reader.join();
  EXPECT_EQ(first_text.size(), second_text.size());
  EXPECT_GT(first_text.size(), 288894u);
  EXPECT_EQ(wait(*running).exit_code, 0);
  release(std::move(running));
}

TEST_F(RuntimeRoot, GivesATerminal) {
  SandboxSpec wanted = shell("tty; stty size; ls -l /dev/console | head -c 1; echo; read line; echo got $line");
  wanted.process.tty = true;
  wanted.process.open_stdin = true;
  wanted.process.rows = 33;
  wanted.process.columns = 99;
  auto [ours, theirs] = *make_socket_pair(SOCK_STREAM);
  auto running = start(wanted, nullptr, std::move(theirs));
  ASSERT_TRUE(running);
  ASSERT_TRUE(write_all(ours.get(), "words\r").ok());
  std::string text = read_to_end(ours.get());
  EXPECT_EQ(wait(*running).exit_code, 0);
  release(std::move(running));
  for (const char* part : {"/dev/pts/0\r\n", "33 99\r\n", "c\r\n", "got words\r\n"}) {
    EXPECT_NE(text.find(part), std::string::npos) << part << " in " << text;
  }
}

TEST_F(RuntimeRoot, ExecRunsBesideTheProgram) {
  auto running = start(spec({"sleep", "60"}));
  ASSERT_TRUE(running);
  Outcome outcome = exec(*running, process({"sh", "-c", "echo $GREETING; echo $HOME; echo oops >&2; hostname; exit 7"}));
  EXPECT_EQ(outcome.out, "hello\n/root\nbox\n");
  EXPECT_EQ(outcome.err, "oops\n");
  EXPECT_EQ(outcome.exit_code, 7);

  ProcessSpec reader = process({"cat"});
  reader.open_stdin = true;
  EXPECT_EQ(exec(*running, reader, "through a pipe").out, "through a pipe");

  ProcessSpec terminal = process({"sh", "-c", "tty; id -u"});
  terminal.tty = true;
  terminal.user = "user";
  EXPECT_EQ(exec(*running, terminal).out, "/dev/pts/0\r\n1000\r\n");

  EXPECT_EQ(exec(*running, process({"nothing"})).failure, "exec: \"nothing\": executable file not found in $PATH");
  EXPECT_EQ(exec(*running, process({"/data/plain"})).exit_code, 126);
  EXPECT_EQ(exec(*running, process({"sh", "-c", "grep -E 'CapEff|Seccomp:' /proc/self/status | tr -d '\\t'"})).out,
            "CapEff:00000000a80425fb\nSeccomp:2\n");

  loop_->ask([&] { (void)running->link->kill_all().ok(); });
  EXPECT_EQ(wait(*running).exit_code, 137);
  release(std::move(running));
}

TEST_F(RuntimeRoot, PausesAndGoesOn) {
  auto running = start(shell("while true; do echo tick; sleep 0.01; done"));
  ASSERT_TRUE(running);
  auto log_size = [&] { return std::filesystem::file_size(*running->spec.log_path); };
  while (log_size() == 0) std::this_thread::sleep_for(1ms);
  loop_->ask([&] { EXPECT_TRUE(running->link->pause().ok()); });
  std::this_thread::sleep_for(20ms);  // what was in the pipe
  auto size = log_size();
  std::this_thread::sleep_for(100ms);
  EXPECT_EQ(log_size(), size);
  loop_->ask([&] { EXPECT_TRUE(running->link->unpause().ok()); });
  for (int i = 0; i < 1000 && log_size() == size; ++i) std::this_thread::sleep_for(1ms);
  EXPECT_GT(log_size(), size);
  loop_->ask([&] { (void)running->link->signal(SIGKILL).ok(); });
  wait(*running);
  release(std::move(running));
}

TEST_F(RuntimeRoot, ForwardsSignalsAndReapsWithInit) {
  SandboxSpec wanted = shell("trap 'echo got it; exit 3' TERM; (sleep 0.01 &) ; echo $$; while true; do sleep 0.01; done");
  wanted.init = true;
  auto running = start(wanted);
  ASSERT_TRUE(running);
  while (std::filesystem::file_size(*wanted.log_path) == 0) std::this_thread::sleep_for(1ms);
  loop_->ask([&] { EXPECT_TRUE(running->link->signal(SIGTERM).ok()); });
  EXPECT_EQ(wait(*running).exit_code, 3);
  release(std::move(running));
  std::string text = log_text(*wanted.log_path, LogStream::out);
  EXPECT_NE(text, "1\ngot it\n");
  EXPECT_EQ(text.substr(text.find('\n') + 1), "got it\n");
}

TEST_F(RuntimeRoot, ANewDaemonFindsARunningContainerAgain) {
  auto running = start(shell("read line; exit 9"), nullptr);
  SandboxSpec wanted = shell("echo begun; sleep 60");
  auto first = start(wanted);
  ASSERT_TRUE(first && running);
  wait(*running);
  int pid = loop_->ask([&] { return first->link->pid(); });
  loop_->ask([&] { first->link.reset(); });  // the old daemon is gone

  auto second_runtime = new_runtime();
  auto second = std::make_unique<Running>();
  loop_->ask([&] {
    auto link = second_runtime->reconnect(*loop_, wanted.id, wanted.run_dir, handlers(second->events));
    ASSERT_TRUE(link.ok()) << link.error().message();
    second->link = *std::move(link);
    EXPECT_EQ(second->link->pid(), pid);
    auto sockets = second->link->netns_sockets();
    ASSERT_TRUE(sockets.ok());
    EXPECT_TRUE(sockets->route && sockets->netfilter && sockets->dns_udp && sockets->dns_tcp && sockets->netns);
    EXPECT_TRUE(second->link->signal(SIGKILL).ok());
  });
  EXPECT_EQ(wait(*second).exit_code, 137);
  release(std::move(second));
  release(std::move(running));
}

TEST_F(RuntimeRoot, ANewDaemonLearnsOfAnEndThatNobodySaw) {
  SandboxSpec wanted = shell("sleep 0.05; exit 5");
  auto first = start(wanted);
  ASSERT_TRUE(first);
  loop_->ask([&] { first->link.reset(); });
  while (!std::filesystem::exists(wanted.run_dir / "exit")) std::this_thread::sleep_for(5ms);
  // The report is all that is left: the shim waits for nobody.
  std::string report;
  while (report.empty()) report = read_file(wanted.run_dir / "exit").value_or("");
  EXPECT_TRUE(report.starts_with("5 ")) << report;
  const auto is_gone = [&] {
    return loop_->ask([&] {
      auto link = runtime_->reconnect(*loop_, wanted.id, wanted.run_dir, {});
      return !link.ok() && link.error().code() == Code::not_found;
    });
  };
  while (!is_gone()) std::this_thread::sleep_for(5ms);
  EXPECT_TRUE(runtime_->clean_up(wanted.id, wanted.run_dir).ok());
}

TEST_F(RuntimeRoot, AKilledShimTakesItsContainerAlong) {
  SandboxSpec wanted = spec({"sleep", "60"});
  auto running = start(wanted);
  ASSERT_TRUE(running);
  int pid = loop_->ask([&] { return running->link->pid(); });
  std::string status = *read_file("/proc/" + std::to_string(pid) + "/stat");
  int shim = std::stoi(status.substr(status.rfind(')') + 4));
  ::kill(shim, SIGKILL);
  ASSERT_EQ(running->lost.wait_for(5s), std::future_status::ready);
  loop_->ask([&] { running->link.reset(); });
  EXPECT_TRUE(runtime_->clean_up(wanted.id, wanted.run_dir).ok());
  EXPECT_FALSE(std::filesystem::exists(wanted.run_dir));
  // Its parent is gone: init collects it, when it comes to it.
  const auto end = std::chrono::steady_clock::now() + 5s;
  while (::kill(pid, 0) == 0 && std::chrono::steady_clock::now() < end) ::usleep(1000);
  // Dead at least: whoever inherits it may not have reaped it yet.
  auto after = read_file("/proc/" + std::to_string(pid) + "/stat");
  EXPECT_TRUE(!after.ok() || after->find(") Z ") != std::string::npos || after->find(") X ") != std::string::npos);
}

TEST_F(RuntimeRoot, UndoesASandboxThatIsNeverRun) {
  SandboxSpec wanted = spec({"true"});
  {
    auto prepared = runtime_->prepare(wanted);
    ASSERT_EQ(prepared.index(), 0u) << std::get<StartFailure>(prepared).message;
    auto& sandbox = std::get<0>(prepared);
    EXPECT_GT(sandbox->pid(), 0);
    EXPECT_TRUE(sandbox->sockets().route);
  }
  EXPECT_FALSE(std::filesystem::exists(wanted.run_dir));
}

TEST_F(RuntimeRoot, SharesNamespacesOfAnotherProcess) {
  auto owner = start(spec({"sleep", "60"}));
  ASSERT_TRUE(owner);
  int pid = loop_->ask([&] { return owner->link->pid(); });
  SandboxSpec wanted = shell("readlink /proc/self/ns/net; ps | grep -c 'sleep 60'; touch /dev/shm/shared");
  wanted.network = {.kind = NamespaceChoice::Kind::of_process, .pid = pid};
  wanted.pid = {.kind = NamespaceChoice::Kind::of_process, .pid = pid};
  wanted.ipc = {.kind = NamespaceChoice::Kind::of_process, .pid = pid};
  std::string netns = std::filesystem::read_symlink("/proc/" + std::to_string(pid) + "/ns/net");
  Outcome outcome = run(wanted);
  EXPECT_EQ(outcome.out.substr(0, netns.size()), netns) << outcome.out << outcome.failure;
  EXPECT_EQ(exec(*owner, process({"ls", "/dev/shm"})).out, "shared\n");
  loop_->ask([&] { (void)owner->link->kill_all().ok(); });
  wait(*owner);
  release(std::move(owner));
}

TEST_F(RuntimeRoot, RotatesTheLog) {
  SandboxSpec wanted = shell("seq 1 1000");
  wanted.log.maximum_size = 10'000;
  wanted.log.maximum_files = 3;
  run(wanted);
  std::filesystem::path rotated = *wanted.log_path;
  rotated += ".2";
  EXPECT_TRUE(std::filesystem::exists(rotated));
  rotated.replace_extension(".3");
  EXPECT_FALSE(std::filesystem::exists(rotated));
  EXPECT_LT(std::filesystem::file_size(*wanted.log_path), 10'100u);
}

TEST_F(RuntimeRoot, ALogOfManyBlocksIsWholeAndHasBothStreams) {
  const Outcome outcome = run_shell("seq 1 400000; echo end >&2");
  std::string wanted;
  for (int i = 1; i <= 400'000; ++i) wanted += std::to_string(i) + "\n";
  EXPECT_TRUE(outcome.out == wanted) << outcome.out.size() << " bytes of " << wanted.size();
  EXPECT_EQ(outcome.err, "end\n");
}

TEST_F(RuntimeRoot, WhatAKilledShimLeftOfARecordDoesNotSwallowTheNextOne) {
  SandboxSpec wanted = shell("echo next");
  std::ofstream(*wanted.log_path) << R"({"log":"first\n","stream":"stdout","time":"2026-01-01T00:00:00Z"})" << "\n" << R"({"log":"half of a)";
  EXPECT_EQ(run(wanted).out, "first\nnext\n");
}

TEST_F(RuntimeRoot, CountsAgainstLimits) {
  SandboxSpec wanted = shell("cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/pids/pids.max");
  wanted.resources.memory = 64 << 20;
  wanted.resources.pids_limit = 50;
  if (!std::filesystem::exists("/sys/fs/cgroup/memory/memory.limit_in_bytes")) GTEST_SKIP() << "needs cgroup v1 memory";
  EXPECT_EQ(run(wanted).out, "67108864\n50\n");
}

TEST_F(RuntimeRoot, ReportsAnOutOfMemoryKill) {
  SandboxSpec wanted = shell("x=a; while true; do x=$x$x$x$x; done");
  wanted.resources.memory = 32 << 20;
  wanted.resources.memory_swap = 32 << 20;
  auto running = start(wanted);
  ASSERT_TRUE(running);
  ExitReport report = wait(*running);
  EXPECT_EQ(report.exit_code, 137);
  EXPECT_TRUE(report.oom_killed);
  release(std::move(running));
}

}  // namespace
}  // namespace gantry::engine
