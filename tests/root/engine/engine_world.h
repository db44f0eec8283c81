// A whole engine on a data root of its own, with its loop on a thread, for tests on the real kernel.
#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <condition_variable>
#include <fstream>
#include <future>
#include <mutex>
#include <sstream>
#include <thread>

#include "base/loop.h"
#include "base/tasks.h"
#include "engine/local_engine.h"

namespace gantry::engine {

// What a skipped test says; empty if everything is there.
inline std::string missing_facility() {
  if (geteuid() != 0) return "needs root: containers are made of namespaces, mounts and cgroups";
  if (access("/bin/busybox", X_OK) != 0) return "needs /bin/busybox (package busybox-static)";
  return {};
}

inline std::filesystem::path beside_this_executable(const char* name) {
  return std::filesystem::read_symlink("/proc/self/exe").parent_path() / name;
}

class EngineWorld {
 public:
  EngineWorld() {
    std::string name = "/tmp/gantry-engine-XXXXXX";
    root_ = mkdtemp(name.data());
    start();
  }
  ~EngineWorld() {
    if (running_) {
      remove_everything();
      stop();
    }
    std::error_code error;
    std::filesystem::remove_all(root_, error);
    EXPECT_FALSE(error) << error.message();
  }

  // The daemon's life, on its thread.
  void start() {
    std::promise<std::string> opened;
    thread_ = std::thread([this, &opened] {
      loop_ = std::make_unique<EventLoop>();
      auto tasks = std::make_unique<ThreadPool>(*loop_, 4);
      auto engine = LocalEngine::open({.data_root = root_ / "data",
                                       .run_root = root_ / "run",
                                       .shim_executable = beside_this_executable("gantry-shim"),
                                       .dns_executable = beside_this_executable("gantry-dns"),
                                       .address_pools = {"10.213.0.0/16:24"}},
                                      *loop_, *tasks, random_);
      if (!engine.ok()) {
        opened.set_value(engine.error().message());
        return;
      }
      engine_ = std::move(*engine);
      subscription_ = engine_->subscribe([this](const Event& event) { note(event); });
      opened.set_value("");
      loop_->run();
      subscription_.reset();
      tasks.reset();  // workers end before what they work on
      engine_.reset();
    });
    const std::string problem = opened.get_future().get();
    running_ = problem.empty();
    if (!running_) thread_.join();
    EXPECT_EQ(problem, "");
  }
  // A clean end of the daemon; containers live on.
  void stop() {
    std::promise<void> done;
    loop_->post([&] { engine_->shut_down([&] { done.set_value(); }); });
    if (done.get_future().wait_for(std::chrono::seconds(30)) != std::future_status::ready) {
      ADD_FAILURE() << "shut_down did not end";
    }
    end_loop();
  }
  // As kill -9 of the daemon: nothing is told to anybody.
  void crash() {
    end_loop();
  }

  LocalEngine& engine() { return *engine_; }
  EventLoop& loop() { return *loop_; }
  const std::filesystem::path& root() const { return root_; }

  template <class F>
  auto ask(F question) {
    return loop_->ask(std::move(question));
  }
  // begin(reply) on the loop thread; waits for the reply.
  template <class T, class Begin>
  Result<T> await(Begin begin, std::chrono::seconds patience = std::chrono::seconds(30)) {
    auto promise = std::make_shared<std::promise<Result<T>>>();
    auto future = promise->get_future();
    loop_->post([&] { begin(Reply<T>([promise](Result<T> result) { promise->set_value(std::move(result)); })); });
    if (future.wait_for(patience) != std::future_status::ready) {
      ADD_FAILURE() << "no reply";
      return internal_error("no reply");
    }
    return future.get();
  }

  Result<ContainerId> create(ContainerSpec spec) {
    auto created = await<CreatedContainer>(
        [&](Reply<CreatedContainer> reply) { engine_->create_container(std::move(spec), std::move(reply)); });
    if (!created.ok()) return created.error();
    return created->id;
  }
  Result<> start(const ContainerId& id) {
    return await<void>([&](Reply<> reply) { engine_->start_container(id, std::move(reply)); });
  }
  Result<> stop(const ContainerId& id, std::chrono::seconds timeout = std::chrono::seconds(10)) {
    return await<void>([&](Reply<> reply) { engine_->stop_container(id, {.signal = {}, .timeout = timeout}, std::move(reply)); });
  }
  Result<> kill(const ContainerId& id, std::string signal = "KILL") {
    return await<void>([&](Reply<> reply) { engine_->kill_container(id, signal, std::move(reply)); });
  }
  Result<> remove(const ContainerId& id, bool volumes = true) {
    return await<void>(
        [&](Reply<> reply) { engine_->remove_container(id, {.force = true, .anonymous_volumes = volumes}, std::move(reply)); });
  }
  Result<int> wait(const ContainerId& id, WaitCondition condition = WaitCondition::not_running) {
    auto result = await<WaitResult>(
        [&](Reply<WaitResult> reply) { engine_->wait_container(id, condition, std::move(reply)); });
    if (!result.ok()) return result.error();
    return result->exit_code;
  }
  Result<NetworkId> create_network(NetworkSpec spec) {
    return await<NetworkId>([&](Reply<NetworkId> reply) { engine_->create_network(std::move(spec), std::move(reply)); });
  }
  ContainerDetails inspect(const ContainerId& id) {
    auto details = ask([&] { return std::make_shared<Result<ContainerDetails>>(engine_->inspect_container(id)); });
    EXPECT_TRUE(details->ok());
    return details->ok() ? **details : ContainerDetails();
  }
  // create + start + wait; the log as text, for short programs.
  std::string run(ContainerSpec spec, int* exit_code = nullptr) {
    auto id = create(std::move(spec));
    if (!id.ok()) return "create: " + id.error().message();
    auto started = start(*id);
    if (!started.ok()) return "start: " + started.error().message();
    auto code = wait(*id);
    if (exit_code != nullptr && code.ok()) *exit_code = *code;
    return log(*id);
  }
  // Raw json-file lines joined: only their "log" fields, undecoded but for \n.
  std::string log(const ContainerId& id) {
    std::ifstream file(inspect(id).log_path);
    std::string text;
    for (std::string line; std::getline(file, line);) {
      const size_t begin = line.find(":\"") + 2;
      std::string piece = line.substr(begin, line.find("\",\"stream\"") - begin);
      for (size_t at; (at = piece.find("\\n")) != std::string::npos;) piece.replace(at, 2, "\n");
      text += piece;
    }
    return text;
  }

  // Program output of `exec`.
  std::string exec(const ContainerId& id, std::vector<std::string> arguments, int* exit_code = nullptr) {
    auto exec_id = ask([&] {
      LocalEngine::ExecRequest request;
      request.spec.process.arguments = std::move(arguments);
      return std::make_shared<Result<ExecId>>(engine_->create_exec(id, std::move(request)));
    });
    if (!exec_id->ok()) return "create_exec: " + exec_id->error().message();
    auto streams = await<ExecStreams>(
        [&](Reply<ExecStreams> reply) { engine_->start_exec(**exec_id, false, std::move(reply)); });
    if (!streams.ok()) return "start_exec: " + streams.error().message();
    auto out = read_all(streams->stdout_read.get());
    auto err = read_all(streams->stderr_read.get());
    auto code = await<int>([&](Reply<int> reply) { engine_->wait_exec(**exec_id, std::move(reply)); });
    if (exit_code != nullptr && code.ok()) *exit_code = *code;
    return (out.ok() ? *out : "") + (err.ok() ? *err : "");
  }

  // Waits until an event is there whose text ("type action name") is this; returns false after `patience`.
  bool wait_for_event(const std::string& text, std::chrono::seconds patience = std::chrono::seconds(20)) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, patience, [&] {
      return std::find(events_.begin(), events_.end(), text) != events_.end();
    });
  }
  std::vector<std::string> events() {
    std::lock_guard lock(mutex_);
    return events_;
  }
  void forget_events() {
    std::lock_guard lock(mutex_);
    events_.clear();
  }

  void make_busybox_image() {
    const std::filesystem::path tree = root_ / "image";
    std::filesystem::create_directories(tree / "bin");
    std::filesystem::create_directories(tree / "etc");
    std::filesystem::create_directories(tree / "tmp");
    std::filesystem::create_directories(tree / "seed/inner");
    std::filesystem::copy_file("/bin/busybox", tree / "bin/busybox");
    for (const char* name : {"sh", "cat", "echo", "sleep", "ls", "id", "env", "hostname", "true", "false", "touch",
                             "wget", "httpd", "nslookup", "ip", "nc", "mount", "stat", "ping", "kill"}) {
      std::filesystem::create_symlink("busybox", tree / "bin" / name);
    }
    std::ofstream(tree / "etc/passwd") << "root:x:0:0:root:/root:/bin/sh\napp:x:1000:1000::/home/app:/bin/sh\n";
    std::ofstream(tree / "etc/group") << "root:x:0:\napp:x:1000:\n";
    std::ofstream(tree / "seed/inner/file") << "from the image\n";
    ASSERT_EQ(chown((tree / "seed").c_str(), 1000, 1000), 0);
    const std::string tar = root_ / "image.tar";
    ASSERT_EQ(system(("tar -C " + tree.string() + " -cf " + tar + " .").c_str()), 0);
    auto file = open_file(tar, O_RDONLY);
    auto imported = engine_->images().import(file->get(), {.reference = "box:latest", .message = "", .changes = {"CMD [\"sh\"]"}});
    ASSERT_TRUE(imported.ok()) << imported.error().message();
    std::filesystem::remove_all(tree);
  }

 private:
  // The loop outlives its thread: stop() may not have returned when run() has.
  void end_loop() {
    loop_->stop();
    thread_.join();
    loop_.reset();
    running_ = false;
  }
  void note(const Event& event) {
    const auto name = event.attributes.find("name");
    std::lock_guard lock(mutex_);
    events_.push_back(std::string(to_string(event.type)) + " " + event.action +
                      (name == event.attributes.end() ? "" : " " + name->second));
    changed_.notify_all();
  }
  void remove_everything() {
    for (const ListedContainer& container : ask([&] { return engine_->list_containers(); })) {
      EXPECT_TRUE(remove(container.observed.id).ok());
    }
    for (const NetworkDetails& network : ask([&] { return engine_->list_networks(); })) {
      auto removed = await<void>([&](Reply<> reply) { engine_->remove_network(network.id, std::move(reply)); });
      EXPECT_TRUE(removed.ok() || removed.error().code() == Code::forbidden) << removed.error().message();
    }
  }

  std::filesystem::path root_;
  SystemRandom random_;
  std::unique_ptr<EventLoop> loop_;
  std::unique_ptr<LocalEngine> engine_;
  std::unique_ptr<Engine::Subscription> subscription_;
  std::thread thread_;
  bool running_ = false;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::string> events_;
};

}  // namespace gantry::engine
