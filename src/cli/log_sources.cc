#include "cli/log_sources.h"

#include <algorithm>

#include "base/strings.h"
#include "cli/commands/commands.h"
#include "cli/json_view.h"
#include "cli/log_printer.h"
#include "cli/operation.h"

namespace gantry::cli {

namespace {

// Everything of one replica.
struct Replica {
  std::vector<const PastRunRow*> past;  // oldest first
  const ContainerRow* present = nullptr;
  int present_run() const { return past.empty() ? 1 : past.back()->run + 1; }
};
using Replicas = std::map<std::pair<std::string, int>, Replica>;

Replicas by_replica(const std::vector<ContainerRow>& present, const std::vector<PastRunRow>& past) {
  Replicas replicas;
  for (const PastRunRow& row : past) replicas[{row.service, row.replica}].past.push_back(&row);
  for (const ContainerRow& row : present) replicas[{row.service(), row.number()}].present = &row;
  for (auto& [key, replica] : replicas) {
    std::sort(replica.past.begin(), replica.past.end(), [](const auto* a, const auto* b) { return a->run < b->run; });
  }
  return replicas;
}

bool is_wished(const RunWish& wish, int run, int present_run) {
  return wish.all || run == (wish.number > 0 ? wish.number : present_run + wish.number);
}

LogSource source_of(const std::string& project, const PastRunRow& row) {
  return {.name = row.service + "-" + std::to_string(row.replica) + "#" + std::to_string(row.run),
          .path = project_path(project, "runs/" + client::url_encode(row.container_id) + "/logs"),
          .tty = row.tty,
          .container = row.container_id};
}

LogSource source_of(const std::string& project, const ContainerRow& row) {
  return {.name = display_name(row.name, project, row.one_off()),
          .path = container_path(row.id, "logs"),
          .tty = std::nullopt,
          .container = row.id};
}

// "web-1: 2 to 4".
std::string runs_text(const std::string& service, int number, const Replica& replica) {
  const int first = replica.past.empty() ? replica.present_run() : replica.past.front()->run;
  const int last = replica.present != nullptr ? replica.present_run() : replica.past.back()->run;
  std::string text = service + "-" + std::to_string(number) + ": " + std::to_string(first);
  return first == last ? text : text + " to " + std::to_string(last);
}

}  // namespace

Result<RunWish> parse_run_wish(const std::string& text) {
  if (text == "all") return RunWish{.all = true};
  const bool is_negative = text.starts_with('-');
  const auto number = parse_unsigned(is_negative ? std::string_view(text).substr(1) : std::string_view(text));
  if (!number || *number > 1'000'000'000) {
    return invalid("invalid --run value " + gantry::quoted(text) +
                   ": give the number of a run, 0 for the container that is there, -1 for the one before, or all");
  }
  const int value = static_cast<int>(*number);
  return RunWish{.number = is_negative ? -value : value};
}

Result<std::vector<PastRunRow>> parse_past_runs(std::string_view text) {
  const Json json = TRY(parsed(text));
  std::vector<PastRunRow> rows;
  for (const View& view : View(&json).items()) {
    rows.push_back({.service = view["service"].text(),
                    .replica = static_cast<int>(view["replica"].number()),
                    .run = static_cast<int>(view["run"].number()),
                    .container_id = view["container_id"].text(),
                    .tty = view["tty"].flag()});
  }
  return rows;
}

std::vector<LogSource> sources_of(const std::string& project, const std::vector<ContainerRow>& present) {
  std::vector<LogSource> sources;
  for (const ContainerRow& row : present) sources.push_back(source_of(project, row));
  return sources;
}

Result<std::vector<LogSource>> select_runs(const std::string& project, const std::vector<ContainerRow>& present,
                                           const std::vector<PastRunRow>& past, const RunWish& wish) {
  std::vector<LogSource> sources;
  std::vector<std::string> known;
  for (const auto& [key, replica] : by_replica(present, past)) {
    const int last = replica.present_run();
    for (const PastRunRow* row : replica.past) {
      if (is_wished(wish, row->run, last)) sources.push_back(source_of(project, *row));
    }
    if (replica.present != nullptr && is_wished(wish, last, last)) sources.push_back(source_of(project, *replica.present));
    known.push_back(runs_text(key.first, key.second, replica));
  }
  if (!sources.empty() || known.empty()) return sources;
  return not_found("no such run; there are those of " + join(known, ", "));
}

}  // namespace gantry::cli
