#include "daemon/project_store.h"

namespace gantry::daemon {

Result<> DatabaseProjectStore::remove(const std::string& name) {
  TRY(database_.remove_project(name));
  remove_logs(name);
  return {};
}

void DatabaseProjectStore::remove_logs(const std::string& project) {
  const std::filesystem::path away = trash_ / ("logs-" + std::to_string(++removed_));
  if (!logs_.forget(project, away)) return;
  tasks_.run(
      [away]() -> Result<> {
        std::error_code error;  // what stays is removed at the next start
        std::filesystem::remove_all(away, error);
        return {};
      },
      [](Result<>) {});
}

Result<> DatabaseProjectStore::remove_stray_logs() {
  const auto kept = TRY(load_all());
  for (const std::string& project : logs_.projects()) {
    if (!kept.contains(project)) remove_logs(project);
  }
  return {};
}

}  // namespace gantry::daemon
