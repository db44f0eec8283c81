// top: the processes of the project's running containers.
#include <algorithm>

#include "cli/api_extra.h"
#include "cli/commands/commands.h"
#include "cli/table.h"
#include "cli/targets.h"

namespace gantry::cli {

namespace {

// A container's process as column → text.
struct ProcessRow {
  std::string service;
  std::string number;  // "" for one-offs
  std::map<std::string, std::string> columns;
};

// `ps` of other containers may have other columns: all of them, in order of appearance, the command last.
void add_titles(const std::vector<std::string>& titles, std::vector<std::string>& all) {
  for (const std::string& title : titles) {
    if (title != "CMD" && std::find(all.begin(), all.end(), title) == all.end()) all.push_back(title);
  }
}

std::string table_text(const std::vector<ProcessRow>& rows, std::vector<std::string> titles) {
  titles.push_back("CMD");
  std::vector<std::string> header{"SERVICE", "#"};
  header.insert(header.end(), titles.begin(), titles.end());
  Table table(header);
  for (const ProcessRow& row : rows) {
    std::vector<std::string> cells{row.service, row.number};
    for (const std::string& title : titles) {
      const auto cell = row.columns.find(title);
      cells.push_back(cell == row.columns.end() || cell->second.empty() ? "-" : cell->second);
    }
    table.add(std::move(cells));
  }
  return table.text();
}

Result<int> top(Session& session, const Arguments& arguments) {
  client::ApiClient* api = TRY(session.api());
  const auto containers =
      TRY(find_containers(session, TRY(session.project_name()), arguments.positional(), {"running", "paused"}));
  std::vector<ProcessRow> rows;
  std::vector<std::string> titles;
  for (const ContainerRow& container : containers) {
    const auto answer = TRY(api->request("GET", container_path(container.id, "top")));
    if (answer.status == 404 || answer.status == 409) continue;  // ended just now
    const ProcessTable processes = TRY(parse_processes(TRY(client::Response(answer).ok_body())));
    add_titles(processes.titles, titles);
    for (const auto& cells : processes.rows) {
      ProcessRow row{.service = container.service(),
                     .number = container.one_off() ? "" : std::to_string(container.number())};
      for (size_t i = 0; i < cells.size(); ++i) {
        const std::string& title = processes.titles[i];
        row.columns[title == "COMMAND" ? "CMD" : title] = cells[i];
      }
      rows.push_back(std::move(row));
    }
  }
  std::erase(titles, "COMMAND");
  if (!rows.empty()) session.out.write(table_text(rows, std::move(titles)));
  return 0;
}

}  // namespace

const Command kTop{.syntax = {.name = "top", .arguments = "[SERVICE...]", .summary = "Show the running processes"},
                   .run = top};

}  // namespace gantry::cli
