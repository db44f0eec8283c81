#include "compose/progress.h"

#include <array>
#include <nlohmann/json.hpp>

namespace gantry::compose {
namespace {

using Json = nlohmann::ordered_json;
using Resource = Progress::Resource;
using Status = Progress::Status;

// A line is one short message; layers' texts and errors are the longest.
constexpr size_t kMaxLine = size_t{1} << 20;

constexpr std::array<std::pair<Resource, const char*>, 6> kResources = {{
    {Resource::project, "project"},
    {Resource::network, "network"},
    {Resource::volume, "volume"},
    {Resource::image, "image"},
    {Resource::container, "container"},
    {Resource::service, "service"},
}};
constexpr std::array<std::pair<Status, const char*>, 4> kStatuses = {{
    {Status::working, "working"},
    {Status::done, "done"},
    {Status::warning, "warning"},
    {Status::error, "error"},
}};

template <class Table, class Value>
const char* word_of(const Table& table, Value value) {
  for (const auto& [known, word] : table) {
    if (known == value) return word;
  }
  return "";
}

template <class Table, class Value>
bool value_of(const Table& table, std::string_view word, Value& value) {
  for (const auto& [known, name] : table) {
    if (word == name) return value = known, true;
  }
  return false;
}

std::string line_of(const char* kind, Json content) {
  Json line;
  line[kind] = std::move(content);
  return line.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

void put(Json& json, const char* name, const std::string& value) {
  if (!value.empty()) json[name] = value;
}

// Absent: the value stays. False: there, but of another type.
bool get(const Json& json, const char* name, std::string& value) {
  auto found = json.find(name);
  if (found == json.end()) return true;
  if (!found->is_string()) return false;
  value = found->get_ref<const std::string&>();
  return true;
}
bool get(const Json& json, const char* name, uint64_t& value) {
  auto found = json.find(name);
  if (found == json.end()) return true;
  if (!found->is_number_unsigned()) return false;
  value = found->get<uint64_t>();
  return true;
}

Result<Progress> progress_from(const Json& json) {
  Progress progress;
  std::string resource = "project";
  std::string status = "working";
  bool readable = get(json, "resource", resource) && get(json, "name", progress.name) &&
                  get(json, "service", progress.service) && get(json, "status", status) &&
                  get(json, "text", progress.text) && get(json, "details", progress.details) &&
                  get(json, "cause", progress.cause) && get(json, "mark", progress.mark) &&
                  get(json, "current", progress.current) && get(json, "total", progress.total) &&
                  get(json, "layer", progress.layer);
  if (!readable || !value_of(kResources, resource, progress.resource) ||
      !value_of(kStatuses, status, progress.status)) {
    return invalid("progress line: a field has a value that this client does not know");
  }
  return progress;
}

Result<Outcome> outcome_from(const Json& json) {
  Outcome outcome;
  auto ok = json.find("ok");
  auto code = json.find("exit_code");
  if (ok != json.end() && ok->is_boolean()) outcome.ok = ok->get<bool>();
  if (code != json.end() && code->is_number_integer()) outcome.exit_code = code->get<int>();
  if (!get(json, "message", outcome.message)) return invalid("progress line: the outcome's message is no string");
  return outcome;
}

}  // namespace

std::string to_json_line(const Progress& progress) {
  Json json = Json::object();
  json["resource"] = word_of(kResources, progress.resource);
  put(json, "name", progress.name);
  put(json, "service", progress.service);
  json["status"] = word_of(kStatuses, progress.status);
  put(json, "text", progress.text);
  put(json, "details", progress.details);
  put(json, "cause", progress.cause);
  put(json, "mark", progress.mark);
  if (progress.current != 0) json["current"] = progress.current;
  if (progress.total != 0) json["total"] = progress.total;
  put(json, "layer", progress.layer);
  return line_of("progress", std::move(json));
}

std::string to_json_line(const Outcome& outcome) {
  Json json = Json::object();
  json["ok"] = outcome.ok;
  put(json, "message", outcome.message);
  if (outcome.exit_code != 0) json["exit_code"] = outcome.exit_code;
  return line_of("outcome", std::move(json));
}

Result<ProgressLine> parse_progress_line(std::string_view line) {
  if (line.size() > kMaxLine) return invalid("progress line: longer than " + std::to_string(kMaxLine) + " bytes");
  Json json = Json::parse(line, nullptr, false);
  if (!json.is_object()) return invalid("progress line: not a JSON object: " + gantry::quoted(line.substr(0, 80)));
  ProgressLine parsed;
  if (auto found = json.find("progress"); found != json.end() && found->is_object()) {
    parsed.progress = TRY(progress_from(*found));
  } else if (found = json.find("outcome"); found != json.end() && found->is_object()) {
    parsed.outcome = TRY(outcome_from(*found));
  } else {
    return invalid("progress line: neither progress nor outcome: " + gantry::quoted(line.substr(0, 80)));
  }
  return parsed;
}

}  // namespace gantry::compose
