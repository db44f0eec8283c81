#include <nlohmann/json.hpp>

#include "cli/api_extra.h"
#include "cli/json_view.h"

namespace gantry::cli {

Result<std::string> parse_distribution(std::string_view text) {
  const Json json = TRY(parsed(text));
  std::string digest = View(&json)["Descriptor"]["digest"].text();
  if (digest.empty()) return internal_error("the daemon's answer names no digest");
  return digest;
}

std::string transformation_body(const std::string& image, const std::vector<std::string>& binds,
                                const std::string& user) {
  nlohmann::ordered_json body = {{"Image", image}, {"HostConfig", {{"Binds", binds}, {"NetworkMode", "none"}}}};
  if (!user.empty()) body["User"] = user;
  return dumped(body);
}

std::string transformations_json(const std::vector<ImageRow>& rows) {
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const ImageRow& row : rows) list.push_back({{"Id", row.id}, {"RepoTags", row.tags}, {"Size", row.size}});
  return dumped(list) + "\n";
}

std::string artifact_body(const std::string& type, const std::string& oci_version,
                          const std::vector<ArtifactPart>& parts) {
  nlohmann::ordered_json body = {
      {"type", type}, {"oci_version", oci_version}, {"files", nlohmann::ordered_json::array()}};
  for (const ArtifactPart& part : parts) {
    body["files"].push_back(
        {{"media_type", part.media_type}, {"content", part.content}, {"annotations", part.annotations}});
  }
  return dumped(body);
}

std::string lease_body(const LeaseWish& lease) {
  return dumped({{"pid", lease.pid},
                 {"pid_started", lease.pid_started},
                 {"seconds", lease.seconds},
                 {"volumes", lease.volumes}});
}

}  // namespace gantry::cli
