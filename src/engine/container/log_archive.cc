#include "engine/container/log_archive.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/fd.h"
#include "base/strings.h"

namespace gantry::engine {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

constexpr size_t kMostRuns = 10;
constexpr uint64_t kMostBytes = 64u << 20;
constexpr size_t kMostAbout = 64u << 10;  // of run.json
constexpr char kAbout[] = "run.json";

bool is_plain(const std::string& name) {
  return !name.empty() && name.front() != '.' && name.find('/') == std::string::npos && name.size() <= 200;
}

std::vector<std::string> names_in(const fs::path& directory) {
  std::vector<std::string> names;
  std::error_code error;
  for (fs::directory_iterator at(directory, error), end; !error && at != end; at.increment(error)) {
    names.push_back(at->path().filename().native());
  }
  return names;
}

// Ascending.
std::vector<int> runs_in(const fs::path& replica) {
  std::vector<int> runs;
  for (const std::string& name : names_in(replica)) {
    if (const auto number = parse_unsigned(name); number && *number <= INT32_MAX) runs.push_back(static_cast<int>(*number));
  }
  std::sort(runs.begin(), runs.end());
  return runs;
}

uint64_t bytes_in(const fs::path& directory) {
  uint64_t bytes = 0;
  for (const std::string& name : names_in(directory)) {
    std::error_code error;
    const auto size = fs::file_size(directory / name, error);
    if (!error) bytes += size;
  }
  return bytes;
}

void drop_old_runs(const fs::path& replica) {
  std::vector<int> runs = runs_in(replica);
  std::reverse(runs.begin(), runs.end());
  uint64_t bytes = 0;
  for (size_t i = 0; i < runs.size(); ++i) {
    const fs::path directory = replica / std::to_string(runs[i]);
    bytes += bytes_in(directory);
    std::error_code error;  // what cannot be removed now is tried again after the next run
    if (i > 0 && (i >= kMostRuns || bytes > kMostBytes)) fs::remove_all(directory, error);
  }
}

std::string to_json(const PastRun& run) {
  const Json json = {{"project", run.project},
                     {"service", run.service},
                     {"replica", run.replica},
                     {"run", run.run},
                     {"container_id", run.container_id},
                     {"container_name", run.container_name},
                     {"started_at", run.started_at.time_since_epoch().count()},
                     {"finished_at", run.finished_at.time_since_epoch().count()},
                     {"exit_code", run.exit_code},
                     {"tty", run.tty},
                     {"log_name", run.log_name}};
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::optional<PastRun> parse_run(const std::string& text) {
  try {
    const Json json = Json::parse(text);
    PastRun run{.project = json.at("project"),
                .service = json.at("service"),
                .replica = json.at("replica"),
                .run = json.at("run"),
                .container_id = json.at("container_id"),
                .container_name = json.at("container_name"),
                .started_at = WallTime(std::chrono::nanoseconds(json.at("started_at").get<int64_t>())),
                .finished_at = WallTime(std::chrono::nanoseconds(json.at("finished_at").get<int64_t>())),
                .exit_code = json.at("exit_code"),
                .tty = json.at("tty"),
                .log_name = json.at("log_name")};
    if (!is_plain(run.log_name)) return std::nullopt;
    return run;
  } catch (const Json::exception&) {
    return std::nullopt;
  }
}

Result<> move_file(const fs::path& from, const fs::path& to) {
  std::error_code error;
  fs::rename(from, to, error);
  if (error) return Error::from_errno(error.value(), "rename", from.native());
  return {};
}

Result<> make_directories(const fs::path& path) {
  std::error_code error;
  fs::create_directories(path, error);
  if (error) return Error::from_errno(error.value(), "mkdir", path.native());
  return {};
}

}  // namespace

fs::path LogArchive::directory_of(const PastRun& run) const {
  return root_ / run.project / (run.service + "-" + std::to_string(run.replica)) / std::to_string(run.run);
}

fs::path LogArchive::log_of(const PastRun& run) const { return directory_of(run) / run.log_name; }

Result<> LogArchive::keep(PastRun about, const fs::path& log) const {
  if (!is_plain(about.project) || !is_plain(about.service)) return {};
  const fs::path replica = directory_of(about).parent_path();
  const std::vector<int> runs = runs_in(replica);
  about.run = runs.empty() ? 1 : runs.back() + 1;
  about.log_name = log.filename().native();
  const fs::path unfinished = replica / ".next";
  std::error_code error;
  fs::remove_all(unfinished, error);
  TRY(make_directories(unfinished));
  for (const std::string& name : names_in(log.parent_path())) {
    if (name.starts_with(about.log_name)) TRY(move_file(log.parent_path() / name, unfinished / name));
  }
  TRY(replace_file(unfinished / kAbout, to_json(about), 0600, false));
  TRY(move_file(unfinished, directory_of(about)));
  drop_old_runs(replica);
  return {};
}

std::vector<PastRun> LogArchive::list(const std::string& project) const {
  std::vector<PastRun> found;
  if (!is_plain(project)) return found;
  for (const std::string& replica : names_in(root_ / project)) {
    for (const int run : runs_in(root_ / project / replica)) {
      const auto text = read_file(root_ / project / replica / std::to_string(run) / kAbout, kMostAbout);
      if (!text.ok()) continue;  // dropped meanwhile
      auto about = parse_run(*text);
      if (about && about->project == project && about->run == run) found.push_back(std::move(*about));
    }
  }
  std::sort(found.begin(), found.end(), [](const PastRun& a, const PastRun& b) {
    return std::tie(a.service, a.replica, a.run) < std::tie(b.service, b.replica, b.run);
  });
  return found;
}

bool LogArchive::forget(const std::string& project, const fs::path& away) const {
  return is_plain(project) && move_file(root_ / project, away).ok();
}

std::vector<std::string> LogArchive::projects() const { return names_in(root_); }

}  // namespace gantry::engine
