// images.db: which layers, images, names and cache entries there are. Files are truth for content, this for existence:
// what has no row is left over and gets removed at the next start.
//
// Guarded by the store's mutex. When a call has returned, what it wrote survives `kill -9` (WAL). Errors name the file.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "base/function.h"
#include "base/result.h"

struct sqlite3;

namespace gantry::engine {

struct LayerRow {
  std::string chain;  // chain id: names the directory
  std::string diff_id;
  std::string parent;  // chain id below, "" = none
  uint64_t size = 0;
  // The boot in which it was written, until its files have been synced: after a power cut they may be incomplete.
  std::string unsynced_boot;
};

// The compressed form that a layer came in.
struct LayerBlobRow {
  std::string diff_id;
  std::string digest;
  std::string media_type;
  uint64_t size = 0;
};

struct ImageRow {
  std::string id;  // its config is the blob of that digest
  std::string parent;
  int64_t tagged_ns = 0;
  std::vector<std::string> blobs;  // manifests and indexes it came with
};

struct NameRow {
  std::string name;  // canonical: "docker.io/library/x:tag", "docker.io/library/x@sha256:…"
  std::string image;
};

class ImageDatabase {
 public:
  static Result<std::unique_ptr<ImageDatabase>> open(const std::filesystem::path& file);
  ~ImageDatabase();
  ImageDatabase(const ImageDatabase&) = delete;

  // Until now what was written survives `kill -9`; from now on also a power cut. Takes no part in the guard.
  Result<> sync() const;
  // All of the writes in `change`, or none.
  Result<> transaction(Function<Result<>()> change);

  Result<std::vector<LayerRow>> layers();
  Result<std::vector<LayerBlobRow>> layer_blobs();
  Result<std::vector<ImageRow>> images();
  Result<std::vector<NameRow>> names();

  Result<> save(const LayerRow& row);
  Result<> save(const LayerBlobRow& row);
  Result<> save(const ImageRow& row);
  Result<> save(const NameRow& row);
  Result<> mark_synced(const std::string& chain);
  Result<> remove_layer(const std::string& chain);
  Result<> remove_layer_blob(const std::string& diff_id);
  Result<> remove_image(const std::string& id);
  Result<> remove_name(const std::string& name);

  Result<std::optional<std::string>> cache_get(const std::string& key, int64_t now_ns);
  Result<> cache_put(const std::string& key, const std::string& value, int64_t now_ns);
  Result<> cache_remove(const std::string& key);
  struct CacheRow {
    std::string key;
    std::string value;
    int64_t used_ns = 0;
  };
  Result<std::vector<CacheRow>> cache();  // least recently used first

 private:
  explicit ImageDatabase(std::filesystem::path file) : file_(std::move(file)) {}
  using Row = std::vector<std::string>;
  Result<std::vector<Row>> run(const char* sql, std::initializer_list<std::string_view> values = {});
  Result<> write(const char* sql, std::initializer_list<std::string_view> values = {});
  Error error(std::string_view doing) const;

  std::filesystem::path file_;
  sqlite3* connection_ = nullptr;
};

}  // namespace gantry::engine
