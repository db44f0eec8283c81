#include "base/json_text.h"
#include "base/strings.h"
#include "cli/json_view.h"
#include "cli/ps_row.h"
#include "client/api_client.h"

namespace gantry::cli {

namespace {

OrderedJson publishers(const ContainerRow& row) {
  OrderedJson list = OrderedJson::array();
  for (const PortBinding& port : row.ports) {
    list.push_back({{"URL", port.ip},
                    {"TargetPort", port.target},
                    {"PublishedPort", port.published},
                    {"Protocol", port.protocol}});
  }
  return list;
}

}  // namespace

std::string exec_body(const ExecRequest& request) {
  OrderedJson body = {{"AttachStdin", request.attach_stdin},
                      {"AttachStdout", request.attach_output},
                      {"AttachStderr", request.attach_output},
                      {"Tty", request.tty},
                      {"Cmd", request.command}};
  if (!request.environment.empty()) body["Env"] = request.environment;
  if (!request.user.empty()) body["User"] = request.user;
  if (!request.working_dir.empty()) body["WorkingDir"] = request.working_dir;
  if (request.privileged) body["Privileged"] = true;
  if (request.tty) body["ConsoleSize"] = {request.size.rows, request.size.columns};
  if (!request.detach_keys.empty()) body["DetachKeys"] = request.detach_keys;
  return dumped(body);
}

std::string exec_start_body(bool tty) { return dumped({{"Detach", true}, {"Tty", tty}}); }

std::string operation_body(std::string_view project, std::string_view options) {
  std::string body;
  body.reserve(project.size() + options.size() + 32);
  body += '{';
  if (!project.empty()) body.append("\"project\":").append(project).append(",");
  body.append("\"options\":").append(options).append("}");
  return body;
}

std::string filters_query(const std::map<std::string, std::vector<std::string>>& filters) {
  return client::url_encode(dumped(OrderedJson(filters)));
}

std::string json_list(const std::vector<std::string>& values) { return dumped(OrderedJson(values)); }
std::string json_map(const StringMap& values) { return dumped(values.empty() ? OrderedJson::object() : OrderedJson(values)); }
std::string json_string(std::string_view text) {
  std::string out;
  append_json(out, text);
  return out;
}

namespace {

std::string created_ago(const ContainerRow& row, int64_t now) {
  return human_duration(std::chrono::seconds(std::max<int64_t>(now - row.created, 0))) + " ago";
}

std::string shown_command(const ContainerRow& row, bool whole) {
  return gantry::quoted(whole ? row.command : shorten(row.command, kCommandWidth));
}

}  // namespace

std::vector<std::string> ps_cells(const ContainerRow& row, bool whole, int64_t now) {
  return {row.name,      row.image,  shown_command(row, whole), row.service(), created_ago(row, now),
          row.status, ports_text(row.ports)};
}

Value ps_row(const ContainerRow& row, bool whole, int64_t now) {
  const WallTime created{std::chrono::seconds(row.created)};
  return Value{{"Command", shown_command(row, whole)},
                     {"CreatedAt", format_rfc3339(created)},
                     {"ExitCode", row.exit_code()},
                     {"Health", row.health()},
                     {"ID", whole ? row.id : row.id.substr(0, 12)},
                     {"Image", row.image},
                     {"Labels", comma_list(row.labels)},
                     {"LocalVolumes", std::to_string(row.local_volumes)},
                     {"Mounts", join(row.mounts, ",")},
                     {"Name", row.name},
                     {"Names", row.name},
                     {"Networks", join(row.networks, ",")},
                     {"Ports", ports_text(row.ports)},
                     {"Project", row.project()},
                     {"Publishers", publishers(row)},
                     {"RunningFor", created_ago(row, now)},
                     {"Service", row.service()},
                     {"Size", "0B"},
                     {"State", row.state},
                     {"Status", row.status}};
}

std::string ps_json(const ContainerRow& row, bool whole, int64_t now) { return dumped(ps_row(row, whole, now)) + "\n"; }

std::string projects_json(const std::vector<ProjectListRow>& rows) {
  OrderedJson list = OrderedJson::array();
  for (const ProjectListRow& row : rows) {
    list.push_back({{"Name", row.name}, {"Status", row.status}, {"ConfigFiles", row.config_files}});
  }
  return dumped(list) + "\n";
}

std::string images_json(const std::vector<ImageListRow>& rows) {
  if (rows.empty()) return "null\n";  // as Compose prints an empty list
  OrderedJson list = OrderedJson::array();
  for (const ImageListRow& row : rows) {
    list.push_back({{"ID", row.id},
                    {"ContainerName", row.container},
                    {"Repository", row.repository},
                    {"Tag", row.tag},
                    {"Platform", row.platform},
                    {"Size", row.size},
                    {"Created", row.created}});
  }
  return dumped(list) + "\n";
}

std::string version_json(std::string_view version) { return dumped({{"version", version}}) + "\n"; }

}  // namespace gantry::cli
