#include "support/faulty_engine.h"

namespace gantry::test {
namespace {

using namespace std::chrono_literals;
using namespace engine;

constexpr std::chrono::nanoseconds kHang = 2min;
constexpr const char* kOpNames[kOps] = {
    "observe",      "create-network", "remove-network", "create-volume", "remove-volume", "pull",
    "remove-image", "create",         "start",          "stop",          "kill",          "restart",
    "rename",       "remove",         "connect",        "disconnect",    "hook"};
constexpr const char* kFaultNames[kFaults] = {"fail", "half", "hang", "exit", "lose", "vanish", "crash"};

template <class Enum, size_t N>
std::optional<Enum> named(const char* const (&names)[N], std::string_view name) {
  for (size_t i = 0; i < N; ++i) {
    if (name == names[i]) return static_cast<Enum>(i);
  }
  return std::nullopt;
}

}  // namespace

const char* to_string(Op op) { return kOpNames[static_cast<int>(op)]; }
const char* to_string(Fault fault) { return kFaultNames[static_cast<int>(fault)]; }
std::optional<Op> op_named(std::string_view name) { return named<Op>(kOpNames, name); }
std::optional<Fault> fault_named(std::string_view name) { return named<Fault>(kFaultNames, name); }

std::optional<Fault> FaultyEngine::take(Op op) {
  auto found = armed_.find(op);
  if (found == armed_.end() || found->second.empty()) return std::nullopt;
  const Fault fault = found->second.front();
  found->second.pop_front();
  ++met[{op, fault}];
  return fault;
}

void FaultyEngine::after(std::chrono::nanoseconds delay, Function<void()> action) {
  world_.after(delay, [this, life = life_, action = std::move(action)]() mutable {
    if (life == life_) action();
  });
}

void FaultyEngine::release() {
  for (auto& [id, action] : std::exchange(held_, {})) after(0ns, std::move(action));
}

void FaultyEngine::die() {
  ++life_;
  held_.clear();
}

template <class T>
void FaultyEngine::meet(Call call, Reply<T> reply, Function<void(Reply<T>)> perform) {
  if (on_call) on_call(call);
  const std::optional<Fault> fault = take(call.op);
  if (!fault) return perform(std::move(reply));
  const std::string text = std::string("simulated: ") + to_string(call.op) + " fails";
  switch (*fault) {
    case Fault::fail:
      return after(world_.between(1us, inner_.faults.reply_delay_max),
                   [reply = std::move(reply), text]() mutable { reply(Error(Code::unavailable, text)); });
    case Fault::half:
      return perform([reply = std::move(reply), text](Result<T>) mutable { reply(Error(Code::internal, text)); });
    case Fault::hang: {
      const uint64_t id = ++next_held_;
      held_[id] = [perform = std::move(perform), reply = std::move(reply)]() mutable { perform(std::move(reply)); };
      return after(kHang, [this, id] {
        auto found = held_.find(id);
        if (found == held_.end()) return;  // released before
        Function<void()> action = std::move(found->second);
        held_.erase(found);
        action();
      });
    }
    case Fault::exit:
    case Fault::lose:
    case Fault::vanish:
    case Fault::crash:
      after(world_.between(0us, inner_.faults.reply_delay_max), [this, fault = *fault] { on_outside_fault(fault); });
      return perform(std::move(reply));
  }
}

compose::CommandRunner FaultyEngine::command_runner() {
  return
      [this, run = std::make_shared<compose::CommandRunner>(inner_.command_runner())](
          const ContainerId& id, compose::CommandSpec command, Function<void(Result<compose::CommandOutcome>)> reply) {
        meet<compose::CommandOutcome>({Op::hook, id, ""}, std::move(reply),
                                      [run, id, command](auto reply) { (*run)(id, command, std::move(reply)); });
      };
}

void FaultyEngine::observe(ObserveRequest request, Reply<Snapshot> reply) {
  meet<Snapshot>({Op::observe, {}, ""}, std::move(reply),
                 [this, request = std::move(request)](auto reply) { inner_.observe(request, std::move(reply)); });
}

std::unique_ptr<Engine::Subscription> FaultyEngine::subscribe(Function<void(const Event&)> on_event) {
  return inner_.subscribe([this, on_event = std::move(on_event)](const Event& event) mutable {
    if (hears(event)) on_event(event);
  });
}

void FaultyEngine::create_network(NetworkSpec spec, Reply<NetworkId> reply) {
  meet<NetworkId>({Op::create_network, {}, spec.name}, std::move(reply),
                  [this, spec](auto reply) { inner_.create_network(spec, std::move(reply)); });
}

void FaultyEngine::remove_network(NetworkId network, Reply<> reply) {
  meet<void>({Op::remove_network, {}, inner_.name_of(network)}, std::move(reply),
             [this, network](auto reply) { inner_.remove_network(network, std::move(reply)); });
}

void FaultyEngine::create_volume(VolumeSpec spec, Reply<std::string> reply) {
  meet<std::string>({Op::create_volume, {}, spec.name}, std::move(reply),
                    [this, spec](auto reply) { inner_.create_volume(spec, std::move(reply)); });
}

void FaultyEngine::remove_volume(std::string name, Reply<> reply) {
  meet<void>({Op::remove_volume, {}, name}, std::move(reply),
             [this, name](auto reply) { inner_.remove_volume(name, std::move(reply)); });
}

void FaultyEngine::pull_image(std::string reference, std::string platform, OnProgress progress, Reply<ImageId> reply) {
  auto told = std::make_shared<OnProgress>(std::move(progress));
  meet<ImageId>({Op::pull, {}, reference}, std::move(reply), [this, reference, platform, told](auto reply) {
    inner_.pull_image(
        reference, platform,
        [told](const TransferProgress& p) {
          if (*told) (*told)(p);
        },
        std::move(reply));
  });
}

void FaultyEngine::remove_image(std::string reference, bool force, Reply<> reply) {
  meet<void>({Op::remove_image, {}, reference}, std::move(reply),
             [this, reference, force](auto reply) { inner_.remove_image(reference, force, std::move(reply)); });
}

void FaultyEngine::create_container(ContainerSpec spec, Reply<CreatedContainer> reply) {
  meet<CreatedContainer>({Op::create, {}, spec.name}, std::move(reply),
                         [this, spec = std::make_shared<ContainerSpec>(spec)](auto reply) {
                           inner_.create_container(*spec, std::move(reply));
                         });
}

void FaultyEngine::start_container(ContainerId id, Reply<> reply) {
  meet<void>({Op::start, id, ""}, std::move(reply),
             [this, id](auto reply) { inner_.start_container(id, std::move(reply)); });
}

void FaultyEngine::stop_container(ContainerId id, StopOptions options, Reply<> reply) {
  meet<void>({Op::stop, id, ""}, std::move(reply),
             [this, id, options](auto reply) { inner_.stop_container(id, options, std::move(reply)); });
}

void FaultyEngine::kill_container(ContainerId id, std::string signal, Reply<> reply) {
  meet<void>({Op::kill, id, ""}, std::move(reply),
             [this, id, signal](auto reply) { inner_.kill_container(id, signal, std::move(reply)); });
}

void FaultyEngine::restart_container(ContainerId id, StopOptions options, Reply<> reply) {
  meet<void>({Op::restart, id, ""}, std::move(reply),
             [this, id, options](auto reply) { inner_.restart_container(id, options, std::move(reply)); });
}

void FaultyEngine::rename_container(ContainerId id, std::string name, Reply<> reply) {
  meet<void>({Op::rename, id, name}, std::move(reply),
             [this, id, name](auto reply) { inner_.rename_container(id, name, std::move(reply)); });
}

void FaultyEngine::remove_container(ContainerId id, RemoveOptions options, Reply<> reply) {
  meet<void>({Op::remove, id, ""}, std::move(reply),
             [this, id, options](auto reply) { inner_.remove_container(id, options, std::move(reply)); });
}

void FaultyEngine::connect_network(NetworkId network, ContainerId id, EndpointSpec endpoint, Reply<> reply) {
  meet<void>({Op::connect, id, ""}, std::move(reply), [this, network, id, endpoint](auto reply) {
    inner_.connect_network(network, id, endpoint, std::move(reply));
  });
}

void FaultyEngine::disconnect_network(NetworkId network, ContainerId id, bool force, Reply<> reply) {
  meet<void>({Op::disconnect, id, ""}, std::move(reply), [this, network, id, force](auto reply) {
    inner_.disconnect_network(network, id, force, std::move(reply));
  });
}

}  // namespace gantry::test
