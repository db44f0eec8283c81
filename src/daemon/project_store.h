// The controller's memory, in the engine's database. Loop thread only.
#pragma once

#include "compose/controller.h"
#include "engine/database.h"

namespace gantry::daemon {

class DatabaseProjectStore final : public compose::ProjectStore {
 public:
  explicit DatabaseProjectStore(engine::Database& database) : database_(database) {}
  Result<> save(const std::string& name, const std::string& json) override {
    return database_.save_project(name, json);
  }
  Result<> remove(const std::string& name) override { return database_.remove_project(name); }
  Result<std::map<std::string, std::string>> load_all() override { return database_.load_projects(); }

 private:
  engine::Database& database_;
};

}  // namespace gantry::daemon
