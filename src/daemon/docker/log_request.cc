#include "daemon/docker/log_request.h"

#include <sys/resource.h>

#include "base/strings.h"
#include "daemon/docker/events.h"
#include "daemon/relay.h"

namespace gantry::daemon::docker {

std::string_view log_content_type(bool tty) {
  return tty ? "application/vnd.docker.raw-stream" : "application/vnd.docker.multiplexed-stream";
}

Result<LogRequest> LogRequest::parse(const Query& query) {
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

void LogRequest::append(const engine::LogEntry& entry, bool tty, std::string& text) const {
  const bool is_err = entry.stream == engine::LogStream::err;
  if (is_err ? !err : !out) return;
  std::string prefix;
  if (timestamps) prefix = format_rfc3339_fixed(entry.time) + " ";
  if (details) prefix += entry.attributes + " ";
  if (!tty) {
    const FrameHead head = frame_head(is_err ? Stream::err : Stream::out, prefix.size() + entry.text.size());
    text.append(head.data(), head.size());
  }
  text.append(prefix).append(entry.text);
}

engine::LogRendering LogRequest::rendering(bool tty) const {
  std::string name;
  for (const bool part : {out, err, timestamps, details, tty}) name += part ? '1' : '0';
  return {.name = std::move(name),
          .append = [*this, tty](const engine::LogEntry& entry, std::string& text) { append(entry, tty, text); }};
}

// setpriority(2) of 0 means the calling thread, on Linux.
LowPriority::LowPriority() : before_(::getpriority(PRIO_PROCESS, 0)) { ::setpriority(PRIO_PROCESS, 0, before_ + 10); }

// Without the right to, the connection stays behind.
LowPriority::~LowPriority() { ::setpriority(PRIO_PROCESS, 0, before_); }

}  // namespace gantry::daemon::docker
