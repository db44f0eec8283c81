// /containers/{id}/{logs,attach,attach/ws,wait}: answers that last as long as the container, or longer.
#include <sys/socket.h>

#include <nlohmann/json.hpp>

#include "base/scope_exit.h"
#include "base/strings.h"
#include "daemon/docker/answers.h"
#include "daemon/docker/events.h"
#include "daemon/docker/log_request.h"
#include "daemon/docker/lookups.h"
#include "daemon/docker/routes.h"
#include "daemon/event_hub.h"
#include "daemon/hang_up.h"
#include "daemon/relay.h"
#include "daemon/waiting.h"
#include "daemon/websocket.h"
#include "engine/container/log_reader.h"

namespace gantry::daemon::docker {
namespace {

using engine::ContainerDetails;
using engine::ContainerState;
using nlohmann::json;

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

Result<> container_logs(Exchange& exchange, const Call& call, World& world) {
  const LogRequest request = TRY(LogRequest::parse(call.query));
  const std::unique_ptr<FollowedLog> log = TRY(FollowedLog::open(world, call["id"], request.options));
  const bool tty = log->container().spec.tty;
  TRY(exchange.begin(200, call.version >= ApiVersion{1, 42} ? log_content_type(tty) : ""));
  const HangUpWatcher::Watch watch(world.hang_ups, exchange.socket(), [&] { log->reader().stop(); });
  const LowPriority low;
  const engine::LogRendering rendering = request.rendering(tty);
  while (const std::shared_ptr<const std::string> text = TRY(log->reader().next_text(rendering))) {
    TRY(exchange.write(*text));
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

// What an attached client gets: frames of Docker's, the bytes of a terminal, or messages of a websocket with both
// streams in one.
class Wire {
 public:
  Wire(const ContainerDetails& container, const AttachRequest& wanted, bool websocket)
      : tty_(container.spec.tty),
        websocket_(websocket),
        whole_(wanted.out && wanted.err),
        filter_(wanted.out, wanted.err, websocket ? FrameFilter::Heads::dropped : FrameFilter::Heads::kept) {}

  // Of what the container's shim sends. None: as it is.
  std::function<std::string(std::string_view)> transform() {
    if (!websocket_ && (tty_ || whole_)) return {};
    return [this](std::string_view bytes) {
      std::string text = tty_ ? std::string(bytes) : filter_.pass(bytes);
      return websocket_ && !text.empty() ? websocket_frame(WebsocketOpcode::binary, text) : text;
    };
  }
  Result<> send_log(int socket, std::string_view text) const {
    return http::send_all(socket, websocket_ ? websocket_frame(WebsocketOpcode::binary, text) : std::string(text));
  }
  bool log_has_frames() const { return !tty_ && !websocket_; }
  WebsocketReader* reader() { return websocket_ ? &reader_ : nullptr; }
  void end(int socket) const {
    if (!websocket_) return;
    (void)http::send_all(socket, websocket_frame(WebsocketOpcode::close, kWebsocketNormalEnd)).ok();  // it may be gone
  }

 private:
  const bool tty_;
  const bool websocket_;
  const bool whole_;
  FrameFilter filter_;
  WebsocketReader reader_;
};

Result<> replay_log(const ContainerDetails& container, const AttachRequest& wanted, int socket, const Wire& wire) {
  const LogRequest request{.out = wanted.out, .err = wanted.err};
  const std::unique_ptr<engine::LogReader> reader = TRY(engine::open_log(container.log_path, {}));
  const engine::LogRendering rendering = request.rendering(!wire.log_has_frames());
  while (const std::shared_ptr<const std::string> text = TRY(reader->next_text(rendering))) {
    TRY(wire.send_log(socket, *text));
  }
  return {};
}

Relay::End run_attached(const ContainerDetails& container, const AttachRequest& wanted, Exchange::Hijacked client,
                        Fd stdio, DetachKeys& keys, Wire& wire) {
  const bool tty = container.spec.tty;
  const bool takes_input = wanted.in && container.spec.open_stdin;
  Relay relay;
  relay.client = client.socket;
  relay.read_ahead = std::move(client.read_ahead);
  relay.outputs.push_back({.fd = stdio.get(), .transform = wire.transform()});
  relay.websocket = wire.reader();
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

struct Attachment {
  AttachRequest wanted;
  ContainerDetails container;
  DetachKeys keys;
  Fd stdio;  // none: only the log is wanted
};

Result<Attachment> prepare_attach(Exchange& exchange, const Call& call, World& world, AttachRequest wanted) {
  DetachKeys keys = TRY(DetachKeys::parse(call.query.get("detachKeys")));
  ContainerDetails container = TRY(find_attachable(world, call["id"]));
  Fd stdio;
  if (wanted.stream) {
    // Attached before the answer is sent: a client that starts the container after it misses nothing.
    stdio = TRY(await<Fd>(exchange, world.loop, [&world, id = container.observed.id](auto reply) mutable {
      world.engine.attach(id, std::move(reply));
    }));
  }
  return Attachment{
      .wanted = wanted, .container = std::move(container), .keys = std::move(keys), .stdio = std::move(stdio)};
}

Result<> serve_attached(World& world, Attachment attachment, Exchange::Hijacked client, bool websocket) {
  const ContainerDetails& container = attachment.container;
  const int socket = client.socket;
  Wire wire(container, attachment.wanted, websocket);
  if (attachment.wanted.logs && !container.log_path.empty()) {
    TRY(replay_log(container, attachment.wanted, socket, wire));
  }
  Relay::End end = Relay::End::output_ended;
  if (attachment.stdio) {
    end = run_attached(container, attachment.wanted, std::move(client), std::move(attachment.stdio), attachment.keys, wire);
  }
  if (end != Relay::End::client_gone) wire.end(socket);
  if (end == Relay::End::detached) emit(world, container, "detach");
  return {};
}

AttachRequest attach_request(const Query& query) {
  return {.in = query.flag("stdin"),
          .out = query.flag("stdout"),
          .err = query.flag("stderr"),
          .stream = query.flag("stream"),
          .logs = query.flag("logs")};
}

Result<> attach(Exchange& exchange, const Call& call, World& world) {
  TRY(exchange.read_body(kMaxJsonBody));  // some clients send their options again; they are not the program's input
  Result<Attachment> attachment = prepare_attach(exchange, call, world, attach_request(call.query));
  if (!attachment.ok()) return refuse_attach(exchange, attachment.error());
  const bool multiplexed = !attachment->container.spec.tty && call.version >= ApiVersion{1, 42};
  emit(world, attachment->container, "attach");
  Exchange::Hijacked client = TRY(exchange.hijack(log_content_type(!multiplexed)));
  return serve_attached(world, std::move(*attachment), std::move(client), false);
}

Result<> attach_websocket(Exchange& exchange, const Call& call, World& world) {
  AttachRequest wanted = attach_request(call.query);
  if (call.version < ApiVersion{1, 42}) wanted.in = wanted.out = wanted.err = true;
  TRY(websocket_answer(exchange.request()));  // what does not ask for one is told so
  Attachment attachment = TRY(prepare_attach(exchange, call, world, wanted));
  emit(world, attachment.container, "attach");
  Exchange::Hijacked client = TRY(exchange.hijack(""));
  return serve_attached(world, std::move(attachment), std::move(client), true);
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
  TRY(pending->bell().check());
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
             [&world](Exchange& exchange, const Call& call) { return container_logs(exchange, call, world); });
  router.add("POST", "/containers/{id}/attach",
             [&world](Exchange& exchange, const Call& call) { return attach(exchange, call, world); });
  router.add("GET", "/containers/{id}/attach/ws",
             [&world](Exchange& exchange, const Call& call) { return attach_websocket(exchange, call, world); });
  router.add("POST", "/containers/{id}/wait",
             [&world](Exchange& exchange, const Call& call) { return wait(exchange, call, world); });
}

}  // namespace gantry::daemon::docker
