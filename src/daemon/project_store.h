// The controller's memory, in the engine's database, and the logs of containers that were: both go when a project is
// forgotten. Loop thread only.
#pragma once

#include <filesystem>

#include "base/tasks.h"
#include "compose/controller.h"
#include "engine/container/log_archive.h"
#include "engine/database.h"

namespace gantry::daemon {

class DatabaseProjectStore final : public compose::ProjectStore {
 public:
  // `trash`: a directory on the same file system, emptied when a daemon starts.
  DatabaseProjectStore(engine::Database& database, engine::LogArchive logs, std::filesystem::path trash, Tasks& tasks)
      : database_(database), logs_(std::move(logs)), trash_(std::move(trash)), tasks_(tasks) {}

  Result<> save(const std::string& name, const std::string& json) override {
    return database_.save_project(name, json);
  }
  Result<> remove(const std::string& name) override;
  Result<std::map<std::string, std::string>> load_all() override { return database_.load_projects(); }

  // Logs of projects that the daemon's end kept from being forgotten whole.
  Result<> remove_stray_logs();

 private:
  void remove_logs(const std::string& project);

  engine::Database& database_;
  engine::LogArchive logs_;
  std::filesystem::path trash_;
  Tasks& tasks_;
  int removed_ = 0;  // names what lies in `trash_`
};

}  // namespace gantry::daemon
