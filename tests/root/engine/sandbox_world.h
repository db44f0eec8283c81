// Real sandboxes for tests: a root of busybox in a directory of our own, a runtime, and a loop on its own thread.
// The end of each test checks that nothing is left: no mount, cgroup, shim or file.
#pragma once

#include <dirent.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <future>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "base/loop.h"
#include "base/strings.h"
#include "engine/container/log_reader.h"
#include "engine/container/runtime.h"

namespace gantry::engine {

using namespace std::chrono_literals;

inline std::string read_to_end(int fd) {
  auto text = read_all(fd);
  return text.ok() ? *std::move(text) : "error: " + text.error().message();
}

inline std::string log_text(const std::filesystem::path& path, LogStream stream) {
  std::string text;
  auto reader = open_log(path, {});
  if (!reader.ok()) return "error: " + reader.error().message();
  for (;;) {
    auto entry = (*reader)->next();
    if (!entry.ok() || !entry->has_value()) return text;
    if ((*entry)->stream == stream) text += (*entry)->text;
  }
}

// A started container: the events of its link become futures.
struct Running {
  struct Events {
    std::promise<ExitReport> exited;
    std::promise<void> lost;
    std::map<ExecId, std::promise<ExitReport>> execs;  // loop thread
  };
  std::unique_ptr<ShimLink> link;  // loop thread
  std::shared_ptr<Events> events = std::make_shared<Events>();
  std::future<ExitReport> exited = events->exited.get_future();
  std::future<void> lost = events->lost.get_future();
  SandboxSpec spec;
  std::vector<std::string> warnings;
};

struct Outcome {
  int exit_code = 0;
  std::string out;
  std::string err;
  std::string failure;  // the message, if it did not start
};

class SandboxWorld : public ::testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "needs root: namespaces and mounts";
    if (!std::filesystem::exists("/bin/busybox") && !std::filesystem::exists("/usr/bin/busybox")) {
      GTEST_SKIP() << "needs root: busybox-static for the containers' root";
    }
    char name[] = "/tmp/gantry-sandbox-XXXXXX";
    directory_ = ::mkdtemp(name);
    tag_ = directory_.filename().native().substr(15);
    before_ = footprint();
    make_root();
    runtime_ = new_runtime();
    loop_ = std::make_unique<EventLoop>();
    loop_thread_ = std::thread([this] { loop_->run(); });
  }

  void TearDown() override {
    if (!loop_) return;
    loop_->stop();
    loop_thread_.join();
    loop_.reset();
    runtime_->remove_cgroup_root();
    std::filesystem::remove_all(directory_);
    // A shim that was let go needs a moment for its last steps.
    for (int i = 0; i < 200 && footprint() != before_; ++i) std::this_thread::sleep_for(10ms);
    EXPECT_EQ(footprint(), before_);
  }

  static std::filesystem::path shim_executable() {
    return std::filesystem::read_symlink("/proc/self/exe").parent_path() / "gantry-shim";
  }
  std::unique_ptr<Runtime> new_runtime() const {
    return make_runtime({.shim_executable = shim_executable(), .cgroup_root = "gantry-test-" + tag_});
  }

  // A container that runs `arguments`; its id is its own.
  SandboxSpec spec(std::vector<std::string> arguments) {
    SandboxSpec spec;
    std::string id = sha256_hex(directory_.native() + std::to_string(next_id_++));
    spec.id = ContainerId(id);
    std::filesystem::path own = directory_ / id.substr(0, 8);
    std::filesystem::create_directories(own / "upper");
    std::filesystem::create_directories(own / "work");
    spec.run_dir = directory_ / "run" / id.substr(0, 16);
    spec.layers = {directory_ / "layer"};
    spec.upper = own / "upper";
    spec.work = own / "work";
    spec.log_path = own / "log";
    spec.hostname = "box";
    spec.process.arguments = std::move(arguments);
    spec.process.environment = {"PATH=/bin", "GREETING=hello"};
    return spec;
  }
  SandboxSpec shell(const std::string& script) { return spec({"sh", "-c", script}); }

  static ShimLink::Handlers handlers(const std::shared_ptr<Running::Events>& events) {
    return {.exited = [events](ExitReport report) { events->exited.set_value(report); },
            .exec_exited =
                [events](ExecId id, ExitReport report) {
                  auto at = events->execs.find(id);
                  if (at != events->execs.end()) at->second.set_value(report);
                },
            .lost = [events] { events->lost.set_value(); }};
  }

  // prepare, run, link. Null and `failure` if it does not start.
  std::unique_ptr<Running> start(const SandboxSpec& spec, StartFailure* failure = nullptr, Fd attached = {},
                                 bool close_stdin_at_end = true) {
    auto prepared = runtime_->prepare(spec);
    if (auto* failed = std::get_if<StartFailure>(&prepared)) return report(std::move(*failed), failure);
    auto sandbox = std::get<std::unique_ptr<PreparedSandbox>>(std::move(prepared));
    if (attached) {
      EXPECT_TRUE(sandbox->attach(std::move(attached), close_stdin_at_end).ok());
    }
    if (auto failed = sandbox->run()) return report(std::move(*failed), failure);
    auto running = std::make_unique<Running>();
    running->spec = spec;
    running->warnings = sandbox->warnings();
    loop_->ask([&] { running->link = runtime_->link(*loop_, std::move(sandbox), handlers(running->events)); });
    return running;
  }

  ExitReport wait(Running& running) {
    if (running.exited.wait_for(20s) == std::future_status::ready) return running.exited.get();
    ADD_FAILURE() << "the container did not end";
    loop_->ask([&] { (void)running.link->kill_all().ok(); });
    return running.exited.get();
  }
  void release(std::unique_ptr<Running> running) {
    loop_->ask([&] {
      running->link->release();
      running->link.reset();
    });
  }

  // All of it: what the program wrote, by its log, and its exit code.
  Outcome run(std::vector<std::string> arguments) { return run(spec(std::move(arguments))); }
  Outcome run(const SandboxSpec& spec) {
    StartFailure failure;
    auto running = start(spec, &failure);
    if (!running) return {.exit_code = failure.exit_code, .out = {}, .err = {}, .failure = failure.message};
    Outcome outcome{.exit_code = wait(*running).exit_code};
    release(std::move(running));
    outcome.out = log_text(*spec.log_path, LogStream::out);
    outcome.err = log_text(*spec.log_path, LogStream::err);
    return outcome;
  }
  Outcome run_shell(const std::string& script) { return run(shell(script)); }

  // Runs a program in the container, gives it `input`, and waits for its end.
  Outcome exec(Running& running, ProcessSpec process, const std::string& input = {}) {
    static int next = 1;
    ExecId id("exec-" + std::to_string(next++));
    std::promise<std::variant<ExecStreams, StartFailure>> answer;
    auto started = answer.get_future();
    auto ended = loop_->ask([&] {
      auto future = running.events->execs[id].get_future();
      running.link->exec(id, {.process = std::move(process)}, [&](auto result) { answer.set_value(std::move(result)); });
      return future;
    });
    auto result = started.get();
    if (auto* failed = std::get_if<StartFailure>(&result)) {
      return {.exit_code = failed->exit_code, .out = {}, .err = {}, .failure = failed->message};
    }
    auto streams = std::get<ExecStreams>(std::move(result));
    if (streams.stdin_write) {
      EXPECT_TRUE(write_all(streams.stdin_write.get(), input).ok());
    }
    streams.stdin_write.reset();
    Outcome outcome;
    std::thread errors([&] { outcome.err = streams.stderr_read ? read_to_end(streams.stderr_read.get()) : ""; });
    if (!streams.terminal) outcome.out = read_to_end(streams.stdout_read.get());
    errors.join();
    outcome.exit_code = ended.get().exit_code;
    if (streams.terminal) {  // its end is EIO, which loses nothing
      char buffer[4096];
      for (ssize_t n; (n = ::read(streams.stdout_read.get(), buffer, sizeof buffer)) > 0;) {
        outcome.out.append(buffer, static_cast<size_t>(n));
      }
    }
    return outcome;
  }
  ProcessSpec process(std::vector<std::string> arguments) {
    ProcessSpec process;
    process.arguments = std::move(arguments);
    process.environment = {"PATH=/bin", "GREETING=hello"};
    return process;
  }

  std::filesystem::path directory_;
  std::unique_ptr<EventLoop> loop_;
  std::unique_ptr<Runtime> runtime_;
  std::string tag_;

 private:
  std::unique_ptr<Running> report(StartFailure failed, StartFailure* failure) {
    if (failure == nullptr) {
      ADD_FAILURE() << "not started: " << failed.message;
    } else {
      *failure = std::move(failed);
    }
    return nullptr;
  }

  void make_root() {
    std::filesystem::path root = directory_ / "layer";
    for (const char* name : {"bin", "etc", "proc", "sys", "dev", "tmp", "home/user", "data"}) {
      std::filesystem::create_directories(root / name);
    }
    std::filesystem::permissions(root / "tmp", std::filesystem::perms(01777));
    std::filesystem::path busybox = std::filesystem::exists("/bin/busybox") ? "/bin/busybox" : "/usr/bin/busybox";
    std::filesystem::copy_file(busybox, root / "bin/busybox");
    for (const char* name : {"sh", "cat", "echo", "env", "id", "pwd", "true", "false", "sleep", "ls", "mount", "stat",
                             "readlink", "kill", "hostname", "stty", "grep", "wc", "dd", "seq", "touch", "ps", "tty",
                             "head", "ulimit", "sysctl", "mkdir", "mknod", "chmod", "tr"}) {
      std::filesystem::create_symlink("busybox", root / "bin" / name);
    }
    (void)write_file(root / "etc/passwd", "root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000::/home/user:/bin/sh\n").ok();
    (void)write_file(root / "etc/group", "root:x:0:\nuser:x:1000:\nstaff:x:50:user\nextra:x:60:\n").ok();
    (void)write_file(root / "data/plain", "not a program\n").ok();
    (void)write_file(root / "data/bad", "garbage\n").ok();
    std::filesystem::permissions(root / "data/bad", std::filesystem::perms(0755));
  }

  // Whatever of ours could be left in the kernel.
  std::string footprint() const {
    std::string found;
    for (const std::string& line : split(*read_file("/proc/self/mountinfo"), '\n')) {
      if (line.find(directory_.native()) != std::string::npos) found += "mount " + line + "\n";
    }
    for (const auto& hierarchy : std::filesystem::directory_iterator("/sys/fs/cgroup")) {
      std::error_code ignored;
      if (std::filesystem::exists(hierarchy.path() / ("gantry-test-" + tag_), ignored)) {
        found += "cgroup " + hierarchy.path().native() + "\n";
      }
    }
    // Shims of ours only: other tests may run at the same time.
    for (const auto& process : std::filesystem::directory_iterator("/proc")) {
      auto name = read_file(process.path() / "comm");
      if (!name.ok() || name->rfind("gantry-", 0) != 0) continue;
      auto unix_sockets = std::filesystem::path("/proc/net/unix");
      std::error_code ignored;
      std::filesystem::path executable = std::filesystem::read_symlink(process.path() / "exe", ignored);
      if (executable == shim_executable()) found += "process " + process.path().native() + "\n";
    }
    return found;
  }

  std::thread loop_thread_;
  std::string before_;
  int next_id_ = 1;
};

}  // namespace gantry::engine
