#include "cli/api_types.h"

#include <nlohmann/json.hpp>

#include "base/clock.h"
#include "base/strings.h"

namespace gantry::cli {

namespace {

using Json = nlohmann::json;

// Read access that never throws: what is missing or of another type is empty.
class View {
 public:
  explicit View(const Json* value) : value_(value) {}

  View operator[](const char* key) const {
    if (value_ == nullptr || !value_->is_object()) return View(nullptr);
    const auto found = value_->find(key);
    return View(found != value_->end() ? &*found : nullptr);
  }
  std::string text() const {
    return value_ != nullptr && value_->is_string() ? value_->get_ref<const std::string&>() : "";
  }
  int64_t number() const { return value_ != nullptr && value_->is_number() ? value_->get<int64_t>() : 0; }
  uint64_t size() const { return static_cast<uint64_t>(std::max<int64_t>(number(), 0)); }
  bool flag() const { return value_ != nullptr && value_->is_boolean() && value_->get<bool>(); }
  std::vector<View> items() const {
    std::vector<View> views;
    if (value_ != nullptr && value_->is_array()) {
      for (const Json& item : *value_) views.push_back(View(&item));
    }
    return views;
  }
  std::vector<std::string> texts() const {
    std::vector<std::string> values;
    for (const View& item : items()) values.push_back(item.text());
    return values;
  }
  StringMap text_map() const {
    StringMap values;
    if (value_ == nullptr || !value_->is_object()) return values;
    for (const auto& [key, value] : value_->items()) values[key] = View(&value).text();
    return values;
  }
  std::vector<std::string> keys() const {
    std::vector<std::string> names;
    if (value_ == nullptr || !value_->is_object()) return names;
    for (const auto& [key, value] : value_->items()) names.push_back(key);
    return names;
  }

 private:
  const Json* value_;
};

Result<Json> parsed(std::string_view text) {
  Json value = Json::parse(text, nullptr, false);
  if (value.is_discarded()) {
    return internal_error("the daemon's answer is no JSON: " + quoted(text.substr(0, 200)));
  }
  return value;
}

// One row per item of the array in `text`.
template <class Row>
Result<std::vector<Row>> parse_list(std::string_view text, Row (*parse_row)(View)) {
  const Json json = TRY(parsed(text));
  std::vector<Row> rows;
  for (const View& item : View(&json).items()) rows.push_back(parse_row(item));
  return rows;
}

std::string without_slash(std::string name) { return name.starts_with('/') ? name.substr(1) : name; }

// Names may hold link aliases ("/other/alias"): the container's own has one slash only.
std::string own_name(const std::vector<std::string>& names) {
  for (const std::string& name : names) {
    if (name.find('/', 1) == std::string::npos) return without_slash(name);
  }
  return names.empty() ? "" : without_slash(names.front());
}

ContainerRow container_row(View view) {
  ContainerRow row{.id = view["Id"].text(),
                   .name = own_name(view["Names"].texts()),
                   .image = view["Image"].text(),
                   .image_id = view["ImageID"].text(),
                   .command = view["Command"].text(),
                   .created = view["Created"].number(),
                   .labels = view["Labels"].text_map(),
                   .state = view["State"].text(),
                   .status = view["Status"].text(),
                   .networks = view["NetworkSettings"]["Networks"].keys()};
  for (const View& port : view["Ports"].items()) {
    row.ports.push_back({.ip = port["IP"].text(),
                         .target = static_cast<uint16_t>(port["PrivatePort"].number()),
                         .published = static_cast<uint16_t>(port["PublicPort"].number()),
                         .protocol = port["Type"].text()});
  }
  for (const View& mount : view["Mounts"].items()) {
    const std::string name = mount["Name"].text();
    row.mounts.push_back(name.empty() ? mount["Source"].text() : name);
    if (mount["Type"].text() == "volume") ++row.local_volumes;
  }
  return row;
}

ImageRow image_row(View view) {
  return {.id = view["Id"].text(),
          .tags = view["RepoTags"].texts(),
          .created = view["Created"].number(),
          .size = view["Size"].size()};
}

NetworkRow network_row(View view) {
  return {.id = view["Id"].text(),
          .name = view["Name"].text(),
          .driver = view["Driver"].text(),
          .scope = view["Scope"].text()};
}

VolumeRow volume_row(View view) { return {.name = view["Name"].text(), .driver = view["Driver"].text()}; }

KnownProject known_project(View view) {
  return {.name = view["name"].text(), .config_files = view["config_files"].texts()};
}

std::string removal_line(View view) {
  const std::string untagged = view["Untagged"].text();
  return untagged.empty() ? "Deleted: " + view["Deleted"].text() : "Untagged: " + untagged;
}

}  // namespace

std::string ContainerRow::label(const std::string& key) const {
  const auto found = labels.find(key);
  return found != labels.end() ? found->second : "";
}

int ContainerRow::number() const {
  return static_cast<int>(parse_unsigned(label("com.docker.compose.container-number")).value_or(0));
}

bool ContainerRow::one_off() const { return equals_ignoring_case(label("com.docker.compose.oneoff"), "true"); }

int ContainerRow::exit_code() const {
  if (state != "exited" && state != "dead") return 0;
  const size_t open = status.find('(');
  const size_t close = status.find(')', open);
  if (open == std::string::npos || close == std::string::npos) return 0;
  return static_cast<int>(parse_unsigned(std::string_view(status).substr(open + 1, close - open - 1)).value_or(0));
}

std::string ContainerRow::health() const {
  if (state != "running") return "";
  if (status.ends_with("(healthy)")) return "healthy";
  if (status.ends_with("(unhealthy)")) return "unhealthy";
  if (status.ends_with("(health: starting)")) return "starting";
  return "";
}

Result<std::vector<ContainerRow>> parse_containers(std::string_view json) { return parse_list(json, container_row); }
Result<std::vector<ImageRow>> parse_images(std::string_view json) { return parse_list(json, image_row); }
Result<std::vector<NetworkRow>> parse_networks(std::string_view json) { return parse_list(json, network_row); }
Result<std::vector<KnownProject>> parse_projects(std::string_view json) { return parse_list(json, known_project); }
Result<std::vector<std::string>> parse_image_removal(std::string_view json) { return parse_list(json, removal_line); }

Result<std::vector<VolumeRow>> parse_volumes(std::string_view text) {
  const Json json = TRY(parsed(text));
  std::vector<VolumeRow> rows;
  for (const View& item : View(&json)["Volumes"].items()) rows.push_back(volume_row(item));
  return rows;
}

Result<ContainerDetails> parse_container(std::string_view text) {
  const Json json = TRY(parsed(text));
  const View view(&json);
  const View state = view["State"];
  return ContainerDetails{.id = view["Id"].text(),
                          .name = without_slash(view["Name"].text()),
                          .state = state["Status"].text(),
                          .started_at = state["StartedAt"].text(),
                          .finished_at = state["FinishedAt"].text(),
                          .exit_code = static_cast<int>(state["ExitCode"].number()),
                          .tty = view["Config"]["Tty"].flag(),
                          .labels = view["Config"]["Labels"].text_map()};
}

Result<EngineEvent> parse_event(std::string_view line) {
  const Json json = TRY(parsed(line));
  const View view(&json);
  return EngineEvent{.type = view["Type"].text(),
                     .action = view["Action"].text(),
                     .id = view["Actor"]["ID"].text(),
                     .attributes = view["Actor"]["Attributes"].text_map(),
                     .time_nano = view["timeNano"].number()};
}

Result<StreamMessage> parse_stream_message(std::string_view line) {
  const Json json = TRY(parsed(line));
  const View view(&json);
  const View detail = view["errorDetail"];
  const std::string error = detail["message"].text();
  return StreamMessage{.stream = view["stream"].text(),
                       .status = view["status"].text(),
                       .id = view["id"].text(),
                       .error = error.empty() ? view["error"].text() : error,
                       .error_code = static_cast<int>(detail["code"].number()),
                       .aux_id = view["aux"]["ID"].text(),
                       .current = view["progressDetail"]["current"].size(),
                       .total = view["progressDetail"]["total"].size()};
}

Result<ImageRow> parse_image(std::string_view text, std::string& platform) {
  const Json json = TRY(parsed(text));
  const View view(&json);
  ImageRow row = image_row(view);
  WallTime created;
  if (parse_rfc3339(view["Created"].text(), created)) {
    row.created = std::chrono::duration_cast<std::chrono::seconds>(created.time_since_epoch()).count();
  }
  platform = view["Os"].text() + "/" + view["Architecture"].text();
  if (const std::string variant = view["Variant"].text(); !variant.empty()) platform += "/" + variant;
  return row;
}

Result<ExecState> parse_exec(std::string_view text) {
  const Json json = TRY(parsed(text));
  const View view(&json);
  return ExecState{.running = view["Running"].flag(), .exit_code = static_cast<int>(view["ExitCode"].number())};
}

Result<int> parse_wait(std::string_view text) {
  const Json json = TRY(parsed(text));
  return static_cast<int>(View(&json)["StatusCode"].number());
}

Result<std::string> parse_id(std::string_view text) {
  const Json json = TRY(parsed(text));
  const View view(&json);
  std::string id = view["Id"].text();
  if (id.empty()) id = view["ID"].text();
  if (id.empty()) return internal_error("the daemon's answer has no id: " + quoted(text.substr(0, 200)));
  return id;
}

Result<ServerVersion> parse_version(std::string_view text) {
  const Json json = TRY(parsed(text));
  const View view(&json);
  return ServerVersion{.version = view["Version"].text(), .api_version = view["ApiVersion"].text()};
}

Result<std::string> indented(std::string_view text) {
  const auto json = nlohmann::ordered_json::parse(text, nullptr, false);
  if (json.is_discarded()) return internal_error("the daemon's answer is no JSON: " + quoted(text.substr(0, 200)));
  return json.dump(4, ' ', false, Json::error_handler_t::replace);
}

}  // namespace gantry::cli
