// why: why a service is not running, not healthy, restarting, or was made anew.
#include <arpa/inet.h>
#include <dirent.h>
#include <unistd.h>

#include <algorithm>
#include <sstream>

#include "base/fd.h"
#include "base/scope_exit.h"
#include "base/strings.h"
#include "cli/api_extra.h"
#include "cli/commands/commands.h"
#include "cli/diagnosis.h"
#include "cli/stream_hub.h"
#include "cli/style.h"
#include "cli/targets.h"

namespace gantry::cli {

namespace {

constexpr Flag kWhyFlags[] = {
    {.name = "tail", .letter = 'n', .kind = FlagKind::number, .value_name = "LINES", .help = "Lines of the log to show (5)"},
    {.name = "no-timeline", .help = "Don't show the last runs"},
};

constexpr size_t kLogLines = 40;  // that are looked at
constexpr std::chrono::seconds kLongEnough{10};  // a run that makes restart policies begin anew with their delays

// ---- who has a port

// The inode of the socket that listens on the port; 0: nobody does.
uint64_t listening_inode(uint16_t port) {
  for (const char* table : {"/proc/net/tcp", "/proc/net/tcp6"}) {
    const auto text = read_file(table, size_t{16} << 20);
    if (!text.ok()) continue;
    std::istringstream lines(*text);
    std::string line;
    while (std::getline(lines, line)) {
      std::istringstream fields(line);
      std::string slot, local, remote, state, skip, inode;
      fields >> slot >> local >> remote >> state >> skip >> skip >> skip >> skip >> skip >> inode;
      const size_t colon = local.rfind(':');
      if (state != "0A" || colon == std::string::npos) continue;
      if (std::stoul("0x" + local.substr(colon + 1), nullptr, 16) == port) return parse_unsigned(inode).value_or(0);
    }
  }
  return 0;
}

bool has_socket(const std::string& process, uint64_t inode) {
  const std::string directory = "/proc/" + process + "/fd";
  DIR* stream = ::opendir(directory.c_str());
  if (stream == nullptr) return false;
  ScopeExit close([stream] { ::closedir(stream); });
  const std::string wanted = "socket:[" + std::to_string(inode) + "]";
  while (const dirent* entry = ::readdir(stream)) {
    char target[64];
    const ssize_t size = ::readlink((directory + "/" + entry->d_name).c_str(), target, sizeof target);
    if (size > 0 && wanted == std::string_view(target, static_cast<size_t>(size))) return true;
  }
  return false;
}

std::string process_with(uint64_t inode) {
  DIR* stream = ::opendir("/proc");
  if (stream == nullptr) return "";
  ScopeExit close([stream] { ::closedir(stream); });
  while (const dirent* entry = ::readdir(stream)) {
    const std::string name = entry->d_name;
    if (!parse_unsigned(name) || !has_socket(name, inode)) continue;
    const std::string program = read_file("/proc/" + name + "/comm").value_or("");
    return "process " + name + " (" + std::string(trim(program)) + ")";
  }
  return "";
}

// Nothing: nobody has it.
Result<std::optional<std::string>> holder_of(client::ApiClient& api, uint16_t port) {
  for (const ContainerRow& row : TRY(parse_containers(TRY(TRY(api.request("GET", "/containers/json")).ok_body())))) {
    const bool has_it = std::any_of(row.ports.begin(), row.ports.end(),
                                    [port](const PortBinding& binding) { return binding.published == port; });
    if (!has_it) continue;
    return std::optional("container " + row.name + (row.project().empty() ? "" : " of project " + row.project()));
  }
  const uint64_t inode = listening_inode(port);
  if (inode == 0) return std::optional<std::string>();
  const std::string process = process_with(inode);
  return std::optional(process.empty() ? std::string("a process of this machine") : process);
}

// ---- the facts

// What happened to the container, oldest first.
Result<std::vector<EngineEvent>> events_of(client::ApiClient& api, const std::string& id, WallTime now) {
  std::vector<EngineEvent> events;
  const std::string path = "/events?since=1&until=" + api_time(now) +
                           "&filters=" + filters_query({{"type", {"container"}}, {"container", {id}}});
  TRY(api.stream_lines("GET", path, "", [&](std::string_view line) {
    auto event = parse_event(line);
    if (event.ok()) events.push_back(*std::move(event));
    return true;
  }));
  return events;
}

// The exit code in a "die" event.
std::optional<int> exit_code_in(const EngineEvent& event) {
  const auto code = event.attributes.find("exitCode");
  if (event.action != "die" || code == event.attributes.end()) return std::nullopt;
  const auto number = parse_unsigned(code->second);
  return number ? std::optional(static_cast<int>(*number)) : std::nullopt;
}

// What a running container's own state does not tell: how it ended before, and for how long it has run.
void add_past(ContainerStory& story, const std::vector<EngineEvent>& events, WallTime now) {
  for (const EngineEvent& event : events) {
    if (const auto code = exit_code_in(event)) story.exit_code = *code;
    if (event.action == "start") story.just_started = now.time_since_epoch() - std::chrono::nanoseconds(event.time_nano) < kLongEnough;
  }
}

// Its last end was asked for: it was stopped since it was started last.
bool was_stopped(const std::vector<EngineEvent>& events) {
  for (auto event = events.rbegin(); event != events.rend(); ++event) {
    if (event->action == "stop") return true;
    if (event->action == "start") return false;
  }
  return false;
}

Result<ContainerStory> story_of(client::ApiClient& api, const ContainerRow& row, bool with_log, WallTime now) {
  ContainerStory story = TRY(parse_story(TRY(TRY(api.request("GET", container_path(row.id, "json"))).ok_body())));
  story.service = row.service();
  if (!with_log || row.state == "created") return story;
  const auto details = TRY(parse_container(TRY(TRY(api.request("GET", container_path(row.id, "json"))).ok_body())));
  const auto events = TRY(events_of(api, row.id, now));
  story.stopped = was_stopped(events);
  if (story.state == "running") add_past(story, events, now);
  const auto read = read_log(api, row.id, details.tty, {.tail = std::to_string(kLogLines)},
                             [&](StreamKind, std::string_view line) { story.log.emplace_back(line); });
  if (!read.ok()) story.log.clear();  // a log driver that cannot be read
  return story;
}

// Who has ports that the service wants: with one taken, `up` makes no container.
Result<> find_holders(client::ApiClient& api, Facts& facts) {
  if (!facts.project) return {};
  const auto found = facts.project->services.find(facts.service);
  if (found == facts.project->services.end()) return {};
  for (const compose::Port& port : found->second.ports) {
    const auto number = parse_unsigned(port.published);
    if (port.protocol != "tcp" || !number || *number == 0 || *number > UINT16_MAX) continue;
    auto holder = TRY(holder_of(api, static_cast<uint16_t>(*number)));
    if (holder) facts.holders.push_back({.port = static_cast<uint16_t>(*number), .who = *std::move(holder)});
  }
  return {};
}

Result<Facts> gather(Session& session, const Session::NamedProject& target, const std::vector<ContainerRow>& rows,
                     const std::string& service) {
  client::ApiClient* api = TRY(session.api());
  Facts facts{.service = service, .project = target.project};
  for (const ContainerRow& row : rows) {
    if (row.one_off()) continue;
    const bool own = row.service() == service;
    (own ? facts.containers : facts.others).push_back(TRY(story_of(*api, row, own, session.clock().wall())));
  }
  for (const ContainerStory& container : facts.containers) {
    const uint16_t port = container.state == "running" ? 0 : port_in_error(container.error);
    if (port == 0) continue;
    const auto who = TRY(holder_of(*api, port));
    facts.holders.push_back({.port = port, .who = who.value_or("somebody who has let go of it since")});
  }
  if (facts.containers.empty()) TRY(find_holders(*api, facts));
  return facts;
}

// ---- what is printed

std::string place_of(const Facts& facts, const Diagnosis& diagnosis) {
  if (!facts.project || diagnosis.attribute.empty()) return "";
  const compose::Mark mark = facts.project->mark_of(diagnosis.attribute);
  if (mark.file.empty()) return "";
  return mark.to_string() + " (" + diagnosis.attribute + ")";
}

// "22:01:05 exited with code 1"
Result<std::vector<std::string>> timeline(client::ApiClient& api, const ContainerStory& container, WallTime now) {
  std::vector<std::string> lines;
  for (const EngineEvent& event : TRY(events_of(api, container.id, now))) {
    std::string what = event.action;
    if (what == "die") {
      const auto code = exit_code_in(event);
      what = "exited with code " + (code ? std::to_string(*code) : "?");
    } else if (what == "start") {
      what = "started";
    } else if (what == "create") {
      what = "created";
    } else if (what == "oom") {
      what = "out of memory";
    } else if (!what.starts_with("health_status") && what != "kill" && what != "stop" && what != "restart" &&
               what != "pause" && what != "unpause") {
      continue;
    }
    const std::string time = format_rfc3339(WallTime(std::chrono::nanoseconds(event.time_nano)));
    lines.push_back(time.substr(11, 8) + "  " + what);
  }
  constexpr size_t kMost = 12;
  if (lines.size() > kMost) lines.erase(lines.begin(), lines.end() - kMost);
  return lines;
}

Result<> print(Session& session, const Facts& facts, const Arguments& arguments) {
  const Diagnosis diagnosis = diagnose(facts);
  const bool colour = session.colour_on(session.out);
  const Colour shade = !colour ? Colour::none : diagnosis.well ? Colour::green : Colour::bold_red;
  std::string text = coloured(diagnosis.headline, shade) + "\n";
  for (const std::string& line : diagnosis.explanation) text += "  " + line + "\n";
  if (const std::string place = place_of(facts, diagnosis); !place.empty()) text += "  " + place + "\n";
  const int64_t tail = arguments.number("tail").value_or(5);
  if (!facts.containers.empty()) {
    const ContainerStory& container = facts.containers.front();
    if (!diagnosis.well && !container.log.empty() && tail > 0) {
      const size_t first = container.log.size() > static_cast<size_t>(tail) ? container.log.size() - static_cast<size_t>(tail) : 0;
      text += "\nLast log lines of " + container.name + ":\n";
      for (size_t i = first; i < container.log.size(); ++i) text += "  " + container.log[i] + "\n";
    }
    if (!arguments.on("no-timeline")) {
      const auto lines = TRY(timeline(*TRY(session.api()), container, session.clock().wall()));
      if (!lines.empty()) text += "\nTimeline (UTC):\n";
      for (const std::string& line : lines) text += "  " + line + "\n";
    }
  }
  session.out.write(text);
  return {};
}

// Without a service: a line for each.
Result<int> overview(Session& session, const Session::NamedProject& target, const std::vector<ContainerRow>& rows) {
  std::set<std::string> services;
  if (target.project) {
    for (const auto& [name, service] : target.project->services) services.insert(name);
  }
  for (const ContainerRow& row : rows) services.insert(row.service());
  for (const std::string& service : services) {
    const Diagnosis diagnosis = diagnose(TRY(gather(session, target, rows, service)));
    session.out.write(diagnosis.headline + "\n");
    if (!diagnosis.well && !diagnosis.explanation.empty()) session.out.write("  " + diagnosis.explanation[0] + "\n");
  }
  return 0;
}

Result<int> why(Session& session, const Arguments& arguments) {
  const auto target = TRY(session.find_project(arguments.positional()));
  const auto rows = TRY(session.containers(target.name, true));
  if (arguments.positional().empty()) return overview(session, target, rows);
  const std::string& service = arguments.positional()[0];
  const Facts facts = TRY(gather(session, target, rows, service));
  if (facts.containers.empty() && !target.project) return not_found("no such service: " + service);
  TRY(print(session, facts, arguments));
  return 0;
}

}  // namespace

const Command kWhy{.syntax = {.name = "why",
                              .arguments = "[SERVICE]",
                              .summary = "Say why a service is not running, not healthy or restarting",
                              .flags = kWhyFlags,
                              .most_arguments = 1},
                   .run = why};

}  // namespace gantry::cli
