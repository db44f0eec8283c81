// The answers and bodies of the Docker-compatible API that the commands need, as plain values. JSON is known to
// the api_*.cc files alone. Missing members and null read as empty; a text that is no JSON is an error.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "cli/output.h"
#include "cli/text.h"

namespace gantry::cli {

using StringMap = std::map<std::string, std::string>;

// A row of GET /containers/json.
struct ContainerRow {
  std::string id;
  std::string name;  // without slash
  std::string image;
  std::string image_id;
  std::string command;
  int64_t created = 0;  // unix seconds
  std::vector<PortBinding> ports;
  StringMap labels;
  std::string state;                  // "running"
  std::string status;                 // "Up 5 minutes (healthy)"
  std::vector<std::string> mounts;    // names or sources
  std::vector<std::string> networks;  // names
  int64_t local_volumes = 0;

  std::string label(const std::string& key) const;
  std::string service() const { return label("com.docker.compose.service"); }
  std::string project() const { return label("com.docker.compose.project"); }
  int number() const;  // replica; 0 for one-offs
  bool one_off() const;
  // The engine tells these two only as part of `status`.
  int exit_code() const;       // of "Exited (3) …"; 0 else
  std::string health() const;  // "healthy", "unhealthy", "starting", ""
};
Result<std::vector<ContainerRow>> parse_containers(std::string_view json);

// What GET /containers/ID/json tells that is needed here.
struct ContainerDetails {
  std::string id;
  std::string name;
  std::string state;       // "running"
  std::string started_at;  // RFC 3339; "0001-…" = never
  std::string finished_at;
  int exit_code = 0;
  bool tty = false;
  StringMap labels;
};
Result<ContainerDetails> parse_container(std::string_view json);

// A line of GET /events.
struct EngineEvent {
  std::string type;
  std::string action;
  std::string id;
  StringMap attributes;
  int64_t time_nano = 0;
};
Result<EngineEvent> parse_event(std::string_view line);

// A line of the streams of pull, build, load and push.
struct StreamMessage {
  std::string stream;  // build: text to print
  std::string status;  // pull: "Downloading"
  std::string id;      // pull: layer or tag
  std::string error;
  int error_code = 0;
  std::string aux_id;  // build: the image
  uint64_t current = 0;
  uint64_t total = 0;
};
Result<StreamMessage> parse_stream_message(std::string_view line);

struct ImageRow {
  std::string id;  // "sha256:…"
  std::vector<std::string> tags;
  int64_t created = 0;
  uint64_t size = 0;
};
Result<std::vector<ImageRow>> parse_images(std::string_view json);
Result<ImageRow> parse_image(std::string_view json, std::string& platform);

struct NetworkRow {
  std::string id;
  std::string name;
  std::string driver;
  std::string scope;
};
Result<std::vector<NetworkRow>> parse_networks(std::string_view json);

struct VolumeRow {
  std::string name;
  std::string driver;
};
Result<std::vector<VolumeRow>> parse_volumes(std::string_view json);

// StatusCode of POST …/wait.
Result<int> parse_wait(std::string_view json);

// "untagged" and "deleted" lines of DELETE /images/NAME.
Result<std::vector<std::string>> parse_image_removal(std::string_view json);
struct HistoryRow {
  std::string id;
  std::string created_by;
  std::string comment;
  int64_t created = 0;  // unix seconds
  uint64_t size = 0;
};
Result<std::vector<HistoryRow>> parse_history(std::string_view json);  // top first
// Of POST /auth; "" if the registry gave none.
std::string parse_identity_token(std::string_view json);
// Member "Id" (or "ID") of an answer.
Result<std::string> parse_id(std::string_view json);
struct ServerVersion {
  std::string version;
  std::string api_version;
};
Result<ServerVersion> parse_version(std::string_view json);
// [{"name":…, "config_files":[…]}] of GET /gantry/v1/projects.
struct KnownProject {
  std::string name;
  std::vector<std::string> config_files;
};
Result<std::vector<KnownProject>> parse_projects(std::string_view json);

// Any JSON value again, indented by four spaces: for `inspect`.
Result<std::string> indented(std::string_view json);

// --- bodies and JSON outputs (api_bodies.cc) ---

struct ExecRequest {
  std::vector<std::string> command;
  std::vector<std::string> environment;
  std::string user;
  std::string working_dir;
  std::string detach_keys = {};  // "" = the daemon's
  bool tty = false;
  bool attach_stdin = false;
  bool attach_output = true;
  bool privileged = false;
  TerminalSize size = {};  // of the terminal, so that the program finds it from the first moment; only with tty
};
std::string exec_body(const ExecRequest& request);
std::string exec_start_body(bool tty);  // of a detached one

// {"project": …, "options": …}; an empty `project` is left out. Both are JSON texts.
std::string operation_body(std::string_view project, std::string_view options);

// {"label":["a=b","c"]} as a URL-encoded query value.
std::string filters_query(const std::map<std::string, std::vector<std::string>>& filters);
// ["a","b"] and {"a":"b"}: query values of POST /build.
std::string json_list(const std::vector<std::string>& values);
std::string json_map(const StringMap& values);

// Lines and arrays that `--format json` prints.
// One line. Ids and commands are cut unless `whole`.
std::string ps_json(const ContainerRow& row, bool whole, int64_t now);
struct ProjectListRow {
  std::string name;
  std::string status;
  std::string config_files;
};
std::string projects_json(const std::vector<ProjectListRow>& rows);
struct ImageListRow {
  std::string id, container, repository, tag, platform, created;
  uint64_t size = 0;
};
std::string images_json(const std::vector<ImageListRow>& rows);
std::string version_json(std::string_view version);
std::string json_string(std::string_view text);  // "\"…\""

}  // namespace gantry::cli
