// /containers/{id}/{logs,attach,wait}: answers that last as long as the container, or longer.
#include <sys/resource.h>
#include <sys/socket.h>

#include <nlohmann/json.hpp>

#include "base/scope_exit.h"
#include "base/strings.h"
#include "daemon/docker/answers.h"
#include "daemon/docker/events.h"
#include "daemon/docker/lookups.h"
#include "daemon/docker/routes.h"
#include "daemon/event_hub.h"
#include "daemon/hang_up.h"
#include "daemon/relay.h"
#include "daemon/waiting.h"
#include "engine/container/log_reader.h"

namespace gantry::daemon::docker {
namespace {

using engine::ContainerDetails;
using engine::ContainerState;
using nlohmann::json;

constexpr size_t kMaxBatch = 64 * 1024;

std::string_view stream_type(bool tty) {
  return tty ? "application/vnd.docker.raw-stream" : "application/vnd.docker.multiplexed-stream";
}

struct LogRequest {
  bool out = false;
  bool err = false;
  bool timestamps = false;
  bool details = false;
  engine::LogReadOptions options;

  static Result<LogRequest> parse(const Query& query) {
    LogRequest request{.out = query.flag("stdout"),
                       .err = query.flag("stderr"),
                       .timestamps = query.flag("timestamps"),
                       .details = query.flag("details"),
                       .options = {}};
    if (!request.out && !request.err) return invalid("Bad parameters: you must choose at least one stream");
    request.options.follow = query.flag("follow");
    request.options.tail = parse_unsigned(query.get("tail"));  // "all", "-1" and nonsense are all of it
    request.options.since = TRY(parse_unix_time(query.get("since")));
    request.options.until = TRY(parse_unix_time(query.get("until")));
    return request;
  }

  // The entry as it goes out: nothing if its stream is not wanted.
  std::string render(const engine::LogEntry& entry, bool tty) const {
    const bool is_err = entry.stream == engine::LogStream::err;
    if (is_err ? !err : !out) return {};
    std::string text;
    if (timestamps) text += format_rfc3339_fixed(entry.time) + " ";
    if (details) text += entry.attributes + " ";
    text += entry.text;
    return tty ? text : frame(is_err ? Stream::err : Stream::out, text);
  }
};

// Gives way to short requests while it lives: hundreds of followers of a busy log would take every processor.
// setpriority(2) of 0 means the calling thread, on Linux.
class LowPriority {
 public:
  LowPriority() { ::setpriority(PRIO_PROCESS, 0, before_ + 10); }
  ~LowPriority() { ::setpriority(PRIO_PROCESS, 0, before_); }  // without the right to, the connection stays behind
  LowPriority(const LowPriority&) = delete;

 private:
  int before_ = ::getpriority(PRIO_PROCESS, 0);
};

// A reader that ends when the container does: the event is subscribed to and the state read in one step on the loop,
// so that no end falls between the two.
class FollowedLog {
 public:
  static Result<std::unique_ptr<FollowedLog>> open(World& world, const std::string& reference,
                                                   engine::LogReadOptions options) {
    auto log = std::unique_ptr<FollowedLog>(new FollowedLog(world));
    TRY(world.loop.ask([&]() -> Result<> {
      const ContainerId id = TRY(world.engine.find_container(reference));
      log->container_ = TRY(world.engine.inspect_container(id));
      if (log->container_.log_path.empty()) return unsupported("configured logging driver does not support reading");
      const ContainerState state = log->container_.observed.state;
      options.follow = options.follow && (state == ContainerState::running || state == ContainerState::paused);
      log->reader_ = TRY(engine::open_log(log->container_.log_path, options));
      if (options.follow) log->watch_end(id);
      return {};
    }));
    return log;
  }
  ~FollowedLog() {
    if (subscriber_ != 0) world_.loop.ask([this] { world_.events.unsubscribe(subscriber_); });
  }

  const ContainerDetails& container() const { return container_; }
  engine::LogReader& reader() { return *reader_; }

 private:
  explicit FollowedLog(World& world) : world_(world) {}

  void watch_end(const ContainerId& id) {
    subscriber_ = world_.events.subscribe([this, id](const engine::Event& event) {
      const bool ended = event.action == "die" || event.action == "destroy";
      if (ended && event.type == engine::Event::Type::container && event.actor_id == id.str()) reader_->finish();
    });
  }

  World& world_;
  ContainerDetails container_;
  std::unique_ptr<engine::LogReader> reader_;
  EventHub::SubscriberId subscriber_ = 0;
};

Result<> logs(Exchange& exchange, const Call& call, World& world) {
  const LogRequest request = TRY(LogRequest::parse(call.query));
  const std::unique_ptr<FollowedLog> log = TRY(FollowedLog::open(world, call["id"], request.options));
  const bool tty = log->container().spec.tty;
  TRY(exchange.begin(200, call.version >= ApiVersion{1, 42} ? stream_type(tty) : ""));
  const HangUpWatcher::Watch watch(world.hang_ups, exchange.socket(), [&] { log->reader().stop(); });
  const LowPriority low;
  std::string batch;
  for (;;) {
    const std::optional<engine::LogEntry> entry = TRY(log->reader().next());
    if (!entry) break;
    batch += request.render(*entry, tty);
    if (batch.size() < kMaxBatch && log->reader().is_ready()) continue;
    TRY(exchange.write(std::exchange(batch, {})));
  }
  return exchange.end();
}

// How a client is attached.
struct AttachRequest {
  bool in = false;
  bool out = false;
  bool err = false;
  bool stream = false;
  bool logs = false;
};

Result<> replay_log(const ContainerDetails& container, const AttachRequest& wanted, int socket) {
  const LogRequest request{.out = wanted.out, .err = wanted.err};
  const std::unique_ptr<engine::LogReader> reader = TRY(engine::open_log(container.log_path, {}));
  for (;;) {
    const std::optional<engine::LogEntry> entry = TRY(reader->next());
    if (!entry) return {};
    TRY(http::send_all(socket, request.render(*entry, container.spec.tty)));
  }
}

Relay::End run_attached(const ContainerDetails& container, const AttachRequest& wanted, Exchange::Hijacked client,
                        Fd stdio, DetachKeys& keys) {
  FrameFilter filter(wanted.out, wanted.err);
  const bool tty = container.spec.tty;
  const bool takes_input = wanted.in && container.spec.open_stdin;
  Relay relay;
  relay.client = client.socket;
  relay.read_ahead = std::move(client.read_ahead);
  relay.outputs.push_back({.fd = stdio.get(), .transform = {}});
  if (!tty && !(wanted.out && wanted.err)) {
    relay.outputs.back().transform = [&filter](std::string_view bytes) { return filter.pass(bytes); };
  }
  if (takes_input) {
    relay.input = stdio.get();
    if (container.spec.stdin_once && !tty) {
      relay.end_input = [&stdio] { ::shutdown(stdio.get(), SHUT_WR); };
    } else {
      relay.end_with_input = true;
    }
  }
  if (tty) relay.detach_keys = &keys;
  return relay.run();
}

void emit(World& world, const ContainerDetails& container, const char* action) {
  world.loop.post([&world, id = container.observed.id, action] { world.engine.emit_about(id, action, {}); });
}

Result<ContainerDetails> find_attachable(World& world, const std::string& reference) {
  ContainerDetails container = TRY(inspect_container(world, reference));
  if (container.observed.state == ContainerState::paused) {
    return conflict("container " + reference + " is paused, unpause the container before attach");
  }
  if (container.observed.state == ContainerState::restarting) {
    return conflict("container " + reference + " is restarting, wait until the container is running");
  }
  return container;
}

// Errors before the connection is handed over are not JSON here, but raw text (spec of the attach call).
Result<> refuse_attach(Exchange& exchange, const Error& error) {
  const int status = status_of(error.code());
  const char* reason = status == 404   ? "Not Found"
                       : status == 409 ? "Conflict"
                       : status == 400 ? "Bad Request"
                                       : "Error";
  return exchange.send_raw_error(std::to_string(status) + " " + reason, error.message());
}

Result<> attach(Exchange& exchange, const Call& call, World& world) {
  TRY(exchange.read_body(kMaxJsonBody));  // some clients send their options again; they are not the program's input
  const AttachRequest wanted{.in = call.query.flag("stdin"),
                             .out = call.query.flag("stdout"),
                             .err = call.query.flag("stderr"),
                             .stream = call.query.flag("stream"),
                             .logs = call.query.flag("logs")};
  Result<DetachKeys> keys = DetachKeys::parse(call.query.get("detachKeys"));
  if (!keys.ok()) return refuse_attach(exchange, keys.error());
  const Result<ContainerDetails> container = find_attachable(world, call["id"]);
  if (!container.ok()) return refuse_attach(exchange, container.error());
  Fd stdio;
  if (wanted.stream) {
    // Attached before the answer is sent: a client that starts the container after it misses nothing.
    Result<Fd> attached = await<Fd>(exchange, world.loop, [&world, id = container->observed.id](auto reply) mutable {
      world.engine.attach(id, std::move(reply));
    });
    if (!attached.ok()) return refuse_attach(exchange, attached.error());
    stdio = std::move(*attached);
  }
  const bool multiplexed = !container->spec.tty && call.version >= ApiVersion{1, 42};
  emit(world, *container, "attach");
  Exchange::Hijacked client = TRY(exchange.hijack(stream_type(!multiplexed)));
  if (wanted.logs && !container->log_path.empty()) TRY(replay_log(*container, wanted, client.socket));
  if (!stdio) return {};
  const Relay::End end = run_attached(*container, wanted, std::move(client), std::move(stdio), *keys);
  if (end == Relay::End::detached) emit(world, *container, "detach");
  return {};
}

Result<engine::WaitCondition> wait_condition(const std::string& text) {
  if (text.empty() || text == "not-running") return engine::WaitCondition::not_running;
  if (text == "next-exit") return engine::WaitCondition::next_exit;
  if (text == "removed") return engine::WaitCondition::removed;
  return invalid("invalid condition: " + gantry::quoted(text));
}

Result<> wait(Exchange& exchange, const Call& call, World& world) {
  const engine::WaitCondition condition = TRY(wait_condition(call.query.get("condition")));
  auto pending = std::make_shared<Pending<engine::WaitResult>>();
  // Registered before the head goes out: clients start the container as soon as they see it.
  TRY(world.loop.ask([&]() -> Result<> {
    const ContainerId id = TRY(world.engine.find_container(call["id"]));
    world.engine.wait_container(id, condition, PendingReply<engine::WaitResult>(pending));
    return {};
  }));
  TRY(exchange.begin(200, kJson));
  if (!wait_for(pending->bell(), exchange.socket(), Gone::half_closed)) return {};
  const Result<engine::WaitResult> result = *pending->take();
  json answer = {{"StatusCode", result.ok() ? result->exit_code : 0}};
  const std::string failure = result.ok() ? result->error : result.error().message();
  if (!failure.empty()) answer["Error"] = {{"Message", failure}};
  TRY(exchange.write(to_line(answer)));
  return exchange.end();
}

}  // namespace

void add_container_stream_routes(Router& router, World& world) {
  router.add("GET", "/containers/{id}/logs",
             [&world](Exchange& exchange, const Call& call) { return logs(exchange, call, world); });
  router.add("POST", "/containers/{id}/attach",
             [&world](Exchange& exchange, const Call& call) { return attach(exchange, call, world); });
  router.add("POST", "/containers/{id}/wait",
             [&world](Exchange& exchange, const Call& call) { return wait(exchange, call, world); });
}

}  // namespace gantry::daemon::docker
