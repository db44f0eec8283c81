// LocalImageStore: layers on disk, who holds them, and what becomes garbage.
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "base/fault.h"
#include "base/log.h"
#include "base/remove_tree.h"
#include "base/scope_exit.h"
#include "engine/image/digest.h"
#include "engine/image/file_copy.h"
#include "engine/image/layer_tar.h"
#include "engine/image/local_image_store.h"
#include "engine/image/unpack.h"

namespace gantry::engine {

// Holds outlive the store when a container's owner is destroyed after it: then releasing does nothing.
struct LocalImageStore::Shared {
  std::mutex mutex;
  LocalImageStore* store = nullptr;
};

LocalImageStore::~LocalImageStore() {
  if (syncer_.joinable()) {
    {
      std::lock_guard lock(mutex_);
      stopping_ = true;
      sync_changed_.notify_all();
    }
    syncer_.join();
  }
  if (!shared_) return;
  std::lock_guard lock(shared_->mutex);
  shared_->store = nullptr;
}

std::shared_ptr<void> LocalImageStore::hold_chain(const std::string& chain) {
  if (!shared_) {
    shared_ = std::make_shared<Shared>();
    shared_->store = this;
  }
  struct Token {
    std::shared_ptr<Shared> shared;
    std::string chain;
    ~Token() {
      std::lock_guard lock(shared->mutex);
      if (shared->store != nullptr) shared->store->release_chain(chain);
    }
  };
  ++holds_[chain];
  auto token = std::make_shared<Token>();
  token->shared = shared_;
  token->chain = chain;
  return token;
}

void LocalImageStore::release_chain(const std::string& chain) {
  std::vector<std::filesystem::path> garbage;
  {
    std::lock_guard lock(mutex_);
    const auto held = holds_.find(chain);
    CHECK(held != holds_.end());
    if (--held->second > 0) return;
    holds_.erase(held);
    if (!garbage_was_held_) return;
    std::vector<std::string> chains;
    Result<std::vector<std::filesystem::path>> found = collect_garbage(chains);
    if (!found.ok()) {
      log_warning("images: unused layers stay until the next start: " + found.error().message());
      return;
    }
    garbage = std::move(*found);
  }
  remove_from_disk(garbage);
}

std::set<std::string> LocalImageStore::needed_chains(bool with_holds) const {
  std::set<std::string> needed;
  const auto need = [&](std::string chain) {
    while (!chain.empty() && needed.insert(chain).second) {
      const auto layer = layers_.find(chain);
      if (layer == layers_.end()) break;
      chain = layer->second.parent;
    }
  };
  for (const auto& [id, known] : images_) need(known.chain);
  for (const std::string& chain : cached_chains_) need(chain);
  if (with_holds) {
    for (const auto& [chain, count] : holds_) need(chain);
  }
  return needed;
}

Result<std::vector<std::filesystem::path>> LocalImageStore::collect_garbage(std::vector<std::string>& removed_chains) {
  const std::set<std::string> needed = needed_chains(false);
  const std::set<std::string> kept = needed_chains(true);
  std::vector<std::string> removed;
  std::set<std::string> remaining_diffs;
  garbage_was_held_ = false;
  for (const auto& [chain, row] : layers_) {
    if (kept.contains(chain)) {
      remaining_diffs.insert(row.diff_id);
      if (!needed.contains(chain)) garbage_was_held_ = true;
    } else {
      removed.push_back(chain);
    }
  }
  std::vector<LayerBlobRow> removed_blobs;
  for (const auto& [diff_id, row] : layer_blobs_) {
    if (!remaining_diffs.contains(diff_id)) removed_blobs.push_back(row);
  }
  TRY(database_->transaction([&]() -> Result<> {
    for (const std::string& chain : removed) TRY(database_->remove_layer(chain));
    for (const LayerBlobRow& row : removed_blobs) TRY(database_->remove_layer_blob(row.diff_id));
    return {};
  }));
  std::vector<std::filesystem::path> garbage;
  for (const std::string& chain : removed) {
    move_aside(layer_directory(chain), garbage);
    layers_.erase(chain);
    removed_chains.push_back(chain);
  }
  for (const LayerBlobRow& row : removed_blobs) {
    layer_blobs_.erase(row.diff_id);
    move_aside(blob_path(row.digest), garbage);
  }
  return garbage;
}

// Under the mutex, so that whoever brings the same content again while the removal goes on makes a file of its own.
void LocalImageStore::move_aside(const std::filesystem::path& path, std::vector<std::filesystem::path>& garbage) const {
  const std::filesystem::path aside = temporary_path("gone");
  std::error_code error;
  std::filesystem::rename(path, aside, error);
  if (!error) garbage.push_back(aside);
}

void LocalImageStore::remove_from_disk(const std::vector<std::filesystem::path>& paths) {
  for (const std::filesystem::path& path : paths) {
    if (auto removed = remove_tree(path); !removed.ok()) log_warning("images: " + removed.error().message());
  }
}

std::optional<LocalImageStore::Held> LocalImageStore::hold_layer(const std::string& chain) {
  std::lock_guard lock(mutex_);
  const auto layer = layers_.find(chain);
  if (layer == layers_.end()) return std::nullopt;
  return Held{.row = layer->second, .hold = hold_chain(chain)};
}

// Topmost first. With the mutex held.
Result<std::vector<std::filesystem::path>> LocalImageStore::chain_directories(const std::string& chain) const {
  std::vector<std::filesystem::path> directories;
  for (std::string at = chain; !at.empty();) {
    const auto layer = layers_.find(at);
    if (layer == layers_.end()) return not_found("layer " + at + " does not exist");
    directories.push_back(layer_directory(at));
    at = layer->second.parent;
  }
  if (directories.empty()) directories.push_back(root_ / "empty");
  return directories;
}

Result<ImageStore::Layers> LocalImageStore::layers_of_chain(const std::string& chain_id) {
  std::lock_guard lock(mutex_);
  Layers layers{.directories = TRY(chain_directories(chain_id))};
  if (!chain_id.empty()) layers.hold = hold_chain(chain_id);
  return layers;
}

Result<ImageStore::Layers> LocalImageStore::layers(const ImageId& image) {
  std::lock_guard lock(mutex_);
  const auto known = images_.find(image.str());
  if (known == images_.end()) return not_found("No such image: " + image.str());
  Layers layers{.directories = TRY(chain_directories(known->second.chain))};
  if (!known->second.chain.empty()) layers.hold = hold_chain(known->second.chain);
  return layers;
}

// overlayfs shows the topmost layer's root as "/": a layer that says nothing about it must not change it.
Result<> LocalImageStore::copy_root_attributes(const LayerView* below, int directory) {
  FileAttributes attributes{.mode = 0755};
  if (below != nullptr) attributes = TRY(FileAttributes::of(below->root()));
  return set_attributes(directory, "/", attributes);
}

Result<LocalImageStore::Held> LocalImageStore::adopt_layer(LayerRow row, const std::filesystem::path& directory) {
  std::lock_guard lock(mutex_);
  const auto existing = layers_.find(row.chain);
  if (existing != layers_.end()) return Held{.row = existing->second, .hold = hold_chain(row.chain)};
  if (!row.parent.empty() && !layers_.contains(row.parent)) return not_found("layer " + row.parent + " does not exist");
  const std::filesystem::path place = layer_directory(row.chain);
  (void)remove_tree(place).ok();  // no row speaks of it: an unfinished removal
  fault_point("layer unpacked");
  if (rename(directory.c_str(), place.c_str()) != 0) return Error::from_errno(errno, "rename", place.native());
  fault_point("layer in place");
  row.unsynced_boot = boot_;
  TRY(database_->save(row));
  layers_.emplace(row.chain, row);
  return Held{.row = row, .hold = hold_chain(row.chain)};
}

Result<LocalImageStore::Held> LocalImageStore::install_layer(const std::string& parent, const std::string& diff_id,
                                                             ByteSource& tar, const CancelCheck& cancelled,
                                                             const std::function<Result<>()>& below_ready) {
  LayerRow row{.chain = chain_id(parent, diff_id), .diff_id = diff_id, .parent = parent};
  {
    // Two pulls of one layer unpack it once.
    std::unique_lock lock(mutex_);
    installed_.wait(lock, [&] { return !installing_.contains(row.chain); });
    installing_.insert(row.chain);
  }
  const ScopeExit done([this, chain = row.chain] {
    std::lock_guard lock(mutex_);
    installing_.erase(chain);
    installed_.notify_all();
  });
  if (std::optional<Held> existing = hold_layer(row.chain)) return {std::move(*existing)};
  std::optional<LayerView> below;
  std::shared_ptr<void> below_hold;
  const auto open_below = [&]() -> Result<const LayerView*> {
    if (parent.empty()) return nullptr;
    if (!below.has_value()) {
      if (below_ready) TRY(below_ready());
      Layers layers = TRY(layers_of_chain(parent));
      below = TRY(LayerView::open(layers.directories));
      below_hold = std::move(layers.hold);
    }
    return &*below;
  };

  const std::filesystem::path directory = temporary_path("layer");
  if (mkdir(directory.c_str(), 0755) != 0) return Error::from_errno(errno, "mkdir", directory.native());
  ScopeExit remove([&] { remove_from_disk({directory}); });
  {
    const Fd root = TRY(open_file(directory, O_RDONLY | O_DIRECTORY));
    std::unique_ptr<ByteSource> plain = TRY(decompressed(tar));
    MeasuringSource measured(*plain);
    const Unpacked unpacked = TRY(unpack(measured, root.get(), {.below = open_below, .cancelled = cancelled}));
    row.size = unpacked.bytes;
    const std::string found = measured.finish();
    if (found != diff_id) return invalid("layer content is " + found + ", the image's config says " + diff_id);
    const LayerView* lower = TRY(open_below());
    if (!unpacked.has_root) TRY(copy_root_attributes(lower, root.get()));
  }
  Held held = TRY(adopt_layer(std::move(row), directory));
  return held;
}

Result<ImageStore::NewLayer> LocalImageStore::add_layer(const std::string& parent_chain,
                                                        const std::filesystem::path& upper) {
  Fd root = TRY(open_file(upper, O_RDONLY | O_DIRECTORY));
  const LayerSummary summary = TRY(summarize_layer(root.get()).within("reading " + upper.string()));
  LayerRow row{.chain = chain_id(parent_chain, summary.diff_id),
               .diff_id = summary.diff_id,
               .parent = parent_chain,
               .size = summary.size};
  struct stat upper_status {};
  struct stat root_status {};
  if (fstat(root.get(), &upper_status) != 0) return Error::from_errno(errno, "fstat", upper.native());
  if (stat((root_ / "layers").c_str(), &root_status) != 0) return Error::from_errno(errno, "stat", root_.native());
  Held held;
  if (upper_status.st_dev == root_status.st_dev) {
    root.reset();
    held = TRY(adopt_layer(std::move(row), upper));
  } else {
    const std::filesystem::path file = temporary_path("tar");
    ScopeExit remove([&] { remove_from_disk({file}); });
    const Fd tar = TRY(open_file(file, O_RDWR | O_CREAT | O_EXCL, 0600));
    TRY(write_layer_tar(root.get(), [&](std::string_view data) { return write_all(tar.get(), data); }));
    if (lseek(tar.get(), 0, SEEK_SET) < 0) return Error::from_errno(errno, "lseek", file.native());
    FdSource source(tar.get());
    held = TRY(install_layer(parent_chain, row.diff_id, source, {}));
  }
  remove_from_disk({upper});
  return NewLayer{
      .diff_id = held.row.diff_id, .chain_id = held.row.chain, .size = held.row.size, .hold = std::move(held.hold)};
}

Result<Spool> LocalImageStore::spool(ByteSource& source, const char* purpose) {
  Spool spool;
  const std::filesystem::path path = temporary_path(purpose);
  const Fd file = TRY(open_file(path, O_WRONLY | O_CREAT | O_EXCL, 0600));
  spool.path = path;
  MeasuringSource measured(source);
  spool.size = TRY(copy_to_fd(measured, file.get()));
  spool.digest = measured.finish();
  return spool;
}

Result<> LocalImageStore::keep_blob(const std::string& content) {
  const std::filesystem::path place = blob_path(digest_of(content));
  if (access(place.c_str(), F_OK) == 0) return {};
  const std::filesystem::path temporary = temporary_path("blob");
  TRY(write_file(temporary, content, 0600));
  fault_point("blob written");
  if (rename(temporary.c_str(), place.c_str()) != 0) return Error::from_errno(errno, "rename", place.native());
  fault_point("blob in place");
  return {};
}

// The layer must be held. The first form that a layer came in is kept: its digest is what registries know.
Result<> LocalImageStore::keep_layer_blob(const Spool& spool, const std::string& diff_id, const std::string& media_type) {
  std::lock_guard lock(mutex_);
  if (layer_blobs_.contains(diff_id)) return {};
  LayerBlobRow row{.diff_id = diff_id, .digest = spool.digest, .media_type = media_type, .size = spool.size};
  const std::filesystem::path place = blob_path(row.digest);
  if (link(spool.path.c_str(), place.c_str()) != 0 && errno != EEXIST) {
    return Error::from_errno(errno, "link", place.native());
  }
  TRY(database_->save(row));
  layer_blobs_.emplace(diff_id, std::move(row));
  return {};
}

}  // namespace gantry::engine
