// The store: one SQLite file that holds everything the engine and the controller must know after a restart.
// When a call has returned, what it wrote survives `kill -9` of the daemon (WAL, synchronous=NORMAL; a power
// cut may lose the last commits but never the file's consistency). Values are JSON texts whose makers are
// iface/spec_json.h and container/record_json.h; the store does not look into them.
//
// Loop thread only. Errors: Code::exhausted when the disk is full, else internal; always naming the file.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/function.h"
#include "base/ids.h"
#include "base/result.h"

struct sqlite3;

namespace gantry::engine {

// A container's row: `spec` changes only with its name and networks, `details` never, `state` often.
struct ContainerRow {
  ContainerId id;
  std::string spec;     // ContainerSpec
  std::string details;  // image, resolved mounts, times
  std::string state;    // state, exit code, addresses
};

// A network's or volume's row.
struct NamedRow {
  std::string key;  // network id, volume name
  std::string json;
};

class Database {
 public:
  // Opens or creates the file (0600), brings an older one up to date. A newer one than this program knows
  // is refused: an older daemon would destroy what it does not understand.
  static Result<std::unique_ptr<Database>> open(const std::filesystem::path& file);
  ~Database();
  Database(const Database&) = delete;

  // False: the file was made by this open().
  bool existed() const { return existed_; }

  // Runs `change` in one transaction: all of its writes or none.
  Result<> transaction(Function<Result<>()> change);

  // The first and the last of these are several writes: within a transaction.
  Result<> save_container(const ContainerRow& row);
  Result<> save_container_spec(const ContainerId& id, const std::string& spec);
  Result<> save_container_state(const ContainerId& id, const std::string& state);
  Result<> remove_container(const ContainerId& id);
  Result<std::vector<ContainerRow>> load_containers();

  Result<> save_network(const NetworkId& id, const std::string& json);
  Result<> remove_network(const NetworkId& id);
  Result<std::vector<NamedRow>> load_networks();

  Result<> save_volume(const std::string& name, const std::string& json);
  Result<> remove_volume(const std::string& name);
  Result<std::vector<NamedRow>> load_volumes();

  // For the controller's ProjectStore: name → what it wants kept.
  Result<> save_project(const std::string& name, const std::string& json);
  Result<> remove_project(const std::string& name);
  Result<std::map<std::string, std::string>> load_projects();

 private:
  struct Statements;
  Database(std::filesystem::path file, bool existed);
  Result<> prepare();
  Result<> migrate();
  Result<> execute(const char* sql);
  Error error(std::string_view doing) const;
  // Binds the texts in order and runs the statement (one of ours by its index) to its end.
  Result<> write(int statement, std::initializer_list<std::string_view> values);
  Result<std::vector<NamedRow>> read_pairs(int statement);

  std::filesystem::path file_;
  bool existed_;
  sqlite3* connection_ = nullptr;
  std::unique_ptr<Statements> statements_;
};

}  // namespace gantry::engine
