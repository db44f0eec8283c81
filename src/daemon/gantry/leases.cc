#include "daemon/gantry/leases.h"

#include <sys/syscall.h>
#include <unistd.h>

#include <limits>
#include <nlohmann/json.hpp>

#include "base/fd.h"
#include "base/log.h"
#include "base/process_start.h"

namespace gantry::daemon::api {
namespace {

using nlohmann::json;

constexpr int64_t kLongest = int64_t{100} * 366 * 24 * 3600;  // seconds; fits a clock of nanoseconds
constexpr std::chrono::seconds kPause{5};  // before a project that could not be taken down is tried again
constexpr size_t kLargestFile = size_t{16} << 20;

int64_t nanoseconds_of(WallTime time) {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(time.time_since_epoch()).count();
}

WallTime time_of(int64_t nanoseconds) {
  return WallTime(std::chrono::duration_cast<WallTime::duration>(std::chrono::nanoseconds(nanoseconds)));
}

Result<int64_t> number_of(const json& object, const char* key, int64_t most) {
  const auto found = object.find(key);
  if (found == object.end()) return 0;
  if (!found->is_number_integer() || found->get<int64_t>() < 0 || found->get<int64_t>() > most) {
    return invalid(std::string("lease: ") + key + " must be a whole number between 0 and " + std::to_string(most));
  }
  return found->get<int64_t>();
}

}  // namespace

struct LeaseKeeper::Held {
  Lease lease;
  Scheduler::TimerId timer = 0;
  Fd pidfd;
  std::unique_ptr<FdWatcher> watcher;  // ends before the descriptor
};

Result<Lease> lease_from_json(const std::string& text, WallTime now) {
  const json object = json::parse(text, nullptr, false);
  if (!object.is_object()) return invalid("lease: expected an object with pid, pid_started, seconds and volumes");
  for (const auto& [key, value] : object.items()) {
    if (key != "pid" && key != "pid_started" && key != "seconds" && key != "volumes") {
      return invalid("lease: unknown field " + gantry::quoted(key));
    }
  }
  Lease lease;
  lease.pid = static_cast<int>(TRY(number_of(object, "pid", std::numeric_limits<int>::max())));
  lease.pid_started = static_cast<uint64_t>(TRY(number_of(object, "pid_started", std::numeric_limits<int64_t>::max())));
  const int64_t seconds = TRY(number_of(object, "seconds", kLongest));
  if (seconds > 0) lease.until = now + std::chrono::seconds(seconds);
  const auto volumes = object.find("volumes");
  lease.volumes = volumes != object.end() && volumes->is_boolean() && volumes->get<bool>();
  return lease;
}

LeaseKeeper::LeaseKeeper(EventLoop& loop, std::filesystem::path file, TakeDown take_down)
    : loop_(loop), file_(std::move(file)), take_down_(std::move(take_down)) {
  const auto text = read_file(file_, kLargestFile);
  if (!text.ok()) return;  // nothing was ever held
  const json all = json::parse(*text, nullptr, false);
  if (!all.is_object()) {
    log_error(file_.string() + ": damaged, its leases are forgotten");
    return;
  }
  for (const auto& [project, value] : all.items()) {
    auto held = std::make_unique<Held>();
    held->lease = {.pid = value.value("pid", 0),
                   .pid_started = value.value("pid_started", uint64_t{0}),
                   .until = time_of(value.value("until", int64_t{0})),
                   .volumes = value.value("volumes", false)};
    held_[project] = std::move(held);
    watch(project);
  }
}

LeaseKeeper::~LeaseKeeper() {
  for (const auto& [project, held] : held_) loop_.cancel(held->timer);
}

Result<> LeaseKeeper::hold(const std::string& project, const Lease& lease) {
  TRY(drop(project));
  if (lease.pid == 0 && lease.until == WallTime{}) return {};
  held_[project] = std::make_unique<Held>(Held{.lease = lease, .timer = 0, .pidfd = Fd(), .watcher = nullptr});
  TRY(save());
  watch(project);
  return {};
}

Result<> LeaseKeeper::drop(const std::string& project) {
  const auto found = held_.find(project);
  if (found == held_.end()) return {};
  loop_.cancel(found->second->timer);
  held_.erase(found);
  return save();
}

void LeaseKeeper::watch(const std::string& project) {
  Held& held = *held_.at(project);
  if (held.lease.until != WallTime{}) {
    const auto left = std::max<std::chrono::nanoseconds>(held.lease.until - loop_.clock().wall(), std::chrono::nanoseconds(0));
    held.timer = loop_.after(left, [this, project] { ended(project); });
  }
  if (held.lease.pid == 0) return;
  held.pidfd = Fd(static_cast<int>(::syscall(SYS_pidfd_open, held.lease.pid, 0)));
  // The descriptor first, then the look at who it is: the number may have been given away in between.
  if (!held.pidfd || process_start(held.lease.pid) != held.lease.pid_started) {
    loop_.cancel(held.timer);
    held.timer = loop_.after(std::chrono::nanoseconds(0), [this, project] { ended(project); });
    return;
  }
  held.watcher = std::make_unique<FdWatcher>(loop_, held.pidfd.get(), FdWatcher::readable, [this, project](int) { ended(project); });
}

void LeaseKeeper::ended(const std::string& name) {
  const std::string project = name;  // what it was called with goes with its watcher
  const auto found = held_.find(project);
  if (found == held_.end()) return;
  const Lease lease = found->second->lease;
  found->second->watcher.reset();  // once is enough
  log_info("project " + project + ": its lease has ended, it is taken down");
  take_down_(project, lease.volumes, [this, project, lease](bool done) {
    if (find(project) != lease) return;  // it has a new one meanwhile
    if (!done) {
      held_.at(project)->timer = loop_.after(kPause, [this, project] { ended(project); });
      return;
    }
    if (const auto saved = drop(project); !saved.ok()) log_error("lease of " + project + ": " + saved.error().message());
  });
}

std::optional<Lease> LeaseKeeper::find(const std::string& project) const {
  const auto found = held_.find(project);
  return found == held_.end() ? std::nullopt : std::optional(found->second->lease);
}

// Readers see all of it or what was before; after a power failure there are no containers to take down.
Result<> LeaseKeeper::save() const {
  json all = json::object();
  for (const auto& [project, held] : held_) {
    all[project] = {{"pid", held->lease.pid},
                    {"pid_started", held->lease.pid_started},
                    {"until", nanoseconds_of(held->lease.until)},
                    {"volumes", held->lease.volumes}};
  }
  return replace_file(file_, all.dump(), 0600).within("keeping leases");
}

}  // namespace gantry::daemon::api
