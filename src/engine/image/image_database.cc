#include "engine/image/image_database.h"

#include <sqlite3.h>
#include <sys/stat.h>

#include <array>

#include "base/fault.h"
#include "base/fd.h"
#include "base/scope_exit.h"
#include "base/strings.h"

namespace gantry::engine {
namespace {

// Entry n brings a file of version n to n + 1; entries are only ever added.
constexpr std::array kImageMigrations = {
    "CREATE TABLE layers (chain TEXT PRIMARY KEY, diff_id TEXT NOT NULL, parent TEXT NOT NULL, size INTEGER NOT NULL,"
    " unsynced_boot TEXT NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE layer_blobs (diff_id TEXT PRIMARY KEY, digest TEXT NOT NULL, media_type TEXT NOT NULL,"
    " size INTEGER NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE images (id TEXT PRIMARY KEY, parent TEXT NOT NULL, tagged INTEGER NOT NULL, blobs TEXT NOT NULL)"
    " WITHOUT ROWID;"
    "CREATE TABLE names (name TEXT PRIMARY KEY, image TEXT NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE cache (key TEXT PRIMARY KEY, value TEXT NOT NULL, used INTEGER NOT NULL) WITHOUT ROWID;",
};

uint64_t number(const std::string& text) { return parse_unsigned(text).value_or(0); }

}  // namespace

ImageDatabase::~ImageDatabase() { sqlite3_close(connection_); }

Error ImageDatabase::error(std::string_view doing) const {
  const int code = connection_ == nullptr ? SQLITE_NOMEM : sqlite3_errcode(connection_);
  return {code == SQLITE_FULL ? Code::exhausted : Code::internal,
          file_.string() + ": " + std::string(doing) + ": " +
              (connection_ == nullptr ? "out of memory" : sqlite3_errmsg(connection_))};
}

Result<std::unique_ptr<ImageDatabase>> ImageDatabase::open(const std::filesystem::path& file) {
  std::unique_ptr<ImageDatabase> database(new ImageDatabase(file));
  const int code = sqlite3_open_v2(file.c_str(), &database->connection_,
                                   SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, nullptr);
  if (code != SQLITE_OK) return database->error("cannot be opened");
  sqlite3_busy_timeout(database->connection_, 5000);
  TRY(database->run("PRAGMA journal_mode = WAL"));
  TRY(database->run("PRAGMA synchronous = NORMAL"));
  const std::vector<Row> version = TRY(database->run("PRAGMA user_version"));
  const size_t known = kImageMigrations.size();
  const size_t found = version.empty() ? 0 : number(version.front().front());
  if (found > known) {
    return internal_error(file.string() + ": was written by a newer Gantry: use that one, or another --data-root");
  }
  for (size_t from = found; from < known; ++from) {
    const std::string step = "BEGIN IMMEDIATE;" + std::string(kImageMigrations.at(from)) +
                             "PRAGMA user_version = " + std::to_string(from + 1) + ";COMMIT;";
    if (sqlite3_exec(database->connection_, step.c_str(), nullptr, nullptr, nullptr) != SQLITE_OK) {
      return database->error("cannot be set up");
    }
  }
  return database;
}

Result<std::vector<ImageDatabase::Row>> ImageDatabase::run(const char* sql,
                                                           std::initializer_list<std::string_view> values) {
  sqlite3_stmt* statement = nullptr;
  if (sqlite3_prepare_v2(connection_, sql, -1, &statement, nullptr) != SQLITE_OK) return error("cannot be used");
  ScopeExit finalize([&] { sqlite3_finalize(statement); });
  int index = 0;
  for (std::string_view value : values) {
    sqlite3_bind_text64(statement, ++index, value.data() == nullptr ? "" : value.data(), value.size(), SQLITE_STATIC,
                        SQLITE_UTF8);
  }
  std::vector<Row> rows;
  int code = sqlite3_step(statement);
  for (; code == SQLITE_ROW; code = sqlite3_step(statement)) {
    Row& row = rows.emplace_back();
    for (int column = 0; column < sqlite3_column_count(statement); ++column) {
      const auto* text = reinterpret_cast<const char*>(sqlite3_column_text(statement, column));
      row.emplace_back(text == nullptr ? "" : text, static_cast<size_t>(sqlite3_column_bytes(statement, column)));
    }
  }
  if (code != SQLITE_DONE) return error("failed");
  return rows;
}

Result<> ImageDatabase::write(const char* sql, std::initializer_list<std::string_view> values) {
  fault_point("images write before");
  TRY(run(sql, values));
  fault_point("images write after");
  return {};
}

Result<> ImageDatabase::sync() const {
  const std::string log = file_.native() + "-wal";
  const Fd file = TRY(open_file(log, O_RDONLY));
  if (fsync(file.get()) != 0) return Error::from_errno(errno, "fsync", log);
  return {};
}

Result<> ImageDatabase::transaction(Function<Result<>()> change) {
  TRY(write("BEGIN IMMEDIATE"));
  Result<> changed = change();
  if (changed.ok()) changed = write("COMMIT");
  if (!changed.ok()) (void)write("ROLLBACK").ok();  // the first error is the one to tell
  return changed;
}

Result<std::vector<LayerRow>> ImageDatabase::layers() {
  std::vector<LayerRow> rows;
  for (Row& row : TRY(run("SELECT chain, diff_id, parent, size, unsynced_boot FROM layers"))) {
    rows.push_back({.chain = std::move(row[0]),
                    .diff_id = std::move(row[1]),
                    .parent = std::move(row[2]),
                    .size = number(row[3]),
                    .unsynced_boot = std::move(row[4])});
  }
  return rows;
}

Result<std::vector<LayerBlobRow>> ImageDatabase::layer_blobs() {
  std::vector<LayerBlobRow> rows;
  for (Row& row : TRY(run("SELECT diff_id, digest, media_type, size FROM layer_blobs"))) {
    rows.push_back({.diff_id = std::move(row[0]),
                    .digest = std::move(row[1]),
                    .media_type = std::move(row[2]),
                    .size = number(row[3])});
  }
  return rows;
}

Result<std::vector<ImageRow>> ImageDatabase::images() {
  std::vector<ImageRow> rows;
  for (Row& row : TRY(run("SELECT id, parent, tagged, blobs FROM images"))) {
    ImageRow& image = rows.emplace_back();
    image.id = std::move(row[0]);
    image.parent = std::move(row[1]);
    image.tagged_ns = static_cast<int64_t>(number(row[2]));
    if (!row[3].empty()) image.blobs = split(row[3], ' ');
  }
  return rows;
}

Result<std::vector<NameRow>> ImageDatabase::names() {
  std::vector<NameRow> rows;
  for (Row& row : TRY(run("SELECT name, image FROM names"))) {
    rows.push_back({.name = std::move(row[0]), .image = std::move(row[1])});
  }
  return rows;
}

Result<> ImageDatabase::save(const LayerRow& row) {
  return write("INSERT OR REPLACE INTO layers VALUES (?, ?, ?, CAST(? AS INTEGER), ?)",
               {row.chain, row.diff_id, row.parent, std::to_string(row.size), row.unsynced_boot});
}
Result<> ImageDatabase::save(const LayerBlobRow& row) {
  return write("INSERT OR REPLACE INTO layer_blobs VALUES (?, ?, ?, CAST(? AS INTEGER))",
               {row.diff_id, row.digest, row.media_type, std::to_string(row.size)});
}
Result<> ImageDatabase::save(const ImageRow& row) {
  return write("INSERT OR REPLACE INTO images VALUES (?, ?, CAST(? AS INTEGER), ?)",
               {row.id, row.parent, std::to_string(row.tagged_ns), join(row.blobs, " ")});
}
Result<> ImageDatabase::save(const NameRow& row) {
  return write("INSERT OR REPLACE INTO names VALUES (?, ?)", {row.name, row.image});
}
Result<> ImageDatabase::mark_synced(const std::string& chain) {
  return write("UPDATE layers SET unsynced_boot = '' WHERE chain = ?", {chain});
}
Result<> ImageDatabase::remove_layer(const std::string& chain) {
  return write("DELETE FROM layers WHERE chain = ?", {chain});
}
Result<> ImageDatabase::remove_layer_blob(const std::string& diff_id) {
  return write("DELETE FROM layer_blobs WHERE diff_id = ?", {diff_id});
}
Result<> ImageDatabase::remove_image(const std::string& id) { return write("DELETE FROM images WHERE id = ?", {id}); }
Result<> ImageDatabase::remove_name(const std::string& name) {
  return write("DELETE FROM names WHERE name = ?", {name});
}

Result<std::optional<std::string>> ImageDatabase::cache_get(const std::string& key, int64_t now_ns) {
  std::vector<Row> rows = TRY(run("SELECT value FROM cache WHERE key = ?", {key}));
  if (rows.empty()) return std::optional<std::string>();
  TRY(write("UPDATE cache SET used = CAST(?2 AS INTEGER) WHERE key = ?1", {key, std::to_string(now_ns)}));
  return {std::move(rows.front().front())};
}
Result<> ImageDatabase::cache_put(const std::string& key, const std::string& value, int64_t now_ns) {
  return write("INSERT OR REPLACE INTO cache VALUES (?, ?, CAST(? AS INTEGER))", {key, value, std::to_string(now_ns)});
}
Result<> ImageDatabase::cache_remove(const std::string& key) { return write("DELETE FROM cache WHERE key = ?", {key}); }

Result<std::vector<ImageDatabase::CacheRow>> ImageDatabase::cache() {
  std::vector<CacheRow> rows;
  for (Row& row : TRY(run("SELECT key, value, used FROM cache ORDER BY used"))) {
    rows.push_back(
        {.key = std::move(row[0]), .value = std::move(row[1]), .used_ns = static_cast<int64_t>(number(row[2]))});
  }
  return rows;
}

}  // namespace gantry::engine
