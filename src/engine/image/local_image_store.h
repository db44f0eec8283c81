// The ImageStore on this machine's disk: see image_store.h for what it promises, this for how it is put together.
// Look-ups and names: local_image_store.cc; layers, holds and garbage: layer_store.cc; transfers: archive_load.cc,
// archive_save.cc, import.cc, pull.cc, push.cc; how a layer leaves: layer_export.cc; the builder's cache: cache_store.cc,
// and elsewhere: cache_transfer.cc; what has to reach the disk: image_sync.cc.
//
// Lock order: `mutex_` only; never held while a blob or layer is read or written.
#pragma once

#include <condition_variable>
#include <functional>
#include <map>
#include <mutex>
#include <set>
#include <span>
#include <thread>

#include "engine/image/byte_source.h"
#include "engine/image/image_database.h"
#include "engine/image/image_document.h"
#include "engine/image/image_store.h"
#include "engine/image/manifest.h"
#include "engine/image/reference.h"
#include "engine/image/spool.h"

namespace gantry::engine {

class BlobDownload;
class LayerView;

class LocalImageStore final : public ImageStore {
 public:
  static Result<std::unique_ptr<ImageStore>> open(const std::filesystem::path& root,
                                                  const RegistrySettings& settings);
  ~LocalImageStore() override;

  Result<Image> find(const std::string& reference) const override;
  std::vector<Image> list() const override;
  Result<Layers> layers(const ImageId& image) override;
  Result<> tag(const ImageId& image, const std::string& reference) override;
  Result<RemovedImages> remove(const std::string& reference, bool force, const Users& in_use) override;
  Result<std::vector<std::string>> load(int input) override;
  Result<ImageId> import(int input, const ImportOptions& options) override;
  Result<ImageId> pull(const std::string& reference, const PullOptions& options, const TransferCallback& progress,
                       const CancelCheck& cancelled) override;
  Result<PushedImage> push(const std::string& reference, const PullOptions& options, const TransferCallback& progress,
                           const CancelCheck& cancelled) override;
  Result<> save(const std::vector<std::string>& references, const ByteSink& sink) override;
  Result<Distribution> distribution(const std::string& reference, const std::string& auth) override;
  Result<> log_in(const std::string& server, const std::string& auth) override;
  Result<std::vector<std::string>> remote_tags(const std::string& repository, const std::string& auth) override;
  Result<NewLayer> add_layer(const std::string& parent_chain, const std::filesystem::path& upper) override;
  Result<ImageId> add_image(const std::string& config_json, const std::string& parent) override;
  Result<Layers> layers_of_chain(const std::string& chain_id) override;
  std::optional<std::string> cache_get(const std::string& key) override;
  Result<> cache_put(const std::string& key, const std::string& value) override;
  Result<uint64_t> prune_cache(const CachePrune& prune) override;
  Result<uint64_t> cache_bytes() override;
  Result<std::shared_ptr<RemoteCache>> open_cache(const CachePlace& place, const CancelCheck& cancelled) override;
  Result<> write_cache(const CachePlace& place, const std::vector<CachedStep>& steps,
                       const CancelCheck& cancelled) override;

 private:
  class CacheReader;
  class CacheWriter;
  friend class ArchiveLoad;
  friend class ArchiveSave;
  friend class ImagePull;
  friend class ImagePush;

  struct Shared;
  struct Known {
    Image image;  // names are filled in on the way out
    ImageRow row;
    std::string chain;  // of its top layer, "" = none
  };
  // A layer that cannot go away while `hold` lives.
  struct Held {
    LayerRow row;
    std::shared_ptr<void> hold;
  };
  using SharedSpool = std::shared_ptr<Spool>;

  LocalImageStore(std::filesystem::path root, RegistrySettings settings);
  Result<> start();
  Result<> load_layers();
  Result<> load_images();
  void remove_leftovers();

  std::filesystem::path layer_directory(const std::string& chain) const;
  std::filesystem::path blob_path(const std::string& digest) const;
  std::filesystem::path temporary_path(const char* purpose) const;

  // With the mutex held.
  const Known* find_known(const std::string& reference) const;
  Result<const Known*> find_or_error(const std::string& reference) const;
  Image complete(const Known& known) const;
  Result<> set_name(const std::string& name, const std::string& image);
  Result<> check_removable(const Known& known, bool force, bool ignore_names, const Users& in_use) const;
  Result<> remove_image_row(const std::string& id);
  // Deletes layers and blobs that nothing needs; returns what must be removed from disk after unlocking.
  Result<std::vector<std::filesystem::path>> collect_garbage(std::vector<std::string>& removed_chains);
  void move_aside(const std::filesystem::path& path, std::vector<std::filesystem::path>& garbage) const;
  std::set<std::string> needed_chains(bool with_holds) const;
  static std::string chain_of_entry(const std::string& value);
  uint64_t bytes_for_cache(std::span<const ImageDatabase::CacheRow> rows) const;
  std::shared_ptr<void> hold_chain(const std::string& chain);

  // Without it.
  void release_chain(const std::string& chain);
  void remove_from_disk(const std::vector<std::filesystem::path>& paths);
  std::optional<Held> hold_layer(const std::string& chain);
  // Unpacks one layer and checks it. Bytes behind `tar` may be compressed. Takes no digest on trust. `below_ready` is
  // called before the layers below are needed, and may wait for them; empty: they are there.
  Result<Held> install_layer(const std::string& parent, const std::string& diff_id, ByteSource& tar,
                             const CancelCheck& cancelled, const std::function<Result<>()>& below_ready = {});
  Result<Held> adopt_layer(LayerRow row, const std::filesystem::path& directory);
  static Result<> copy_root_attributes(const LayerView* below, int directory);
  Result<std::vector<std::filesystem::path>> chain_directories(const std::string& chain) const;

  Result<Spool> spool(ByteSource& source, const char* purpose);
  Result<> keep_blob(const std::string& content);  // under its digest
  Result<> keep_layer_blob(const Spool& spool, const std::string& diff_id, const std::string& media_type);

  // The download of a blob that is under way, or a new one that the caller has to carry out.
  std::shared_ptr<BlobDownload> join_download(const std::string& digest, bool& is_first);
  void end_download(const std::string& digest, BlobDownload& download, Result<SharedSpool> result);

  // How an image leaves: its config, the layers as blobs, and the manifest that it came with if that still fits.
  struct ExportedLayer {
    std::string chain;
    std::string diff_id;
    std::optional<LayerBlobRow> blob;  // nothing: only unpacked so far
  };
  struct Exported {
    ImageId id;
    std::string config_json;
    std::vector<ExportedLayer> layers;    // bottom first
    std::vector<std::string> documents;   // manifests and indexes it came with, verbatim
    std::shared_ptr<void> hold;
  };
  Result<Exported> export_image(const std::string& reference);
  // The blob of a layer in a compressed form, made now if there is none yet.
  Result<LayerBlobRow> compressed_layer(const ExportedLayer& layer, const CancelCheck& cancelled);
  Result<> replace_layer_blob(const Spool& spool, const LayerBlobRow& row);
  Result<> note_digest(const ImageId& id, const std::string& name, const std::string& document);
  // The manifest of the image with these blobs: the one that it came with if it is of that form, else a new one.
  struct ExportedManifest {
    std::string media_type;
    std::string text;
  };
  enum class ManifestForm {
    any,  // as it came; a new one in Docker's form where that can say it
    oci,
  };
  static ExportedManifest manifest_of(const Exported& image, const std::vector<LayerBlobRow>& blobs, ManifestForm form);

  // The last step of every way in: makes the image and its names visible at once. `kill -9` takes nothing away after
  // that. A power cut takes nothing away either from what came from outside and cannot be had again (load, import,
  // commit); of what was pulled or built, it may take what is younger than the sync that begins at once: incomplete
  // layers are told by their `unsynced_boot`, and forgotten.
  struct NewImage {
    enum class Durability { synced, soon };
    std::string config_json;
    std::string parent;
    std::vector<std::string> documents;  // manifests and indexes, verbatim
    std::vector<std::string> names;      // canonical
    Durability durability = Durability::synced;
  };
  Result<ImageId> register_image(const NewImage& image);
  Result<> sync_now();
  void sync_soon();
  void run_syncs();                                // of the syncer's thread
  std::vector<std::string> unsynced_layers() const;  // with the mutex held

  const std::filesystem::path root_;
  const RegistrySettings settings_;
  const std::string boot_;
  mutable std::mutex mutex_;
  std::unique_ptr<ImageDatabase> database_;
  std::map<std::string, Known> images_;              // by id
  std::map<std::string, std::string> names_;         // canonical name → id
  std::map<std::string, LayerRow> layers_;           // by chain id
  std::map<std::string, LayerBlobRow> layer_blobs_;  // by diff id
  std::set<std::string> cached_chains_;              // that cache entries stand for
  std::map<std::string, unsigned> holds_;            // by chain id
  bool garbage_was_held_ = false;
  std::map<std::string, std::shared_ptr<BlobDownload>> downloads_;  // by digest, while they run
  std::set<std::string> installing_;                                  // chain ids
  std::condition_variable installed_;
  std::thread syncer_;  // started when it is first needed
  bool sync_wanted_ = false;
  bool stopping_ = false;
  std::condition_variable sync_changed_;
  std::shared_ptr<Shared> shared_;  // what holds point to: they may outlive the store
};

}  // namespace gantry::engine
