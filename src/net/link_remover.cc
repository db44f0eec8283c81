#include "net/link_remover.h"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <optional>

#include "base/log.h"
#include "net/links.h"

namespace gantry::net {
namespace {

// The kernel clears dead namespaces away in its own time, many at once. While more interfaces come it waits on.
constexpr std::chrono::milliseconds kGrace{500};
// For a bridge to be taken down, which takes less than one where nobody holds the kernel's lock.
constexpr std::chrono::milliseconds kPatience{20};

}  // namespace

LinkRemover::~LinkRemover() {
  {
    std::lock_guard lock(later_mutex_);
    stopping_ = true;
  }
  later_changed_.notify_all();
  if (farewell_worker_.joinable()) farewell_worker_.join();
  if (worker_.joinable()) worker_.join();
}

void LinkRemover::wake_worker() {
  if (!worker_.joinable()) worker_ = std::thread([this] { work_off(); });
  later_changed_.notify_all();
}

void LinkRemover::remove_later(std::string name) {
  std::lock_guard lock(later_mutex_);
  later_.push_back(std::move(name));
  wake_worker();
}

Result<> LinkRemover::remove_behind(TakeDown take_down) {
  auto farewell = std::make_shared<Farewell>();
  farewell->take_down = std::move(take_down);
  std::unique_lock lock(later_mutex_);
  farewells_.push_back(farewell);
  if (!farewell_worker_.joinable()) farewell_worker_ = std::thread([this] { say_farewells(); });
  later_changed_.notify_all();
  later_changed_.wait_for(lock, kPatience, [&] { return farewell->result.has_value(); });
  if (farewell->result) return *std::move(farewell->result);
  farewell->is_left = true;
  return {};
}

void LinkRemover::say_farewells() {
  std::unique_lock lock(later_mutex_);
  for (;;) {
    later_changed_.wait(lock, [&] { return stopping_ || !farewells_.empty(); });
    if (farewells_.empty()) return;
    const auto farewell = farewells_.front();
    lock.unlock();
    auto leaving = farewell->take_down();
    lock.lock();
    farewells_.pop_front();
    if (!leaving.ok() && farewell->is_left) log_warning(leaving.error().message());
    farewell->result = leaving.ok() ? Result<>() : Result<>(leaving.error());
    if (leaving.ok() && !leaving->empty()) {
      behind_.insert(behind_.end(), leaving->begin(), leaving->end());
      wake_worker();
    }
    later_changed_.notify_all();
  }
}

void LinkRemover::wait_taken_down() {
  std::unique_lock lock(later_mutex_);
  later_changed_.wait(lock, [&] { return farewells_.empty(); });
}

void LinkRemover::settle() {
  std::unique_lock lock(later_mutex_);
  later_changed_.wait(lock, [&] { return farewells_.empty() && behind_.empty() && now_.empty(); });
}

void LinkRemover::keep(const std::string& name) {
  const auto holds = [&](const std::vector<std::string>& names) {
    return std::find(names.begin(), names.end(), name) != names.end();
  };
  std::unique_lock lock(later_mutex_);
  std::erase(later_, name);
  later_changed_.wait(lock, [&] { return !holds(behind_) && !holds(now_); });
}

void LinkRemover::work_off() {
  std::unique_lock lock(later_mutex_);
  for (;;) {
    // What is being taken down will be behind_ in a moment.
    later_changed_.wait(lock, [&] { return (stopping_ && farewells_.empty()) || !later_.empty() || !behind_.empty(); });
    if (later_.empty() && behind_.empty()) return;
    if (behind_.empty()) later_changed_.wait_for(lock, kGrace, [&] { return stopping_ || !behind_.empty(); });
    now_ = std::exchange(behind_.empty() ? later_ : behind_, {});
    auto names = now_;
    lock.unlock();
    auto removed = remove(names);
    if (!removed.ok()) log_warning(removed.error().message());
    lock.lock();
    now_.clear();
    later_changed_.notify_all();
  }
}

Result<> LinkRemover::remove(const std::string& name) { return remove(std::vector{name}); }

Result<> LinkRemover::remove(const std::vector<std::string>& names) {
  std::unique_lock lock(mutex_);
  if (!next_) next_ = std::make_shared<Round>();
  auto round = next_;
  round->names.insert(round->names.end(), names.begin(), names.end());
  // Whoever finds nobody at work does the round that gathered meanwhile; the others wait for theirs.
  changed_.wait(lock, [&] { return round->done || !busy_; });
  if (!round->done) {
    busy_ = true;
    next_ = nullptr;
    lock.unlock();
    Result<> result = remove_together(round->names);
    lock.lock();
    round->result = std::move(result);
    round->done = true;
    busy_ = false;
    changed_.notify_all();
  }
  if (round->result.ok()) return {};
  return round->result.error();
}

Result<> LinkRemover::remove_together(const std::vector<std::string>& names) {
  auto socket = TRY(sockets_.take());
  std::vector<std::string> left;
  for (const std::string& name : names) {
    NetlinkBatch batch;
    add_group_change(batch, name, group_);
    auto marked = exchange(socket.get(), batch);
    if (marked.ok())
      left.push_back(name);
    else if (marked.error().errno_value() != ENODEV)
      return marked;
  }
  if (left.empty()) return {};
  // A group is removed by walking over all interfaces of the host, a single one is found by its name.
  if (left.size() == 1) return delete_link(socket.get(), left[0]);
  return delete_group(socket.get(), group_);
}

}  // namespace gantry::net
