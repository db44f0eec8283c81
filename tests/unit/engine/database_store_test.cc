#include <sqlite3.h>
#include <sys/stat.h>

#include "engine/database.h"
#include "unit/engine/image_fixture.h"

namespace gantry::engine {
namespace {

class DatabaseTest : public testing::Test {
 protected:
  std::unique_ptr<Database> open() {
    auto database = Database::open(directory_ / "engine.db");
    EXPECT_TRUE(database.ok()) << database.error().message();
    return database.ok() ? *std::move(database) : nullptr;
  }
  void change_by_hand(const char* sql) {
    sqlite3* raw = nullptr;
    ASSERT_EQ(sqlite3_open((directory_ / "engine.db").c_str(), &raw), SQLITE_OK);
    ASSERT_EQ(sqlite3_exec(raw, sql, nullptr, nullptr, nullptr), SQLITE_OK) << sqlite3_errmsg(raw);
    sqlite3_close(raw);
  }
  TemporaryDirectory directory_;
};

TEST_F(DatabaseTest, WhatWasWrittenIsThereAfterAReopen) {
  {
    auto database = open();
    EXPECT_FALSE(database->existed());
    ASSERT_TRUE(database->save_container({ContainerId("c1"), "spec", "details", "state"}).ok());
    ASSERT_TRUE(database->save_container_state(ContainerId("c1"), "state 2").ok());
    ASSERT_TRUE(database->save_network(NetworkId("n1"), "{}").ok());
    ASSERT_TRUE(database->save_volume("v1", "{\"a\":1}").ok());
    ASSERT_TRUE(database->save_project("shop", std::string("with \0 byte", 11)).ok());
  }
  auto database = open();
  EXPECT_TRUE(database->existed());
  const auto rows = VALUE(database->load_containers());
  ASSERT_EQ(rows.size(), 1u);
  EXPECT_EQ(rows[0].id.str() + rows[0].spec + rows[0].details + rows[0].state, "c1specdetailsstate 2");
  EXPECT_EQ(VALUE(database->load_networks())[0].key, "n1");
  EXPECT_EQ(VALUE(database->load_volumes())[0].json, "{\"a\":1}");
  EXPECT_EQ(VALUE(database->load_projects()).at("shop"), std::string("with \0 byte", 11));
}

TEST_F(DatabaseTest, WhatWasRemovedIsGone) {
  auto database = open();
  ASSERT_TRUE(database->save_project("shop", "1").ok());
  ASSERT_TRUE(database->save_project("shop", "2").ok());
  EXPECT_EQ(VALUE(database->load_projects()).at("shop"), "2");
  ASSERT_TRUE(database->remove_project("shop").ok());
  ASSERT_TRUE(database->remove_project("shop").ok());
  EXPECT_TRUE(VALUE(database->load_projects()).empty());
}

TEST_F(DatabaseTest, AFailedTransactionLeavesNothing) {
  auto database = open();
  auto failed = database->transaction([&]() -> Result<> {
    TRY(database->save_volume("v", "{}"));
    return invalid("no");
  });
  EXPECT_EQ(failed.error().message(), "no");
  EXPECT_TRUE(VALUE(database->load_volumes()).empty());
  EXPECT_TRUE(database->transaction([&] { return database->save_volume("v", "{}"); }).ok());
  EXPECT_EQ(VALUE(database->load_volumes()).size(), 1u);
}

TEST_F(DatabaseTest, OfARemovedContainerNothingStays) {
  auto database = open();
  const ContainerId id("c1");
  ASSERT_TRUE(database->save_container({id, "spec", "details", "state"}).ok());
  ASSERT_TRUE(database->remove_container(id).ok());
  ASSERT_TRUE(database->save_container_state(id, "late").ok());
  EXPECT_TRUE(VALUE(database->load_containers()).empty());
  ASSERT_TRUE(database->save_container({id, "spec 2", "details 2", "state 2"}).ok());
  const auto rows = VALUE(database->load_containers());
  ASSERT_EQ(rows.size(), 1u);
  EXPECT_EQ(rows[0].spec + rows[0].state, "spec 2state 2");
}

TEST_F(DatabaseTest, AContainersStateIsWrittenWithoutItsSpecification) {
  auto database = open();
  const ContainerId id("c1");
  ASSERT_TRUE(database->save_container({id, std::string(50'000, 'x'), "details", "state"}).ok());
  const auto journal = directory_ / "engine.db-wal";
  const auto before = std::filesystem::file_size(journal);
  ASSERT_TRUE(database->save_container_state(id, "state 2").ok());
  EXPECT_LT(std::filesystem::file_size(journal), before + 10'000);
}

TEST_F(DatabaseTest, AStoreOfTheFirstVersionKeepsItsContainers) {
  change_by_hand(
      "CREATE TABLE containers (id TEXT PRIMARY KEY, spec TEXT NOT NULL, details TEXT NOT NULL, state TEXT NOT NULL)"
      " WITHOUT ROWID;"
      "CREATE TABLE networks (id TEXT PRIMARY KEY, json TEXT NOT NULL) WITHOUT ROWID;"
      "CREATE TABLE volumes (name TEXT PRIMARY KEY, json TEXT NOT NULL) WITHOUT ROWID;"
      "CREATE TABLE projects (name TEXT PRIMARY KEY, json TEXT NOT NULL) WITHOUT ROWID;"
      "INSERT INTO containers VALUES ('c1', 'spec', 'details', 'state'), ('c2', 'spec 2', 'details 2', 'state 2');"
      "PRAGMA user_version = 1");
  for (int opened = 0; opened < 2; ++opened) {
    const auto rows = VALUE(open()->load_containers());
    ASSERT_EQ(rows.size(), 2u);
    EXPECT_EQ(rows[1].id.str() + rows[1].spec + rows[1].details + rows[1].state, "c2spec 2details 2state 2");
  }
}

TEST_F(DatabaseTest, AStoreFromANewerGantryIsRefused) {
  open();
  change_by_hand("PRAGMA user_version = 99");
  auto refused = Database::open(directory_ / "engine.db");
  ASSERT_FALSE(refused.ok());
  EXPECT_NE(refused.error().message().find("was written by a newer Gantry"), std::string::npos);
}

TEST_F(DatabaseTest, AFileThatIsNoDatabaseIsRefused) {
  ASSERT_TRUE(write_file(directory_ / "engine.db", std::string(5000, 'x')).ok());
  auto refused = Database::open(directory_ / "engine.db");
  ASSERT_FALSE(refused.ok());
  EXPECT_NE(refused.error().message().find("engine.db"), std::string::npos);
}

TEST_F(DatabaseTest, OnlyItsOwnerReadsTheFile) {
  open();
  struct stat status {};
  ASSERT_EQ(stat((directory_ / "engine.db").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600u);
}

}  // namespace
}  // namespace gantry::engine
