// LocalImageStore: what has to reach the disk, and when.
#include <unistd.h>

#include <cerrno>

#include "base/log.h"
#include "engine/image/local_image_store.h"

namespace gantry::engine {

Result<> LocalImageStore::sync_now() {
  const Fd directory = TRY(open_file(root_, O_RDONLY | O_DIRECTORY));
  if (syncfs(directory.get()) != 0) return Error::from_errno(errno, "syncfs", root_.native());
  return {};
}

std::vector<std::string> LocalImageStore::unsynced_layers() const {
  std::vector<std::string> chains;
  for (const auto& [chain, row] : layers_) {
    if (!row.unsynced_boot.empty()) chains.push_back(chain);
  }
  return chains;
}

void LocalImageStore::sync_soon() {
  std::lock_guard lock(mutex_);
  if (unsynced_layers().empty()) return;
  if (!syncer_.joinable()) syncer_ = std::thread([this] { run_syncs(); });
  sync_wanted_ = true;
  sync_changed_.notify_all();
}

// Every sync covers the layers that were complete when it began.
void LocalImageStore::run_syncs() {
  std::unique_lock lock(mutex_);
  while (true) {
    sync_changed_.wait(lock, [this] { return sync_wanted_ || stopping_; });
    if (!sync_wanted_) return;
    sync_wanted_ = false;
    const std::vector<std::string> chains = unsynced_layers();
    lock.unlock();
    const Result<> synced = sync_now();
    lock.lock();
    if (!synced.ok()) {
      log_warning("images: " + synced.error().message());
      continue;
    }
    const Result<> marked = database_->transaction([&]() -> Result<> {
      for (const std::string& chain : chains) {
        if (layers_.contains(chain)) TRY(database_->mark_synced(chain));
      }
      return {};
    });
    if (!marked.ok()) log_warning("images: " + marked.error().message());
    for (const std::string& chain : chains) {
      if (const auto layer = layers_.find(chain); marked.ok() && layer != layers_.end()) {
        layer->second.unsynced_boot.clear();
      }
    }
  }
}

}  // namespace gantry::engine
