// What all parts of the local engine share: where things are, who does the work, and the few ways in which they all
// answer. Made once by LocalEngine::open(), passed by reference.
#pragma once

#include <filesystem>
#include <functional>
#include <mutex>
#include <string>
#include <type_traits>
#include <utility>

#include "base/loop.h"
#include "base/random.h"
#include "base/tasks.h"
#include "engine/container/runtime.h"
#include "engine/database.h"
#include "engine/event_bus.h"
#include "engine/iface/engine.h"
#include "engine/image/image_store.h"
#include "net/network.h"

namespace gantry::engine {

// Where the engine's files are. Pure.
struct Paths {
  std::filesystem::path data_root;
  std::filesystem::path run_root;

  std::filesystem::path database() const { return data_root / "engine.db"; }
  std::filesystem::path containers() const { return data_root / "containers"; }
  std::filesystem::path container(const ContainerId& id) const { return containers() / id.str(); }
  std::filesystem::path volumes() const { return data_root / "volumes"; }
  std::filesystem::path build() const { return data_root / "build"; }
  std::filesystem::path logs() const { return data_root / "logs"; }
  std::filesystem::path runs() const { return run_root / "c"; }
  // Short, because a socket's path has 107 bytes (unix(7)).
  std::filesystem::path run(const ContainerId& id) const { return runs() / id.str().substr(0, 16); }
};

// The name service, connected at its first use: a daemon whose containers need no names starts no process for them.
// Any thread.
class LazyNames {
 public:
  explicit LazyNames(net::NameService& service) : service_(service) {}

  // The service, ready for use.
  Result<net::NameService*> get();
  // At a daemon's start with living containers: what is told to the service before `synchronised` is kept.
  Result<> connect();
  Result<> synchronised();
  void disconnect();
  bool is_connected();

 private:
  net::NameService& service_;
  std::mutex mutex_;
  bool connected_ = false;
};

struct Context {
  Paths paths;
  std::string tag;  // 6 hex digits of the data root: in the names of everything that we make in the kernel
  EventLoop& loop;
  Tasks& tasks;
  Random& random;
  Database& database;
  ImageStore& images;
  Runtime& runtime;
  net::NetworkStack& stack;
  LazyNames& names;
  EventBus& events;
  Function<void()> went_idle = {};  // some work has ended: perhaps the last before a shutdown
  std::function<bool(const std::string& project)> keeps_logs_of = {};  // whose removed containers leave their logs

  // Replies on the loop thread, but never inside the call that is being replied to.
  template <class T>
  void answer(Reply<T> reply, std::type_identity_t<Result<T>> result) {
    if (!reply) return;
    loop.post([reply = std::move(reply), result = std::move(result)]() mutable { reply(std::move(result)); });
  }
};

}  // namespace gantry::engine
