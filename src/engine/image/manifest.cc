#include "engine/image/manifest.h"

#include <sys/utsname.h>

#include <nlohmann/json.hpp>

#include "base/strings.h"
#include "engine/image/digest.h"
#include "engine/json_members.h"

namespace gantry::engine {
namespace {

using Json = nlohmann::json;

constexpr const char* kDockerManifest = "application/vnd.docker.distribution.manifest.v2+json";
constexpr const char* kDockerList = "application/vnd.docker.distribution.manifest.list.v2+json";
constexpr const char* kOciManifest = "application/vnd.oci.image.manifest.v1+json";
constexpr const char* kOciIndex = "application/vnd.oci.image.index.v1+json";
constexpr size_t kMostDescriptors = 1000;

Platform normalised(Platform platform) {
  platform.os = to_lower(platform.os);
  platform.architecture = to_lower(platform.architecture);
  platform.variant = to_lower(platform.variant);
  std::string& architecture = platform.architecture;
  if (architecture == "x86_64" || architecture == "x86-64") architecture = "amd64";
  if (architecture == "i386" || architecture == "i686") architecture = "386";
  if (architecture == "aarch64") architecture = "arm64";
  if (architecture == "armhf") platform = {.os = platform.os, .architecture = "arm", .variant = "v7"};
  if (architecture == "armel") platform = {.os = platform.os, .architecture = "arm", .variant = "v6"};
  if (platform.os == "macos") platform.os = "darwin";
  if (platform.architecture == "arm64" && (platform.variant == "v8" || platform.variant == "8")) platform.variant = "";
  if (platform.architecture == "amd64" && platform.variant == "v1") platform.variant = "";
  if (platform.architecture == "arm") {
    if (platform.variant.empty()) platform.variant = "v7";
    if (platform.variant.front() != 'v') platform.variant.insert(0, "v");
  }
  return platform;
}

// "v7" → 7, "" → 1 for amd64; 0: no number.
int variant_level(const Platform& platform) {
  if (platform.variant.empty()) return platform.architecture == "arm64" ? 8 : 1;
  const std::optional<uint64_t> level = parse_unsigned(std::string_view(platform.variant).substr(1));
  return platform.variant.front() == 'v' && level.has_value() && *level < 100 ? static_cast<int>(*level) : 0;
}

// How well `offered` runs on `wanted`: higher is better, negative not at all.
int fitness(const Platform& offered, const Platform& wanted) {
  if (offered.os != wanted.os || offered.architecture != wanted.architecture) return -1;
  const int level = variant_level(offered);
  return level > variant_level(wanted) ? -1 : level;
}

Result<Descriptor> parse_descriptor(const Json& value) {
  if (!value.is_object()) return invalid("manifest: a descriptor is no object");
  Descriptor descriptor{.media_type = text_member(value, "mediaType"), .digest = text_member(value, "digest")};
  if (!is_sha256_digest(descriptor.digest)) {
    return invalid("manifest: unsupported digest " + gantry::quoted(descriptor.digest));
  }
  const auto size = value.find("size");
  if (size == value.end() || !size->is_number_unsigned()) return invalid("manifest: a descriptor without a size");
  descriptor.size = size->get<uint64_t>();
  const auto platform = value.find("platform");
  if (platform != value.end() && platform->is_object()) {
    descriptor.platform = normalised({.os = text_member(*platform, "os"),
                                      .architecture = text_member(*platform, "architecture"),
                                      .variant = text_member(*platform, "variant")});
  }
  const auto annotations = value.find("annotations");
  if (annotations != value.end() && annotations->is_object()) {
    for (const auto& [key, item] : annotations->items()) {
      if (item.is_string()) descriptor.annotations.emplace(key, item.get<std::string>());
    }
  }
  return descriptor;
}

Result<std::vector<Descriptor>> parse_descriptors(const Json& list) {
  if (!list.is_array()) return invalid("manifest: no list of descriptors");
  if (list.size() > kMostDescriptors) return invalid("manifest: too many entries");
  std::vector<Descriptor> descriptors;
  for (const Json& item : list) descriptors.push_back(TRY(parse_descriptor(item)));
  return descriptors;
}

}  // namespace

const char* const kManifestMediaTypes =
    "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, "
    "application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.docker.distribution.manifest.v2+json";

Result<Platform> Platform::parse(const std::string& text) {
  if (text.empty()) return of_host();
  const std::vector<std::string> parts = split(text, '/');
  const auto is_word = [](const std::string& part) {
    return !part.empty() &&
           part.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-") ==
               std::string::npos;
  };
  if (parts.size() > 3 || !std::all_of(parts.begin(), parts.end(), is_word)) {
    return invalid(gantry::quoted(text) + ": invalid platform: use os/architecture/variant, as linux/arm64");
  }
  Platform platform = of_host();
  if (parts.size() == 1) {
    const std::string word = to_lower(parts[0]);
    if (word == "linux" || word == "windows" || word == "darwin" || word == "freebsd") {
      platform.os = word;
    } else {
      platform.architecture = word;
      platform.variant.clear();
    }
  } else {
    platform = {.os = parts[0], .architecture = parts[1], .variant = parts.size() == 3 ? parts[2] : ""};
  }
  return normalised(platform);
}

Platform Platform::of_host() {
  struct utsname name {};
  uname(&name);
  Platform platform = normalised({.os = "linux", .architecture = name.machine});
  if (platform.architecture.starts_with("armv")) platform = normalised({.os = "linux", .architecture = "arm"});
  return platform;
}

std::string Platform::text() const { return os + "/" + architecture + (variant.empty() ? "" : "/" + variant); }

Result<ManifestDocument> parse_manifest(const std::string& json, const std::string& media_type) {
  const Json root = Json::parse(json, nullptr, false);
  if (!root.is_object()) return invalid("manifest is no JSON object");
  const bool has_manifests = root.contains("manifests");
  const bool has_layers = root.contains("layers") || root.contains("config") || root.contains("fsLayers");
  if (has_manifests && has_layers) return invalid("manifest could be read as an index, too: refused (CVE-2021-41190)");
  const std::string own_type = text_member(root, "mediaType");
  if (!own_type.empty() && !media_type.empty() && media_type != "application/json" && own_type != media_type) {
    return invalid("manifest calls itself " + own_type + ", but was sent as " + media_type);
  }
  const auto version = root.find("schemaVersion");
  if ((version != root.end() && *version == 1) || root.contains("fsLayers")) {
    return unsupported(
        "[DEPRECATION NOTICE] Docker Image Format v1 and Docker Image manifest version 2, schema 1 "
        "support has been removed. Ask the image's author to upgrade it to schema 2 or OCI");
  }
  const std::string type = !own_type.empty() ? own_type : media_type;
  const bool says_index = type == kOciIndex || type == kDockerList;
  const bool says_manifest = type == kOciManifest || type == kDockerManifest;
  if ((says_index && !has_manifests) || (says_manifest && has_manifests)) {
    return invalid("manifest is not what its media type says: " + type);
  }
  if (has_manifests) return {Index{.manifests = TRY(parse_descriptors(root["manifests"]))}};
  if (!root.contains("config") || !root.contains("layers")) return invalid("manifest without config or layers");
  Manifest manifest;
  manifest.config = TRY(parse_descriptor(root["config"]));
  manifest.layers = TRY(parse_descriptors(root["layers"]));
  return {std::move(manifest)};
}

Result<Descriptor> choose(const Index& index, const Platform& platform) {
  const Descriptor* best = nullptr;
  int best_fitness = -1;
  for (const Descriptor& descriptor : index.manifests) {
    // Entries without a platform stand in indexes of one image.
    if (!descriptor.platform.has_value() && index.manifests.size() == 1) return descriptor;
    if (!descriptor.platform.has_value()) continue;
    const int fits = fitness(*descriptor.platform, platform);
    if (fits > best_fitness) {
      best = &descriptor;
      best_fitness = fits;
    }
  }
  if (best != nullptr) return *best;
  return not_found("no matching manifest for " + platform.text() + " in the manifest list entries");
}

Result<std::vector<ArchivedImage>> parse_archive_manifest(const std::string& json) {
  const Json root = Json::parse(json, nullptr, false);
  if (!root.is_array()) return invalid("manifest.json is no JSON list");
  std::vector<ArchivedImage> images;
  for (const Json& item : root) {
    if (!item.is_object()) return invalid("manifest.json: an entry is no object");
    ArchivedImage image{.config = text_member(item, "Config")};
    const auto take = [&](const char* key, std::vector<std::string>& into) -> Result<> {
      const auto found = item.find(key);
      if (found == item.end() || found->is_null()) return {};
      if (!found->is_array()) return invalid("manifest.json: " + std::string(key) + " is no list");
      for (const Json& name : *found) {
        if (!name.is_string())
          return invalid("manifest.json: " + std::string(key) + " holds something else than names");
        into.push_back(name.get<std::string>());
      }
      return {};
    };
    TRY(take("RepoTags", image.tags));
    TRY(take("Layers", image.layers));
    images.push_back(std::move(image));
  }
  return images;
}

}  // namespace gantry::engine
