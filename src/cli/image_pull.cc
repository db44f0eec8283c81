#include "cli/image_pull.h"

#include <vector>

#include "base/scope_exit.h"
#include "cli/api_types.h"
#include "cli/commands/commands.h"
#include "cli/credentials.h"
#include "cli/image_transfers.h"

namespace gantry::cli {

namespace {

using compose::Progress;

bool ends_a_layer(std::string_view status) {
  return status == "Pull complete" || status == "Already exists" || status == "Download complete" ||
         status == "Pushed" || status == "Layer already exists" || status.starts_with("Mounted from ");
}

Progress layer_progress(const std::string& image, const StreamMessage& message) {
  return {.resource = Progress::Resource::image,
          .name = image,
          .status = ends_a_layer(message.status) ? Progress::Status::done : Progress::Status::working,
          .text = message.status,
          .details = message.total == 0 ? "" : human_size(message.current),
          .current = message.current,
          .total = message.total,
          .layer = message.id};
}

}  // namespace

Result<> pull_image(client::ApiClient& api, const std::string& image, const std::string& platform,
                    const std::string& auth, ProgressView& view) {
  const auto tell = [&](Progress::Status status, const char* text, const std::string& details = {}) {
    view.show(
        {.resource = Progress::Resource::image, .name = image, .status = status, .text = text, .details = details});
  };
  tell(Progress::Status::working, "Pulling");
  std::string path = "/images/create?fromImage=" + client::url_encode(image);
  const bool has_tag = image.find('@') != std::string::npos || split_reference(image).tag != "<none>";
  if (!has_tag) path += "&tag=latest";
  if (!platform.empty()) path += "&platform=" + client::url_encode(platform);
  std::string error;
  api.set_header("X-Registry-Auth", auth);
  const ScopeExit forget([&] { api.set_header("X-Registry-Auth", ""); });
  auto result = api.stream_lines("POST", path, "", [&](std::string_view line) {
    const auto message = parse_stream_message(line);
    if (!message.ok()) return true;
    if (!message->error.empty()) error = message->error;
    const bool is_header = message->status.starts_with("Pulling from");
    if (!message->id.empty() && !is_header) view.show(layer_progress(image, *message));
    return true;
  });
  if (result.ok() && !error.empty()) result = internal_error(error);
  if (result.ok()) {
    tell(Progress::Status::done, "Pulled");
    return {};
  }
  tell(Progress::Status::error, "Error", result.error().message());
  return std::move(result).within("pulling " + image);
}

Result<> pull_image(Session& session, const std::string& image, const std::string& platform, ProgressView& view) {
  client::ApiClient* api = TRY(session.api());
  CredentialStore credentials(session.environment());
  return pull_image(*api, image, platform, TRY(credentials.header(registry_of(image))), view);
}

Result<std::string> push_image(client::ApiClient& api, const std::string& repository, const std::string& tag,
                               const std::string& auth, ProgressView& view) {
  const std::string shown = tag.empty() ? repository : repository + ":" + tag;
  const auto tell = [&](Progress::Status status, const char* text, const std::string& details = {}) {
    view.show(
        {.resource = Progress::Resource::image, .name = shown, .status = status, .text = text, .details = details});
  };
  tell(Progress::Status::working, "Pushing");
  const std::string path = image_path(repository, "push") + (tag.empty() ? "" : "?tag=" + client::url_encode(tag));
  // Registries want the header even from those who have nothing to say in it.
  api.set_header("X-Registry-Auth", auth.empty() ? "e30=" : auth);
  const ScopeExit forget([&] { api.set_header("X-Registry-Auth", ""); });
  std::string error;
  std::string digest;
  auto result = api.stream_lines("POST", path, "", [&](std::string_view line) {
    const auto message = parse_stream_message(line);
    if (!message.ok()) return true;
    if (!message->error.empty()) error = message->error;
    if (!message->id.empty()) view.show(layer_progress(shown, *message));
    constexpr std::string_view kDigest = ": digest: ";
    const size_t at = message->status.find(kDigest);
    if (at != std::string::npos) digest = message->status.substr(at + kDigest.size(), 71);
    return true;
  });
  if (result.ok() && !error.empty()) result = internal_error(error);
  if (result.ok()) {
    tell(Progress::Status::done, "Pushed");
    return digest;
  }
  tell(Progress::Status::error, "Error", result.error().message());
  return std::move(result).error().within("pushing " + shown);
}

Result<std::map<std::string, Error>> pull_images(Session& session, const std::map<std::string, std::string>& images,
                                                 ProgressView& view) {
  if (session.globals().dry_run) {
    for (const auto& [image, platform] : images) {
      view.show({.resource = Progress::Resource::image, .name = image, .status = Progress::Status::done, .text = "Pulled"});
    }
    return std::map<std::string, Error>();
  }
  std::vector<std::string> references;
  for (const auto& [image, platform] : images) references.push_back(image);
  return transfer_images(session, references,
                         [&](client::ApiClient& api, const std::string& image, const std::string& auth) {
                           return pull_image(api, image, images.at(image), auth, view);
                         });
}

Result<> pull_private_images(Session& session, const compose::Project& project, const std::string& policy,
                             ProgressView& view) {
  client::ApiClient* api = TRY(session.api());
  CredentialStore credentials(session.environment());
  std::map<std::string, std::string> missing;
  std::map<std::string, bool> is_known;  // registries: each is looked up once, which may start a helper program
  for (const auto& [name, service] : project.services) {
    const std::string wanted = policy.empty() ? service.pull_policy : policy;
    if (service.image.empty() || service.build || wanted == "never" || wanted == "build") continue;
    const auto [registry, is_new] = is_known.try_emplace(registry_of(service.image));
    if (is_new) registry->second = !TRY(credentials.find(registry->first)).empty();
    if (!registry->second) continue;
    if (TRY(api->request("GET", image_path(service.image, "json"))).status == 200) continue;
    missing.try_emplace(service.image, service.platform);
  }
  if (missing.empty()) return {};
  const auto failures = TRY(pull_images(session, missing, view));
  if (failures.empty()) return {};
  return failures.begin()->second;
}

}  // namespace gantry::cli
