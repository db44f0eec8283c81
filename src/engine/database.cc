#include "engine/database.h"

#include <sqlite3.h>
#include <sys/stat.h>

#include <array>

#include "base/fault.h"
#include "base/scope_exit.h"

namespace gantry::engine {
namespace {

// The schema's history: entry n brings a file of version n to n + 1. Entries are never changed, only added.
constexpr std::array kMigrations = {
    "CREATE TABLE containers (id TEXT PRIMARY KEY, spec TEXT NOT NULL, details TEXT NOT NULL, state TEXT NOT NULL)"
    " WITHOUT ROWID;"
    "CREATE TABLE networks (id TEXT PRIMARY KEY, json TEXT NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE volumes (name TEXT PRIMARY KEY, json TEXT NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE projects (name TEXT PRIMARY KEY, json TEXT NOT NULL) WITHOUT ROWID;",
    // A state changes often and is small: beside its specification, each change wrote all of that anew, five pages for one.
    "CREATE TABLE container_states (id TEXT PRIMARY KEY, state TEXT NOT NULL) WITHOUT ROWID;"
    "INSERT INTO container_states (id, state) SELECT id, state FROM containers;"
    "ALTER TABLE containers DROP COLUMN state;",
};

enum Statement {
  kBegin,
  kCommit,
  kRollback,
  kSaveContainer,
  kSaveContainerSpec,
  kMakeContainerState,
  kSaveContainerState,
  kRemoveContainer,
  kRemoveContainerState,
  kLoadContainers,
  kSaveNetwork,
  kRemoveNetwork,
  kLoadNetworks,
  kSaveVolume,
  kRemoveVolume,
  kLoadVolumes,
  kSaveProject,
  kRemoveProject,
  kLoadProjects,
  kStatementCount,
};

// What is executed, and for writes the fault point's name: "store network before" and "store network after".
struct Sql {
  const char* text;
  const char* point = nullptr;
};

constexpr std::array<Sql, kStatementCount> kSql = {{
    {"BEGIN IMMEDIATE", "store begin"},
    {"COMMIT", "store commit"},
    {"ROLLBACK"},
    {"INSERT OR REPLACE INTO containers (id, spec, details) VALUES (?, ?, ?)", "store container"},
    {"UPDATE containers SET spec = ?2 WHERE id = ?1", "store container spec"},
    {"INSERT OR REPLACE INTO container_states (id, state) VALUES (?, ?)"},
    {"UPDATE container_states SET state = ?2 WHERE id = ?1", "store container state"},
    {"DELETE FROM containers WHERE id = ?", "store container removal"},
    {"DELETE FROM container_states WHERE id = ?"},
    {"SELECT id, spec, details, state FROM containers JOIN container_states USING (id) ORDER BY id"},
    {"INSERT OR REPLACE INTO networks (id, json) VALUES (?, ?)", "store network"},
    {"DELETE FROM networks WHERE id = ?", "store network removal"},
    {"SELECT id, json FROM networks ORDER BY id"},
    {"INSERT OR REPLACE INTO volumes (name, json) VALUES (?, ?)", "store volume"},
    {"DELETE FROM volumes WHERE name = ?", "store volume removal"},
    {"SELECT name, json FROM volumes ORDER BY name"},
    {"INSERT OR REPLACE INTO projects (name, json) VALUES (?, ?)", "store project"},
    {"DELETE FROM projects WHERE name = ?", "store project removal"},
    {"SELECT name, json FROM projects ORDER BY name"},
}};

std::string column(sqlite3_stmt* statement, int index) {
  const auto* text = reinterpret_cast<const char*>(sqlite3_column_text(statement, index));
  return text == nullptr ? std::string() : std::string(text, static_cast<size_t>(sqlite3_column_bytes(statement, index)));
}

}  // namespace

struct Database::Statements {
  std::array<sqlite3_stmt*, kStatementCount> prepared{};
  ~Statements() {
    for (sqlite3_stmt* statement : prepared) sqlite3_finalize(statement);
  }
};

Database::Database(std::filesystem::path file, bool existed)
    : file_(std::move(file)), existed_(existed), statements_(std::make_unique<Statements>()) {}

Database::~Database() {
  statements_.reset();
  sqlite3_close(connection_);
}

Error Database::error(std::string_view doing) const {
  const int code = connection_ == nullptr ? SQLITE_NOMEM : sqlite3_errcode(connection_);
  const std::string text = file_.string() + ": " + std::string(doing) + ": " +
                           (connection_ == nullptr ? "out of memory" : sqlite3_errmsg(connection_));
  if (code == SQLITE_NOTADB || code == SQLITE_CORRUPT) {
    return internal_error(text + ": the store is damaged. Nothing was changed, and containers go on: put a copy of the "
                                 "file back, or use another --data-root");
  }
  return {code == SQLITE_FULL ? Code::exhausted : Code::internal, text};
}

Result<std::unique_ptr<Database>> Database::open(const std::filesystem::path& file) {
  std::error_code ignored;
  const bool existed = std::filesystem::exists(file, ignored);
  std::unique_ptr<Database> database(new Database(file, existed));
  const mode_t old_mask = umask(0077);  // the journal files get the mode, too
  const int code = sqlite3_open_v2(file.c_str(), &database->connection_,
                                   SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, nullptr);
  umask(old_mask);
  if (code != SQLITE_OK) return database->error("cannot be opened");
  sqlite3_busy_timeout(database->connection_, 5000);
  TRY(database->execute("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;"));
  TRY(database->migrate());
  TRY(database->prepare());
  return database;
}

Result<> Database::execute(const char* sql) {
  if (sqlite3_exec(connection_, sql, nullptr, nullptr, nullptr) != SQLITE_OK) return error("cannot be set up");
  return {};
}

Result<> Database::migrate() {
  sqlite3_stmt* query = nullptr;
  if (sqlite3_prepare_v2(connection_, "PRAGMA user_version", -1, &query, nullptr) != SQLITE_OK) {
    return error("cannot be read");
  }
  sqlite3_step(query);
  const int version = sqlite3_column_int(query, 0);
  sqlite3_finalize(query);
  const int newest = static_cast<int>(kMigrations.size());
  if (version > newest) {
    return Error(Code::internal, file_.string() + ": was written by a newer Gantry (store version " +
                                     std::to_string(version) + ", this one knows " + std::to_string(newest) +
                                     "): use that one, or another --data-root");
  }
  for (int from = version; from < newest; ++from) {
    const std::string step = "BEGIN IMMEDIATE;" + std::string(kMigrations[static_cast<size_t>(from)]) +
                             "PRAGMA user_version = " + std::to_string(from + 1) + ";COMMIT;";
    TRY(execute(step.c_str()));
  }
  return {};
}

Result<> Database::prepare() {
  for (size_t i = 0; i < kSql.size(); ++i) {
    if (sqlite3_prepare_v3(connection_, kSql[i].text, -1, SQLITE_PREPARE_PERSISTENT, &statements_->prepared[i], nullptr) !=
        SQLITE_OK) {
      return error("cannot be used");
    }
  }
  return {};
}

Result<> Database::write(int statement, std::initializer_list<std::string_view> values) {
  sqlite3_stmt* prepared = statements_->prepared[static_cast<size_t>(statement)];
  ScopeExit reset([&] {
    sqlite3_reset(prepared);
    sqlite3_clear_bindings(prepared);
  });
  int index = 0;
  for (std::string_view value : values) {
    sqlite3_bind_text64(prepared, ++index, value.data() == nullptr ? "" : value.data(), value.size(), SQLITE_STATIC,
                        SQLITE_UTF8);
  }
  const char* point = kSql[static_cast<size_t>(statement)].point;
  if (point != nullptr) fault_point(point, " before");
  int code = SQLITE_ROW;
  while (code == SQLITE_ROW) code = sqlite3_step(prepared);
  if (code != SQLITE_DONE) return error("write failed");
  if (point != nullptr) fault_point(point, " after");
  return {};
}

Result<> Database::transaction(Function<Result<>()> change) {
  TRY(write(kBegin, {}));
  Result<> changed = change();
  if (changed.ok()) changed = write(kCommit, {});
  if (!changed.ok()) (void)write(kRollback, {}).ok();  // the first error is the one to tell
  return changed;
}

Result<> Database::save_container(const ContainerRow& row) {
  TRY(write(kSaveContainer, {row.id.str(), row.spec, row.details}));
  return write(kMakeContainerState, {row.id.str(), row.state});
}
Result<> Database::save_container_spec(const ContainerId& id, const std::string& spec) {
  return write(kSaveContainerSpec, {id.str(), spec});
}
Result<> Database::save_container_state(const ContainerId& id, const std::string& state) {
  return write(kSaveContainerState, {id.str(), state});
}
Result<> Database::remove_container(const ContainerId& id) {
  TRY(write(kRemoveContainer, {id.str()}));
  return write(kRemoveContainerState, {id.str()});
}

Result<std::vector<ContainerRow>> Database::load_containers() {
  sqlite3_stmt* query = statements_->prepared[kLoadContainers];
  ScopeExit reset([&] { sqlite3_reset(query); });
  std::vector<ContainerRow> rows;
  int code = sqlite3_step(query);
  for (; code == SQLITE_ROW; code = sqlite3_step(query)) {
    rows.push_back({.id = ContainerId(column(query, 0)),
                    .spec = column(query, 1),
                    .details = column(query, 2),
                    .state = column(query, 3)});
  }
  if (code != SQLITE_DONE) return error("containers cannot be read");
  return rows;
}

Result<std::vector<NamedRow>> Database::read_pairs(int statement) {
  sqlite3_stmt* query = statements_->prepared[static_cast<size_t>(statement)];
  ScopeExit reset([&] { sqlite3_reset(query); });
  std::vector<NamedRow> rows;
  int code = sqlite3_step(query);
  for (; code == SQLITE_ROW; code = sqlite3_step(query)) rows.push_back({column(query, 0), column(query, 1)});
  if (code != SQLITE_DONE) return error("cannot be read");
  return rows;
}

Result<> Database::save_network(const NetworkId& id, const std::string& json) {
  return write(kSaveNetwork, {id.str(), json});
}
Result<> Database::remove_network(const NetworkId& id) { return write(kRemoveNetwork, {id.str()}); }
Result<std::vector<NamedRow>> Database::load_networks() { return read_pairs(kLoadNetworks); }

Result<> Database::save_volume(const std::string& name, const std::string& json) {
  return write(kSaveVolume, {name, json});
}
Result<> Database::remove_volume(const std::string& name) { return write(kRemoveVolume, {name}); }
Result<std::vector<NamedRow>> Database::load_volumes() { return read_pairs(kLoadVolumes); }

Result<> Database::save_project(const std::string& name, const std::string& json) {
  return write(kSaveProject, {name, json});
}
Result<> Database::remove_project(const std::string& name) { return write(kRemoveProject, {name}); }
Result<std::map<std::string, std::string>> Database::load_projects() {
  std::map<std::string, std::string> projects;
  for (NamedRow& row : TRY(read_pairs(kLoadProjects))) projects.emplace(std::move(row.key), std::move(row.json));
  return projects;
}

}  // namespace gantry::engine
