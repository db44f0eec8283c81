#include "cli/stream_hub.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "cli/commands/commands.h"
#include "cli/operation.h"

namespace gantry::cli {

std::string log_path(const std::string& container, const LogRequest& request) {
  return container_path(container, "logs") + log_query(request);
}

std::string log_query(const LogRequest& request) {
  std::string path = "?stdout=1&stderr=1";
  if (request.follow) path += "&follow=1";
  if (request.timestamps) path += "&timestamps=1";
  if (!request.tail.empty()) path += "&tail=" + client::url_encode(request.tail);
  if (!request.since.empty()) path += "&since=" + request.since;
  if (!request.until.empty()) path += "&until=" + request.until;
  if (request.details) path += "&details=1";
  return path;
}

Result<> read_log(client::ApiClient& api, const std::string& container, bool tty, const LogRequest& request,
                  const LineSplitter::Receiver& receive) {
  return read_log_at(api, container_path(container, "logs"), tty, request, receive);
}

Result<> read_log_at(client::ApiClient& api, const std::string& path, bool tty, const LogRequest& request,
                     const LineSplitter::Receiver& receive) {
  LineSplitter lines([&](StreamKind kind, std::string_view line) {
    if (tty && line.ends_with('\r')) line.remove_suffix(1);
    receive(kind, line);
  });
  FrameReader frames(tty, [&lines](StreamKind kind, std::string_view bytes) { lines.add(kind, bytes); });
  bool intact = true;
  TRY(api.stream_bytes("GET", path + log_query(request), "", [&](std::string_view bytes) { return intact = frames.add(bytes); }));
  lines.finish();
  if (!intact) return internal_error(path + " is no stream of a container");
  return {};
}

StreamHub::~StreamHub() {
  for (const auto& stream : streams_) {
    if (!stream->ended) stream->api->interrupt();
  }
  for (const auto& stream : streams_) stream->thread.join();
}

void StreamHub::join_ended() {
  const auto ended = std::partition(streams_.begin(), streams_.end(), [](const auto& s) { return !s->ended; });
  for (auto stream = ended; stream != streams_.end(); ++stream) (*stream)->thread.join();
  streams_.erase(ended, streams_.end());
}

Result<uint64_t> StreamHub::open(std::function<void(client::ApiClient&, uint64_t number)> read) {
  join_ended();
  auto stream = std::make_unique<Stream>();
  stream->api = TRY(api_.another());
  stream->number = ++last_number_;
  stream->thread = std::thread([stream = stream.get(), read = std::move(read)] {
    read(*stream->api, stream->number);
    stream->ended = true;
  });
  streams_.push_back(std::move(stream));
  return last_number_;
}

void StreamHub::cancel(OperationNumber operation) {
  for (const auto& stream : streams_) {
    if (stream->number == operation && !stream->ended) stream->api->interrupt();
  }
}

Result<> StreamHub::follow_log(const std::string& container, bool tty, const LogRequest& request) {
  TRY(open([this, container, tty, request](client::ApiClient& api, uint64_t) {
    const auto result = read_log(api, container, tty, request, [&](StreamKind kind, std::string_view line) {
      messages_.put(LogLine{.container = container, .kind = kind, .text = std::string(line)});
    });
    messages_.put(LogEnded{.container = container, .problem = result.ok() ? "" : result.error().message()});
  }));
  return {};
}

Result<> StreamHub::watch_events(const std::string& filters) {
  const auto begun = std::make_shared<Mailbox<bool>>();
  TRY(open([this, path = "/events?filters=" + filters, begun](client::ApiClient& api, uint64_t) {
    const auto on_line = [this](std::string_view line) {
      auto event = parse_event(line);
      if (event.ok()) messages_.put(std::move(event).value());
      return true;
    };
    const auto begin = [&begun, is_awaited = true]() mutable {
      if (std::exchange(is_awaited, false)) begun->put(true);
    };
    const auto result = api.stream_lines("GET", path, "", on_line, begin);
    begun->put(true);  // however it went
    messages_.put(EventsEnded{.problem = result.ok() ? "" : result.error().message()});
  }));
  begun->take();
  return {};
}

Result<StreamHub::OperationNumber> StreamHub::run_operation(const std::string& method, const std::string& path,
                                                            const std::string& body) {
  return open([this, method, path, body](client::ApiClient& api, uint64_t number) {
    auto outcome = follow_operation(api, method, path, body,
                                    [this](const compose::Progress& progress) { messages_.put(progress); });
    if (!outcome.ok()) {
      outcome = compose::Outcome{.ok = false, .message = outcome.error().message(), .exit_code = 1};
    }
    messages_.put(OperationEnded{.number = number, .outcome = std::move(outcome).value()});
  });
}

}  // namespace gantry::cli
