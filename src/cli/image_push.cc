#include "cli/image_push.h"

#include "cli/commands/commands.h"
#include "cli/image_pull.h"
#include "cli/image_transfers.h"

namespace gantry::cli {

namespace {

using compose::Progress;

Progress pushed_row(const std::string& reference) {
  return {.resource = Progress::Resource::image,
          .name = reference,
          .status = Progress::Status::done,
          .text = "Pushed",
          .details = {}};
}

Result<> push_one(client::ApiClient& api, const std::string& reference, const std::string& auth, ProgressView& view) {
  const auto name = split_reference(reference);
  TRY(push_image(api, name.repository, name.tag == "<none>" ? "latest" : name.tag, auth, view));
  return {};
}

}  // namespace

Result<std::map<std::string, Error>> push_images(Session& session, const std::vector<std::string>& references,
                                                 ProgressView& view) {
  if (session.globals().dry_run) {
    for (const std::string& reference : references) view.show(pushed_row(reference));
    return std::map<std::string, Error>();
  }
  return transfer_images(session, references,
                         [&view](client::ApiClient& api, const std::string& reference, const std::string& auth) {
                           return push_one(api, reference, auth, view);
                         });
}

}  // namespace gantry::cli
