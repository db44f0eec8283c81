// Images on this machine: names, configs, blobs and unpacked layers.
//
// On disk under ROOT/images: blobs/sha256/HEX (manifests, configs, compressed layers, verbatim),
// layers/CHAINID/ (an unpacked layer, ready as an overlay lower directory), images.db (names and links).
// Everything is written under a temporary name, synced, renamed; nothing is visible before its digest matched.
//
// Thread-safe: builds and pulls run on threads of their own and share this one object (an internal mutex,
// held for look-ups only, never during transfers). This is the one exception to "the loop owns all state",
// because what it holds is content-addressed and never changes once written.
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/fd.h"
#include "base/ids.h"
#include "base/result.h"
#include "engine/iface/engine.h"
#include "engine/iface/specs.h"
#include "engine/image/registry_settings.h"

namespace gantry::engine {

inline constexpr std::chrono::milliseconds kProgressPause{100};  // between two words about the progress of one thing

// The parts of an image's config that the engine acts on (OCI image-spec config.md, plus Docker's additions).
struct ImageConfig {
  std::vector<std::string> environment;
  std::vector<std::string> entrypoint;
  std::vector<std::string> command;
  std::string user;
  std::string working_dir;
  std::string stop_signal;
  std::vector<std::string> shell;
  std::set<ExposedPort> exposed;
  std::set<std::string> volumes;
  Labels labels;
  std::optional<HealthCheck> health_check;
  std::vector<std::string> on_build;
};

struct Image {
  ImageId id;
  std::vector<std::string> tags;     // familiar form with tag: "hello:latest"
  std::vector<std::string> digests;  // "name@sha256:…"
  ImageConfig config;
  std::string os;
  std::string architecture;
  std::string variant;
  std::string author;
  std::string comment;
  WallTime created_at{};
  WallTime last_tagged_at{};
  uint64_t size = 0;                  // unpacked bytes, all layers
  std::vector<std::string> diff_ids;  // bottom first
  // One a layer, bottom first: what it is known by in the store, and its unpacked bytes.
  std::vector<std::string> chain_ids;
  std::vector<uint64_t> layer_sizes;
  std::string parent;                 // image id, of local builds; may be empty
  std::string config_json;            // verbatim
};

struct ImportOptions {
  std::string reference;  // may be empty: untagged
  std::string message;
  std::vector<std::string> changes;  // Dockerfile instructions
};

struct RemovedImages {
  std::vector<std::string> untagged;
  std::vector<std::string> deleted;
};

struct PullOptions {
  std::string platform;  // "" = the host's
  std::string auth;      // X-Registry-Auth as received; may be empty
};

struct PushedImage {
  std::string tag;
  std::string digest;  // of the manifest
  uint64_t size = 0;   // of its text
};

// What a registry says about a name, without the image.
struct Distribution {
  std::string media_type;
  std::string digest;
  uint64_t size = 0;
  struct Variant {
    std::string os;
    std::string architecture;
    std::string variant;
  };
  std::vector<Variant> platforms;
};

// Gets bytes in order.
using ByteSink = std::function<Result<>(std::string_view)>;

// Called from the working thread.
using TransferCallback = std::function<void(const TransferProgress&)>;
// True: stop as soon as possible with Code::cancelled. Called from the working thread.
using CancelCheck = std::function<bool()>;

class RemoteCache;
struct CachePlace;
struct CachedStep;

class ImageStore {
 public:
  // Opens or creates the store; removes half-written things of an earlier life.
  static Result<std::unique_ptr<ImageStore>> open(const std::filesystem::path& root,
                                                  const RegistrySettings& settings = {});
  virtual ~ImageStore() = default;

  // By reference ("hello", "hello:1", "host/hello@sha256:…"), id with or without "sha256:", or unique id prefix.
  // Code::not_found: "No such image: hello:latest".
  virtual Result<Image> find(const std::string& reference) const = 0;
  virtual std::vector<Image> list() const = 0;  // newest first

  // Directories for overlayfs, topmost first. Never empty: an image without layers has one empty directory.
  // Keeps them from being deleted while the returned handle lives.
  struct Layers {
    std::vector<std::filesystem::path> directories;
    std::shared_ptr<void> hold;
  };
  virtual Result<Layers> layers(const ImageId& image) = 0;

  virtual Result<> tag(const ImageId& image, const std::string& reference) = 0;
  // `in_use` tells which containers use an image (names), for the refusals.
  using Users = std::function<std::vector<std::string>(const ImageId&)>;
  virtual Result<RemovedImages> remove(const std::string& reference, bool force, const Users& in_use) = 0;

  // Blocking, for a thread of their own.
  // A docker-archive or OCI layout tar, compressed or not, read from `input` as it comes. Returns what was
  // loaded: references, or ids of untagged ones.
  virtual Result<std::vector<std::string>> load(int input) = 0;
  virtual Result<ImageId> import(int input, const ImportOptions& options) = 0;
  virtual Result<ImageId> pull(const std::string& reference, const PullOptions& options,
                               const TransferCallback& progress, const CancelCheck& cancelled) = 0;

  // One tag. Blobs that the registry has, or may take over from another repository, are not sent.
  virtual Result<PushedImage> push(const std::string&, const PullOptions&, const TransferCallback&, const CancelCheck&) {
    return unsupported("this store does not push");
  }
  // A tar that is a docker-archive and an OCI layout at once. By id: without names.
  virtual Result<> save(const std::vector<std::string>& /*references*/, const ByteSink& /*sink*/) {
    return unsupported("this store does not save");
  }
  // Asks the registry. Errors as of pull.
  virtual Result<Distribution> distribution(const std::string& /*reference*/, const std::string& /*auth*/) {
    return unsupported("this store asks no registry");
  }
  // Code::unauthorized if the registry does not take these credentials.
  virtual Result<> log_in(const std::string& /*server*/, const std::string& /*auth*/) {
    return unsupported("this store asks no registry");
  }
  // All tags that the registry has of a repository.
  virtual Result<std::vector<std::string>> remote_tags(const std::string& /*repository*/, const std::string& /*auth*/) {
    return unsupported("this store asks no registry");
  }

  // For the builder and commit: turns a directory in overlay upper form (char 0:0 whiteouts, trusted.overlay.opaque)
  // into a layer on top of `parent_chain` ("" = none). The directory is taken (renamed away) when possible.
  struct NewLayer {
    std::string diff_id;
    std::string chain_id;
    uint64_t size = 0;
    std::shared_ptr<void> hold;  // keeps the layer from being deleted until an image or the cache refers to it
  };
  virtual Result<NewLayer> add_layer(const std::string& parent_chain, const std::filesystem::path& upper) = 0;
  // Registers an image from a finished config document. All its layers must be here.
  virtual Result<ImageId> add_image(const std::string& config_json, const std::string& parent) = 0;
  // As layers(), by chain id, for half-built images. "" gives one empty directory.
  virtual Result<Layers> layers_of_chain(const std::string& chain_id) = 0;

  // Small key/value table for the builder's cache: key → value, last use kept for pruning. The layers of a value whose
  // first word is a chain id are kept while the entry lives, whether an image has them or not.
  virtual std::optional<std::string> cache_get(const std::string& key) = 0;
  virtual Result<> cache_put(const std::string& key, const std::string& value) = 0;
  // Forgets cache entries and deletes the layers that only they needed, never what images or builds use. Returns the
  // bytes that became free.
  struct CachePrune {
    std::optional<WallTime> unused_since;  // only those that nobody has used since
    std::optional<uint64_t> keep_bytes;    // the least recently used first, until the rest takes no more than this
  };
  virtual Result<uint64_t> prune_cache(const CachePrune& /*prune*/) { return uint64_t{0}; }
  // What the layers take that are here for cache entries only.
  virtual Result<uint64_t> cache_bytes() { return uint64_t{0}; }

  // Build caches elsewhere: see remote_cache.h. Blocking.
  virtual Result<std::shared_ptr<RemoteCache>> open_cache(const CachePlace&, const CancelCheck&) {
    return unsupported("this store reads no caches");
  }
  virtual Result<> write_cache(const CachePlace&, const std::vector<CachedStep>&, const CancelCheck&) {
    return unsupported("this store writes no caches");
  }
};

}  // namespace gantry::engine
