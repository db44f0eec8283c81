#include "engine/image/artifact.h"

#include <cstring>
#include <nlohmann/json.hpp>

#include "engine/image/digest.h"
#include "engine/image/registry.h"

namespace gantry::engine {
namespace {

using OrderedJson = nlohmann::ordered_json;

constexpr const char* kManifestType = "application/vnd.oci.image.manifest.v1+json";
constexpr const char* kEmptyType = "application/vnd.oci.empty.v1+json";

OrderedJson descriptor(const std::string& media_type, const std::string& content) {
  return {{"mediaType", media_type}, {"digest", digest_of(content)}, {"size", content.size()}};
}

Result<> push_blob(Registry& registry, HttpClient& http, const std::string& content) {
  const std::string digest = digest_of(content);
  if (TRY(registry.has_blob(http, digest))) return {};
  const std::string place = TRY(registry.begin_upload(http, digest, ""));
  const HttpRequest::Upload upload{
      .size = content.size(), .read = [&content](uint64_t offset, std::span<char> into) -> Result<size_t> {
        const size_t size = std::min<size_t>(into.size(), content.size() - offset);
        std::memcpy(into.data(), content.data() + offset, size);
        return size;
      }};
  return registry.upload(http, place, digest, upload, {});
}

}  // namespace

ArtifactManifest manifest_of(const Artifact& artifact) {
  const std::string config = "{}";
  OrderedJson manifest = {{"schemaVersion", 2}, {"mediaType", kManifestType}};
  if (artifact.has_type_member) manifest["artifactType"] = artifact.type;
  manifest["config"] = descriptor(artifact.has_type_member ? std::string(kEmptyType) : artifact.type, config);
  manifest["layers"] = OrderedJson::array();
  for (const ArtifactFile& file : artifact.files) {
    OrderedJson layer = descriptor(file.media_type, file.content);
    if (!file.annotations.empty()) layer["annotations"] = file.annotations;
    manifest["layers"].push_back(std::move(layer));
  }
  return {.text = manifest.dump(), .media_type = kManifestType, .config = config};
}

Result<std::string> push_artifact(const std::string& reference, const Artifact& artifact, const std::string& auth,
                                  const RegistrySettings& settings) {
  const Reference parsed = TRY(Reference::parse(reference));
  if (!parsed.digest.empty()) return invalid(gantry::quoted(reference) + ": an artifact is pushed to a tag, not to a digest");
  const auto registry = TRY(Registry::open(parsed, auth, settings, Registry::Access::push));
  const ArtifactManifest manifest = manifest_of(artifact);
  HttpClient http;
  TRY(push_blob(*registry, http, manifest.config));
  for (const ArtifactFile& file : artifact.files) TRY(push_blob(*registry, http, file.content));
  TRY(registry->put_manifest(http, parsed.tag, manifest.media_type, manifest.text));
  return digest_of(manifest.text);
}

}  // namespace gantry::engine
