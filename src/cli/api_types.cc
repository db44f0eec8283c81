#include "cli/api_types.h"

#include <algorithm>

#include "base/clock.h"
#include "base/json_cursor.h"
#include "base/strings.h"
#include "cli/json_view.h"

namespace gantry::cli {

namespace {

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

std::vector<PortBinding> port_bindings(JsonCursor& json) {
  std::vector<PortBinding> ports;
  json.items([&] {
    PortBinding port{.protocol = {}};
    json.members([&](std::string_view key) {
      if (key == "IP") port.ip = json.text();
      else if (key == "PrivatePort") port.target = static_cast<uint16_t>(json.number());
      else if (key == "PublicPort") port.published = static_cast<uint16_t>(json.number());
      else if (key == "Type") port.protocol = json.text();
      else json.skip();
    });
    ports.push_back(std::move(port));
  });
  return ports;
}

void read_mounts(JsonCursor& json, ContainerRow& row) {
  json.items([&] {
    std::string name;
    std::string source;
    std::string type;
    json.members([&](std::string_view key) {
      if (key == "Name") name = json.text();
      else if (key == "Source") source = json.text();
      else if (key == "Type") type = json.text();
      else json.skip();
    });
    row.mounts.push_back(name.empty() ? std::move(source) : std::move(name));
    if (type == "volume") ++row.local_volumes;
  });
}

StringMap text_map(JsonCursor& json) {
  StringMap values;
  json.members([&](std::string_view key) {
    std::string name(key);
    values[std::move(name)] = json.text();
  });
  return values;
}

std::vector<std::string> network_names(JsonCursor& settings) {
  std::vector<std::string> names;
  settings.members([&](std::string_view key) {
    if (key != "Networks") return settings.skip();
    settings.members([&](std::string_view name) {
      names.emplace_back(name);
      settings.skip();
    });
  });
  std::sort(names.begin(), names.end());
  return names;
}

ContainerRow container_row(JsonCursor& json) {
  ContainerRow row;
  json.members([&](std::string_view key) {
    if (key == "Id") row.id = json.text();
    else if (key == "Names") row.name = own_name(json.texts());
    else if (key == "Image") row.image = json.text();
    else if (key == "ImageID") row.image_id = json.text();
    else if (key == "Command") row.command = json.text();
    else if (key == "Created") row.created = json.number();
    else if (key == "Labels") row.labels = text_map(json);
    else if (key == "State") row.state = json.text();
    else if (key == "Status") row.status = json.text();
    else if (key == "NetworkSettings") row.networks = network_names(json);
    else if (key == "Ports") row.ports = port_bindings(json);
    else if (key == "Mounts") read_mounts(json, row);
    else json.skip();
  });
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

namespace {

HistoryRow history_row(View item) {
  return HistoryRow{.id = item["Id"].text(),
                    .created_by = item["CreatedBy"].text(),
                    .comment = item["Comment"].text(),
                    .created = item["Created"].number(),
                    .size = item["Size"].size()};
}

}  // namespace

// The longest of the lists: a hundred rows and more, read without a document.
Result<std::vector<ContainerRow>> parse_containers(std::string_view text) {
  JsonCursor json(text);
  std::vector<ContainerRow> rows;
  json.items([&] { rows.push_back(container_row(json)); });
  if (!json.finished()) return not_json(text);
  return rows;
}
Result<std::vector<ImageRow>> parse_images(std::string_view json) { return parse_list(json, image_row); }
Result<std::vector<NetworkRow>> parse_networks(std::string_view json) { return parse_list(json, network_row); }
Result<std::vector<KnownProject>> parse_projects(std::string_view json) { return parse_list(json, known_project); }
Result<std::vector<std::string>> parse_image_removal(std::string_view json) { return parse_list(json, removal_line); }

Result<std::vector<HistoryRow>> parse_history(std::string_view json) { return parse_list(json, history_row); }

std::string parse_identity_token(std::string_view text) {
  const Result<Json> json = parsed(text);
  return json.ok() ? View(&*json)["IdentityToken"].text() : std::string();
}

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
