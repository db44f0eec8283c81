#include "cli/image_transfers.h"

#include <algorithm>
#include <atomic>
#include <mutex>
#include <thread>

#include "cli/credentials.h"

namespace gantry::cli {

namespace {

// Where --parallel sets no limit; the daemon moves several layers of each at a time.
constexpr size_t kParallelTransfers = 8;

}  // namespace

Result<std::map<std::string, Error>> transfer_images(Session& session, const std::vector<std::string>& images,
                                                     const ImageTransfer& transfer) {
  client::ApiClient* api = TRY(session.api());
  CredentialStore credentials(session.environment());
  std::vector<std::string> auths;
  for (const std::string& image : images) auths.push_back(TRY(credentials.header(registry_of(image))));
  const int limit = session.globals().parallel;
  const size_t workers = std::min(images.size(), limit > 0 ? static_cast<size_t>(limit) : kParallelTransfers);
  std::vector<std::unique_ptr<client::ApiClient>> connections;
  for (size_t i = 0; i < workers; ++i) connections.push_back(TRY(api->another()));
  std::atomic<size_t> next = 0;
  std::mutex mutex;
  std::map<std::string, Error> failures;
  std::vector<std::thread> threads;
  for (const auto& connection : connections) {
    threads.emplace_back([&, daemon = connection.get()] {
      for (size_t i; (i = next++) < images.size();) {
        auto result = transfer(*daemon, images[i], auths[i]);
        if (result.ok()) continue;
        std::lock_guard lock(mutex);
        failures.emplace(images[i], std::move(result).error());
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  return failures;
}

}  // namespace gantry::cli
