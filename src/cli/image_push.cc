#include "cli/image_push.h"

#include <algorithm>
#include <atomic>
#include <mutex>
#include <thread>

#include "cli/api_types.h"
#include "cli/commands/commands.h"
#include "cli/registry_auth.h"

namespace gantry::cli {

namespace {

using compose::Progress;

constexpr size_t kParallelPushes = 8;

Progress row(const std::string& reference, Progress::Status status, std::string text, std::string details = {}) {
  return {.resource = Progress::Resource::service,
          .name = reference,
          .status = status,
          .text = std::move(text),
          .details = std::move(details)};
}

Result<> push_image(client::ApiClient& api, const std::string& reference, ProgressView& view) {
  view.show(row(reference, Progress::Status::working, "Pushing"));
  const auto name = split_reference(reference);
  const std::string tag = name.tag == "<none>" ? "latest" : name.tag;
  std::string error;
  auto result = api.stream_lines("POST", image_path(name.repository, "push") + "?tag=" + client::url_encode(tag), "",
                                 [&](std::string_view line) {
                                   const auto message = parse_stream_message(line);
                                   if (message.ok() && !message->error.empty()) error = message->error;
                                   return true;
                                 });
  if (result.ok() && !error.empty()) result = internal_error(error);
  if (result.ok()) {
    view.show(row(reference, Progress::Status::done, "Pushed"));
    return {};
  }
  view.show(row(reference, Progress::Status::error, "Error", result.error().message()));
  return std::move(result).within("pushing " + reference);
}

}  // namespace

Result<std::map<std::string, Error>> push_images(Session& session, const std::vector<std::string>& references,
                                                 ProgressView& view) {
  if (session.globals().dry_run) {
    for (const std::string& reference : references) view.show(row(reference, Progress::Status::done, "Pushed"));
    return std::map<std::string, Error>();
  }
  client::ApiClient* api = TRY(session.api());
  std::vector<std::map<std::string, std::string>> headers;
  for (const std::string& reference : references) headers.push_back(TRY(registry_headers(session, reference)));
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
        daemon->set_headers(headers[i]);
        auto result = push_image(*daemon, references[i], view);
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
