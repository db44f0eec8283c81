#include "engine/build/shared_work.h"

#include <utility>

#include "base/processors.h"

namespace gantry::engine {
namespace {

constexpr size_t kMostWaiting = 64;  // pieces may hold descriptors
constexpr size_t kWorthAThread = 8;

}  // namespace

void SharedWork::run(Piece first) {
  waiting_.push_back(std::move(first));
  work();
  helpers_.clear();  // joins them
}

bool SharedWork::offer(Piece piece) {
  const std::lock_guard lock(mutex_);
  if (waiting_.size() >= kMostWaiting) return false;
  waiting_.push_back(std::move(piece));
  if (waiting_.size() >= kWorthAThread && helpers_.size() + 1 < processors()) {
    helpers_.emplace_back([this] { work(); });
  } else {
    changed_.notify_one();
  }
  return true;
}

void SharedWork::work() {
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [this] { return !waiting_.empty() || running_ == 0; });
    if (waiting_.empty()) break;
    Piece piece = std::move(waiting_.back());
    waiting_.pop_back();
    ++running_;
    lock.unlock();
    piece();
    piece = nullptr;  // what it held is let go without the lock
    lock.lock();
    --running_;
  }
  changed_.notify_all();
}

}  // namespace gantry::engine
