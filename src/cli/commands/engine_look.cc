// gantry inspect, top, port, diff and events: what there is and what happens.
#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/strings.h"
#include "cli/commands/commands.h"
#include "cli/commands/engine_helpers.h"

namespace gantry::cli {

namespace {

using K = FlagKind;

constexpr Flag kEngineInspectFlags[] = {
    {.name = "format", .letter = 'f', .kind = K::text, .value_name = "TEMPLATE", .help = "Print this of each"},
    {.name = "size", .letter = 's', .help = "What a container takes on disk, too"},
    {.name = "type", .kind = K::text, .value_name = "KIND", .help = "container, image, network or volume"},
};
constexpr Flag kEngineEventsFlags[] = {
    {.name = "filter", .letter = 'f', .kind = K::list, .value_name = "KEY=VALUE", .help = "Only those that match"},
    {.name = "format", .kind = K::text, .value_name = "FORMAT", .help = "json, or a template"},
    {.name = "since", .kind = K::text, .value_name = "TIME", .help = "Those that were kept since then, too"},
    {.name = "until", .kind = K::text, .value_name = "TIME", .help = "Up to then"},
};

struct Kind {
  std::string_view name;
  std::function<std::string(const std::string&)> path;
};
const std::vector<Kind>& kinds() {
  static const std::vector<Kind> kKinds = {
      {"container", [](const std::string& name) { return container_path(name, "json"); }},
      {"image", [](const std::string& name) { return image_path(name, "json"); }},
      {"network", [](const std::string& name) { return "/networks/" + client::url_encode(name); }},
      {"volume", [](const std::string& name) { return "/volumes/" + client::url_encode(name); }}};
  return kKinds;
}

// The first kind that knows the name.
Result<Value> inspect_one(client::ApiClient& api, const std::string& name, const std::string& type, bool sized) {
  for (const Kind& kind : kinds()) {
    if (!type.empty() && kind.name != type) continue;
    auto answer = TRY(api.request("GET", kind.path(name) + (sized && kind.name == "container" ? "?size=1" : "")));
    const bool next_kind = answer.status == 404 || answer.body.find("invalid reference format") != std::string::npos;
    if (next_kind) continue;
    Value value = Value::parse(TRY(std::move(answer).ok_body()), nullptr, false);
    if (value.is_discarded()) return internal_error("the daemon's answer is no JSON");
    return value;
  }
  return not_found(type.empty() ? "No such object: " + name : "No such " + type + ": " + name);
}

// Writes an object as four-space JSON, in a list, or as the template says.
Result<int> print_objects(Session& session, const std::vector<std::string>& names, const std::string& format,
                          const std::function<Result<Value>(const std::string&)>& get) {
  std::optional<Template> line;
  if (!format.empty() && format != "json") line = TRY(Template::parse(format));
  Value objects = Value::array();
  int status = 0;
  for (const std::string& name : names) {
    Result<Value> object = get(name);
    Result<std::string> text = std::string();
    if (object.ok() && line) text = line->run(*object);
    if (!object.ok() || !text.ok()) {
      session.fail(object.ok() ? text.error().message() : object.error().message());
      status = 1;
      continue;
    }
    if (line) session.out.write(*text + "\n");
    objects.push_back(*std::move(object));
  }
  if (format == "json") session.out.write(objects.dump(-1, ' ', false, Value::error_handler_t::replace) + "\n");
  if (format.empty()) session.out.write(objects.dump(4, ' ', false, Value::error_handler_t::replace) + "\n");
  return status;
}

Result<int> inspect_things(Session& session, const Arguments& arguments) {
  const std::string type = arguments.text("type");
  const bool known = type.empty() || std::ranges::any_of(kinds(), [&](const Kind& kind) { return kind.name == type; });
  if (!known) return invalid(gantry::quoted(type) + " is not a valid value for --type");
  client::ApiClient* api = TRY(session.api());
  return print_objects(session, arguments.positional(), arguments.text("format"), [&](const std::string& name) {
    return inspect_one(*api, name, type, arguments.on("size"));
  });
}

Result<int> inspect_volume(Session& session, const Arguments& arguments) {
  client::ApiClient* api = TRY(session.api());
  return print_objects(session, arguments.positional(), arguments.text("format"),
                       [&](const std::string& name) { return inspect_one(*api, name, "volume", false); });
}

Result<int> processes_of_container(Session& session, const Arguments& arguments) {
  const auto& words = arguments.positional();
  const std::string options = join(std::span(words).subspan(1), " ");
  const Value answer = TRY(api_json(session, "GET", container_path(words[0], "top") +
                                                        query_of({{"ps_args", client::url_encode(options)}})));
  std::string text;
  const auto add = [&](const Value& cells) {
    std::vector<std::string> line;
    for (const Value& cell : cells) line.push_back(cell.get<std::string>());
    text += join(line, "\t") + "\n";
  };
  add(member_of(answer, "Titles"));
  for (const Value& process : member_of(answer, "Processes")) add(process);
  session.out.write(aligned(text));
  return 0;
}

std::string host_port(const Value& binding) {
  const std::string ip = text_of(binding, "HostIp");
  return (ip.find(':') != std::string::npos ? "[" + ip + "]" : ip) + ":" + text_of(binding, "HostPort");
}

Result<int> ports_of_container(Session& session, const Arguments& arguments) {
  const auto& words = arguments.positional();
  const Value details = TRY(api_json(session, "GET", container_path(words[0], "json")));
  const Value& ports = member_of(member_of(details, "NetworkSettings"), "Ports");
  std::string wanted = words.size() > 1 ? words[1] : "";
  if (!wanted.empty() && wanted.find('/') == std::string::npos) wanted += "/tcp";
  std::string text;
  if (ports.is_object()) {
    for (const auto& [name, bindings] : ports.items()) {
      if (!bindings.is_array() || (!wanted.empty() && name != wanted)) continue;
      for (const Value& binding : bindings) text += (wanted.empty() ? name + " -> " : "") + host_port(binding) + "\n";
    }
  }
  if (!wanted.empty() && text.empty()) return not_found("No public port '" + words[1] + "' published for " + words[0]);
  session.out.write(text);
  return 0;
}

Result<int> diff(Session& session, const Arguments& arguments) {
  const Value changes = TRY(api_json(session, "GET", container_path(arguments.positional()[0], "changes")));
  for (const Value& change : changes) {
    const int64_t kind = number_of(change, "Kind");
    session.out.write(std::string(kind == 1 ? "A" : kind == 2 ? "D" : "C") + " " + text_of(change, "Path") + "\n");
  }
  return 0;
}

// "2026-01-02T03:04:05.000000006+01:00 container die 4f… (exitCode=0, image=x)"
std::string event_text(const Value& event) {
  const int64_t nanoseconds = number_of(event, "timeNano");
  const time_t seconds = nanoseconds / 1'000'000'000;
  tm parts{};
  ::localtime_r(&seconds, &parts);
  char day[64], zone[16], fraction[16];
  ::strftime(day, sizeof day, "%Y-%m-%dT%H:%M:%S", &parts);
  ::strftime(zone, sizeof zone, "%z", &parts);
  std::snprintf(fraction, sizeof fraction, ".%09d", static_cast<int>(nanoseconds % 1'000'000'000));
  std::string offset(zone);
  offset = offset == "+0000" ? "Z" : offset.substr(0, 3) + ":" + offset.substr(3);
  const Value& actor = member_of(event, "Actor");
  std::string text = std::string(day) + fraction + offset + " " + text_of(event, "Type") + " " + text_of(event, "Action") + " " + text_of(actor, "ID");
  std::map<std::string, std::string> attributes;
  if (const Value& given = member_of(actor, "Attributes"); given.is_object()) {
    for (const auto& [key, value] : given.items()) attributes[key] = value.is_string() ? value.get<std::string>() : "";
  }
  std::string list;
  for (const auto& [key, value] : attributes) list += (list.empty() ? "" : ", ") + key + "=" + value;
  return list.empty() ? text : text + " (" + list + ")";
}

Result<int> engine_events(Session& session, const Arguments& arguments) {
  std::string format = arguments.text("format");
  if (format == "json") format = "{{json .}}";
  std::optional<Template> line;
  if (!format.empty()) line = TRY(Template::parse(format));
  const WallTime now = session.clock().wall();
  std::string since, until;
  if (arguments.given("since")) since = TRY(api_time(arguments.text("since"), now).within("--since"));
  if (arguments.given("until")) until = TRY(api_time(arguments.text("until"), now).within("--until"));
  const std::string filters = TRY(filters_of(arguments));
  const std::string path = "/events" + query_of({{"since", since}, {"until", until}, {"filters", filters}});
  Result<> problem;
  TRY((*TRY(session.api())).stream_lines("GET", path, "", [&](std::string_view text) {
    Value event = Value::parse(text, nullptr, false);
    if (event.is_discarded()) return true;
    Result<std::string> shown = event_text(event);
    if (line) {
      // What Docker's own type offers beside the members.
      event["TimeNano"] = number_of(event, "timeNano");
      event["Time"] = number_of(event, "time");
      event["ID"] = text_of(member_of(event, "Actor"), "ID");
      if (format == "{{json .}}") shown = std::string(text);
      else shown = line->run(event, Template::Missing::no_value);  // not every event has every attribute
    }
    if (!shown.ok()) {
      problem = shown.error();
      return false;
    }
    session.out.write(*shown + "\n");
    return true;
  }));
  TRY(std::move(problem));
  return 0;
}

constexpr Flag kVolumeInspectFlags[] = {
    {.name = "format", .letter = 'f', .kind = K::text, .value_name = "TEMPLATE", .help = "Print this of each"},
};

}  // namespace

const Command kEngineInspect{.syntax = {.name = "inspect", .arguments = "NAME [NAME...]", .summary = "Print all about containers, images, networks or volumes", .flags = kEngineInspectFlags, .least_arguments = 1}, .run = inspect_things};
const Command kEngineVolumeInspect{.syntax = {.name = "volume inspect", .arguments = "VOLUME [VOLUME...]", .summary = "Print all about volumes", .flags = kVolumeInspectFlags, .least_arguments = 1}, .run = inspect_volume};
const Command kEngineTop{.syntax = {.name = "top", .arguments = "CONTAINER [PS OPTIONS]", .summary = "Show the processes of a container", .flags = {}, .least_arguments = 1, .interspersed = false}, .run = processes_of_container};
const Command kEnginePort{.syntax = {.name = "port", .arguments = "CONTAINER [PORT[/PROTO]]", .summary = "Show where ports are published", .flags = {}, .least_arguments = 1, .most_arguments = 2}, .run = ports_of_container};
const Command kEngineDiff{.syntax = {.name = "diff", .arguments = "CONTAINER", .summary = "Show what a container changed in its file system", .flags = {}, .least_arguments = 1, .most_arguments = 1}, .run = diff};
const Command kEngineEvents{.syntax = {.name = "events", .arguments = "", .summary = "Show what happens in the engine", .flags = kEngineEventsFlags, .most_arguments = 0}, .run = engine_events};

}  // namespace gantry::cli
