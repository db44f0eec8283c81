// The ImageStore on this machine's disk: see image_store.h for what it promises, this for how it is put together.
// Look-ups and names: local_image_store.cc; layers, holds and garbage: layer_store.cc; transfers: archive_load.cc,
// archive_save.cc, import.cc, pull.cc, push.cc; how a layer leaves: layer_export.cc.
//
// Lock order: `mutex_` only; never held while a blob or layer is read or written.
#pragma once

#include <condition_variable>
#include <functional>
#include <map>
#include <mutex>
#include <set>

#include "engine/image/byte_source.h"
#include "engine/image/image_database.h"
#include "engine/image/image_document.h"
#include "engine/image/image_store.h"
#include "engine/image/manifest.h"
#include "engine/image/reference.h"

namespace gantry::engine {

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
  Result<uint64_t> prune_cache() override;

 private:
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
  // A file under tmp/ that goes away unless it becomes a blob.
  struct Spool {
    std::filesystem::path path;
    std::string digest;
    uint64_t size = 0;
    Spool() = default;
    Spool(Spool&& other) noexcept;
    Spool& operator=(Spool&& other) noexcept;
    ~Spool();
  };
  using SharedSpool = std::shared_ptr<Spool>;
  // A blob that some pull downloads and others wait for.
  struct SharedDownload {
    std::mutex mutex;  // of what follows
    std::condition_variable changed;
    uint64_t bytes = 0;
    std::optional<Result<SharedSpool>> result;
  };

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
  std::set<std::string> needed_chains(bool with_holds) const;
  std::shared_ptr<void> hold_chain(const std::string& chain);

  // Without it.
  void release_chain(const std::string& chain);
  void remove_from_disk(const std::vector<std::filesystem::path>& paths);
  std::optional<Held> hold_layer(const std::string& chain);
  // Unpacks one layer and checks it. Bytes behind `tar` may be compressed. Takes no digest on trust.
  Result<Held> install_layer(const std::string& parent, const std::string& diff_id, ByteSource& tar,
                             const CancelCheck& cancelled);
  Result<Held> adopt_layer(LayerRow row, const std::filesystem::path& directory);
  Result<> copy_root_attributes(const std::string& parent_chain, int directory) const;
  Result<std::vector<std::filesystem::path>> chain_directories(const std::string& chain) const;

  Result<Spool> spool(ByteSource& source, const char* purpose);
  Result<> keep_blob(const std::string& content);  // under its digest
  Result<> keep_layer_blob(const Spool& spool, const std::string& diff_id, const std::string& media_type);

  std::shared_ptr<SharedDownload> join_download(const std::string& digest, bool& is_first);
  void end_download(const std::string& digest, SharedDownload& download, const Result<SharedSpool>& result);

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
  // The manifest of the image with these blobs: the one that it came with, else a new one.
  struct ExportedManifest {
    std::string media_type;
    std::string text;
  };
  static ExportedManifest manifest_of(const Exported& image, const std::vector<LayerBlobRow>& blobs);

  // The last step of every way in: makes the image and its names visible at once, synced.
  struct NewImage {
    std::string config_json;
    std::string parent;
    std::vector<std::string> documents;  // manifests and indexes, verbatim
    std::vector<std::string> names;      // canonical
  };
  Result<ImageId> register_image(const NewImage& image);

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
  std::map<std::string, std::shared_ptr<SharedDownload>> downloads_;  // by digest, while they run
  std::set<std::string> installing_;                                  // chain ids
  std::condition_variable installed_;
  std::shared_ptr<Shared> shared_;  // what holds point to: they may outlive the store
};

}  // namespace gantry::engine
