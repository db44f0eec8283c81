// Manifests and indexes, OCI's and Docker's, as values, and the choice of a platform. Pure.
// Format: OCI image-spec manifest.md and image-index.md; Docker's "image manifest v2, schema 2".
#pragma once

#include <map>
#include <string>
#include <variant>
#include <vector>

#include "base/result.h"

namespace gantry::engine {

struct Platform {
  std::string os;
  std::string architecture;
  std::string variant;
  // "linux/arm64/v8", "arm64", "linux"; "" = this machine's. Names are normalised: x86_64 → amd64.
  static Result<Platform> parse(const std::string& text);
  static Platform of_host();
  std::string text() const;  // "linux/arm/v7"
  friend bool operator==(const Platform&, const Platform&) = default;
};

struct Descriptor {
  std::string media_type;
  std::string digest;
  uint64_t size = 0;
  std::optional<Platform> platform;  // in an index
  std::map<std::string, std::string> annotations;
};

struct Manifest {
  Descriptor config;
  std::vector<Descriptor> layers;  // bottom first
};

struct Index {
  std::vector<Descriptor> manifests;
};

using ManifestDocument = std::variant<Manifest, Index>;

inline constexpr const char* kDockerManifestType = "application/vnd.docker.distribution.manifest.v2+json";
inline constexpr const char* kOciManifestType = "application/vnd.oci.image.manifest.v1+json";
inline constexpr const char* kOciIndexType = "application/vnd.oci.image.index.v1+json";
inline constexpr size_t kLargestManifest = size_t{4} << 20;

// What to ask a registry for.
extern const char* const kManifestMediaTypes;

// `media_type`: what the sender called it ("" = not known); a document that is something else, or that could be read
// as both (CVE-2021-41190), is refused, and so is schema 1.
Result<ManifestDocument> parse_manifest(const std::string& json, const std::string& media_type);

// The best one: the exact variant, else a lower one that still runs there (amd64 v3 → v2 → v1, arm v7 → v6 → v5); the
// first of equals. Code::not_found: "no matching manifest for linux/amd64 in the manifest list entries".
Result<Descriptor> choose(const Index& index, const Platform& platform);

// docker-archive's manifest.json.
struct ArchivedImage {
  std::string config;  // names of members of the archive
  std::vector<std::string> tags;
  std::vector<std::string> layers;
};
Result<std::vector<ArchivedImage>> parse_archive_manifest(const std::string& json);

}  // namespace gantry::engine
