#include "engine/build/cache_mounts.h"

#include <sys/stat.h>
#include <unistd.h>

#include "base/remove_tree.h"
#include "engine/build/cache_key.h"
#include "engine/image/digest.h"

namespace gantry::engine {
namespace {

namespace fs = std::filesystem;

uint64_t tree_size(const fs::path& root) {
  uint64_t size = 0;
  std::error_code error;
  for (fs::recursive_directory_iterator at(root, error), end; at != end; at.increment(error)) {
    if (error) break;
    struct stat status {};
    if (lstat(at->path().c_str(), &status) == 0 && S_ISREG(status.st_mode)) {
      size += static_cast<uint64_t>(status.st_blocks) * 512;
    }
  }
  return size;
}

}  // namespace

Result<CacheMounts::Use> CacheMounts::acquire(const RunMount& mount, const std::string& seed,
                                              const CancelCheck& cancelled) {
  CacheKey key("cache mount");
  key.add(mount.id).add(seed);
  const std::string base = hex_part(key.finish());
  const bool exclusive = mount.sharing == RunMount::Sharing::locked;
  std::string name = base;
  std::unique_lock lock(mutex_);
  if (mount.sharing == RunMount::Sharing::own) {
    for (int i = 1; users_.contains(name); ++i) name = base + "-" + std::to_string(i);
  }
  while (locked_.contains(name) || (exclusive && users_.contains(name))) {
    if (cancelled && cancelled()) return Error(Code::cancelled, "the build was cancelled");
    changed_.wait_for(lock, std::chrono::milliseconds(200));  // CancelCheck can only be asked
  }
  ++users_[name];
  if (exclusive) locked_.insert(name);
  Use use{.directory = root_ / name};
  use.hold = std::shared_ptr<void>(nullptr, [this, name, exclusive](void*) { release(name, exclusive); });
  std::error_code error;
  fs::create_directories(root_, error);
  if (error) return Error::from_errno(error.value(), "mkdir", root_.native());
  if (mkdir(use.directory.c_str(), 0700) == 0) {
    use.is_new = true;
    if (chown(use.directory.c_str(), mount.uid, mount.gid) != 0 ||
        chmod(use.directory.c_str(), mount.mode.value_or(0755)) != 0) {
      return Error::from_errno(errno, "chown", use.directory.native());
    }
  } else if (errno != EEXIST) {
    return Error::from_errno(errno, "mkdir", use.directory.native());
  }
  return use;
}

void CacheMounts::release(const std::string& name, bool exclusive) {
  std::lock_guard lock(mutex_);
  if (exclusive) locked_.erase(name);
  const auto found = users_.find(name);
  if (--found->second == 0) users_.erase(found);
  changed_.notify_all();
}

Result<uint64_t> CacheMounts::prune() {
  std::lock_guard lock(mutex_);
  uint64_t freed = 0;
  std::error_code error;
  std::vector<fs::path> unused;
  for (const auto& entry : fs::directory_iterator(root_, error)) {
    if (!users_.contains(entry.path().filename().string())) unused.push_back(entry.path());
  }
  for (const fs::path& path : unused) {
    const uint64_t size = tree_size(path);
    TRY(remove_tree(path));
    freed += size;
  }
  return freed;
}

uint64_t CacheMounts::size() const { return tree_size(root_); }

}  // namespace gantry::engine
