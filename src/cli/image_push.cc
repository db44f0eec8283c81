#include "cli/image_push.h"

#include <algorithm>
#include <atomic>
#include <mutex>
#include <thread>

#include "cli/api_types.h"
#include "cli/commands/commands.h"
#include "cli/credentials.h"
#include "cli/image_pull.h"

namespace gantry::cli {

namespace {

using compose::Progress;

constexpr size_t kParallelPushes = 8;

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
  client::ApiClient* api = TRY(session.api());
  CredentialStore credentials(session.environment());
  std::vector<std::string> auths;
  for (const std::string& reference : references) auths.push_back(TRY(credentials.header(registry_of(reference))));
  const int limit = session.globals().parallel;
  const size_t workers = std::min(references.size(), limit > 0 ? static_cast<size_t>(limit) : kParallelPushes);
  std::vector<std::unique_ptr<client::ApiClient>> connections;
  for (size_t i = 0; i < workers; ++i) connections.push_back(TRY(api->another()));
  std::atomic<size_t> next = 0;
  std::mutex mutex;
  std::map<std::string, Error> failures;
  std::vector<std::thread> threads;
  for (const auto& connection : connections) {
    threads.emplace_back([&, daemon = connection.get()] {
      for (size_t i; (i = next++) < references.size();) {
        auto result = push_one(*daemon, references[i], auths[i], view);
        if (result.ok()) continue;
        std::lock_guard lock(mutex);
        failures.emplace(references[i], std::move(result).error());
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  return failures;
}

}  // namespace gantry::cli
