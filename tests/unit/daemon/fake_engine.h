// An engine that does what the test says: containers are values in a list, operations are noted, replies are given at
// once. Loop thread only, as the real one, but for `images`.
#pragma once

#include <algorithm>
#include <deque>
#include <functional>
#include <list>

#include "base/loop.h"
#include "engine/container/container_root.h"
#include "engine/local_engine.h"

namespace gantry::daemon {

class FakeImages final : public engine::ImageStore {
 public:
  std::vector<engine::Image> images;

  Result<engine::Image> find(const std::string& reference) const override {
    for (const engine::Image& image : images) {
      const bool tagged = std::find(image.tags.begin(), image.tags.end(), reference) != image.tags.end();
      if (tagged || image.id.str() == reference) return image;
    }
    return not_found("No such image: " + reference);
  }
  std::vector<engine::Image> list() const override { return images; }
  Result<Layers> layers(const ImageId&) override { return unsupported("fake"); }
  Result<> tag(const ImageId&, const std::string&) override { return unsupported("fake"); }
  Result<engine::RemovedImages> remove(const std::string&, bool, const Users&) override { return unsupported("fake"); }
  // "Loads" the size of what it was sent.
  Result<std::vector<std::string>> load(int input) override {
    const std::string archive = TRY(read_all(input));
    if (archive == "bad") return invalid("invalid tar header");
    return std::vector<std::string>{"size:" + std::to_string(archive.size())};
  }
  Result<ImageId> import(int, const engine::ImportOptions&) override { return unsupported("fake"); }
  Result<ImageId> pull(const std::string& reference, const engine::PullOptions&,
                       const engine::TransferCallback& progress, const engine::CancelCheck&) override {
    if (reference != "hello:1") return not_found("manifest for " + reference + " not found: manifest unknown");
    progress({.id = "0123456789ab", .status = "Downloading", .current = 5, .total = 10});
    engine::Image image;
    image.id = ImageId("sha256:" + std::string(64, 'a'));
    image.tags = {"hello:1"};
    images = {image};
    return image.id;
  }
  Result<NewLayer> add_layer(const std::string&, const std::filesystem::path&) override { return unsupported("fake"); }
  Result<ImageId> add_image(const std::string&, const std::string&) override { return unsupported("fake"); }
  Result<Layers> layers_of_chain(const std::string&) override { return unsupported("fake"); }
  std::optional<std::string> cache_get(const std::string&) override { return std::nullopt; }
  Result<> cache_put(const std::string&, const std::string&) override { return {}; }
};

class FakeEngine final : public engine::LocalEngine {
 public:
  explicit FakeEngine(EventLoop& loop) : loop_(loop) {}

  // What the test sets up and looks at; on the loop thread, or before the server starts.
  std::deque<engine::ContainerDetails> containers;  // newest first
  std::vector<std::string> calls;                   // "stop web t=3"
  std::function<Result<>(const std::string& call)> answer = [](const std::string&) { return Result<>(); };
  std::list<engine::Reply<engine::WaitResult>> waiters;
  std::vector<Fd> attached;  // our ends
  engine::ExecDetails exec;
  Fd exec_stdout;  // the program's ends
  Fd exec_stdin;
  std::list<engine::Reply<int>> exec_waiters;
  std::optional<engine::ContainerSpec> created;
  FakeImages store;

  void observe(engine::ObserveRequest, engine::Reply<engine::Snapshot> reply) override {
    loop_.post([reply = std::move(reply)]() mutable { reply(engine::Snapshot{}); });
  }
  std::unique_ptr<Subscription> subscribe(Function<void(const engine::Event&)> on_event) override {
    struct Forgetful final : Subscription {};
    subscribers_.push_back(std::move(on_event));  // lives as long as the engine
    return std::make_unique<Forgetful>();
  }
  void create_network(engine::NetworkSpec spec, engine::Reply<NetworkId> reply) override {
    reply_with(std::move(reply), "create_network " + spec.name, NetworkId("net-" + spec.name));
  }
  void remove_network(NetworkId network, engine::Reply<> reply) override {
    note(std::move(reply), "remove_network " + network.str());
  }
  void create_volume(engine::VolumeSpec spec, engine::Reply<std::string> reply) override {
    reply_with(std::move(reply), "create_volume " + spec.name, spec.name);
  }
  void remove_volume(std::string name, engine::Reply<> reply) override {
    note(std::move(reply), "remove_volume " + name);
  }
  void pull_image(std::string, std::string, engine::OnProgress, engine::Reply<ImageId> reply) override {
    reply(unsupported("fake"));
  }
  void remove_image(std::string, bool, engine::Reply<> reply) override { reply(unsupported("fake")); }
  void check_ports(engine::PortCheck, engine::Reply<std::vector<engine::PortConflict>> reply) override {
    loop_.post([reply = std::move(reply)]() mutable { reply(std::vector<engine::PortConflict>{}); });
  }
  void create_container(engine::ContainerSpec spec, engine::Reply<engine::CreatedContainer> reply) override {
    created = spec;
    reply_with(std::move(reply), "create " + spec.name, engine::CreatedContainer{ContainerId("new"), {"careful"}});
  }
  void start_container(ContainerId id, engine::Reply<> reply) override { note(std::move(reply), "start " + id.str()); }
  void stop_container(ContainerId id, engine::StopOptions options, engine::Reply<> reply) override {
    note(std::move(reply),
         "stop " + id.str() + (options.timeout ? " t=" + std::to_string(options.timeout->count()) : ""));
  }
  void kill_container(ContainerId id, std::string signal, engine::Reply<> reply) override {
    note(std::move(reply), "kill " + id.str() + " " + signal);
  }
  void restart_container(ContainerId id, engine::StopOptions, engine::Reply<> reply) override {
    note(std::move(reply), "restart " + id.str());
  }
  void pause_container(ContainerId id, engine::Reply<> reply) override { note(std::move(reply), "pause " + id.str()); }
  void unpause_container(ContainerId id, engine::Reply<> reply) override {
    note(std::move(reply), "unpause " + id.str());
  }
  void rename_container(ContainerId id, std::string name, engine::Reply<> reply) override {
    note(std::move(reply), "rename " + id.str() + " " + name);
  }
  void remove_container(ContainerId id, engine::RemoveOptions options, engine::Reply<> reply) override {
    note(std::move(reply),
         "remove " + id.str() + (options.force ? " force" : "") + (options.anonymous_volumes ? " v" : ""));
  }
  void connect_network(NetworkId network, ContainerId id, engine::EndpointSpec, engine::Reply<> reply) override {
    note(std::move(reply), "connect " + network.str() + " " + id.str());
  }
  void disconnect_network(NetworkId network, ContainerId id, bool, engine::Reply<> reply) override {
    note(std::move(reply), "disconnect " + network.str() + " " + id.str());
  }

  void shut_down(Function<void()> done) override { done(); }
  Result<ContainerId> find_container(const std::string& reference) const override {
    for (const auto& container : containers) {
      const engine::ObservedContainer& seen = container.observed;
      if (seen.name == reference || seen.id.str() == reference) return seen.id;
    }
    return not_found("No such container: " + reference);
  }
  Result<engine::ContainerDetails> inspect_container(const ContainerId& id) const override {
    for (const auto& container : containers) {
      if (container.observed.id == id) return container;
    }
    return not_found("No such container: " + id.str());
  }
  std::vector<engine::ListedContainer> list_containers() const override {
    return {containers.begin(), containers.end()};
  }
  std::vector<engine::ListedContainer> list_containers_of(const std::string& project) const override {
    std::vector<engine::ListedContainer> found;
    for (const auto& container : containers) {
      const auto label = container.observed.labels.find("com.docker.compose.project");
      if (label != container.observed.labels.end() && label->second == project) found.push_back(container);
    }
    return found;
  }
  void keep_logs_of(std::function<bool(const std::string&)>) override {}
  Result<NetworkId> find_network(const std::string& reference) const override { return NetworkId(reference); }
  Result<engine::NetworkDetails> inspect_network(const NetworkId& id) const override {
    return not_found("network " + id.str() + " not found");
  }
  std::vector<engine::NetworkDetails> list_networks() const override { return {}; }
  Result<engine::VolumeDetails> inspect_volume(const std::string& name) const override {
    return not_found("get " + name + ": no such volume");
  }
  std::vector<engine::VolumeDetails> list_volumes() const override { return {}; }
  engine::Database& database() override { std::abort(); }
  engine::ImageStore& images() override { return store; }
  engine::Builder& builder() override { std::abort(); }
  void wait_container(const ContainerId&, engine::WaitCondition, engine::Reply<engine::WaitResult> reply) override {
    waiters.push_back(std::move(reply));
  }
  void attach(const ContainerId&, engine::Reply<Fd> reply) override {
    auto pair = make_socket_pair(SOCK_STREAM);
    attached.push_back(std::move(pair->first));
    reply(std::move(pair->second));
  }
  Result<> resize(const ContainerId& id, uint16_t rows, uint16_t columns) override {
    calls.push_back("resize " + id.str() + " " + std::to_string(rows) + "x" + std::to_string(columns));
    return {};
  }
  void update_container(const ContainerId& id, Update update, engine::Reply<std::vector<std::string>> reply) override {
    reply_with(std::move(reply), "update " + id.str() + " memory=" + std::to_string(update.resources.memory),
               std::vector<std::string>{});
  }
  Result<engine::RootSource> root_source(const ContainerId&) const override { return unsupported("fake"); }
  void emit_about(const ContainerId& id, std::string action, std::map<std::string, std::string>) override {
    calls.push_back(action + " " + id.str());
  }
  Result<ExecId> create_exec(const ContainerId& container, ExecRequest request) override {
    exec = {};
    exec.id = ExecId("exec1");
    exec.container = container;
    exec.spec = request.spec;
    exec.attach_stdin = request.attach_stdin;
    exec.attach_stdout = request.attach_stdout;
    exec.attach_stderr = request.attach_stderr;
    return exec.id;
  }
  void start_exec(const ExecId&, bool, engine::Reply<engine::ExecStreams> reply) override {
    exec.started = true;
    if (exec.spec.process.arguments.front() == "/nosuch") {
      exec.exit_code = 127;
      return reply(invalid("OCI runtime exec failed: exec: \"/nosuch\": no such file or directory"));
    }
    exec.running = true;
    Pipe out = std::move(*make_pipe());
    Pipe in = std::move(*make_pipe());
    exec_stdout = std::move(out.write);
    exec_stdin = std::move(in.read);
    engine::ExecStreams streams;
    streams.stdout_read = std::move(out.read);
    streams.stdin_write = std::move(in.write);
    reply(std::move(streams));
  }
  Result<engine::ExecDetails> inspect_exec(const ExecId& id) const override {
    if (id == exec.id) return exec;
    return not_found("No such exec instance: " + id.str());
  }
  Result<> resize_exec(const ExecId&, uint16_t, uint16_t) override { return {}; }
  void wait_exec(const ExecId&, engine::Reply<int> reply) override {
    if (exec.exit_code) return reply(*exec.exit_code);
    exec_waiters.push_back(std::move(reply));
  }
  std::vector<std::string> users_of_image(const ImageId&) const override { return {}; }
  void emit(engine::Event event) override {
    for (auto& subscriber : subscribers_) subscriber(event);
  }

 private:
  void note(engine::Reply<> reply, std::string call) {
    Result<> result = answer(call);
    calls.push_back(std::move(call));
    reply(std::move(result));
  }
  template <class T>
  void reply_with(engine::Reply<T> reply, std::string call, T value) {
    Result<> result = answer(call);
    calls.push_back(std::move(call));
    reply(result.ok() ? Result<T>(std::move(value)) : Result<T>(result.error()));
  }

  EventLoop& loop_;
  std::vector<Function<void(const engine::Event&)>> subscribers_;
};

}  // namespace gantry::daemon
