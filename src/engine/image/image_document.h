// An image's config document as a value: parsed from what a registry sent, rendered for what was built here.
// Format: OCI image-spec config.md, plus Docker's Healthcheck, OnBuild and Shell. Pure.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "engine/image/image_store.h"

namespace gantry::engine {

inline constexpr size_t kLargestConfig = size_t{16} << 20;

struct HistoryItem {
  std::string created;  // RFC 3339; may be empty
  std::string created_by;
  std::string author;
  std::string comment;
  bool empty_layer = false;
};

struct ImageDocument {
  ImageConfig config;
  std::string os;
  std::string architecture;
  std::string variant;
  std::string author;
  std::string comment;
  std::string created;  // RFC 3339; may be empty
  std::vector<std::string> diff_ids;
  std::vector<HistoryItem> history;
  // An inline build cache: the key of the step that made each layer, bottom first; "" = none. May be shorter.
  std::vector<std::string> cache_keys;
};

// Errors: Code::invalid, in particular for what is no image config (a Helm chart, an attestation).
Result<ImageDocument> parse_image_document(const std::string& json);
std::string render_image_document(const ImageDocument& document);

// The document as the store hands it out; names and sizes are left empty.
Image image_from(const ImageDocument& document, const std::string& json);

}  // namespace gantry::engine
