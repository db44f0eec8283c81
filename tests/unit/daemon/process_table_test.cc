#include "daemon/docker/process_table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace gantry::daemon::docker {
namespace {

using testing::ElementsAre;

TEST(ProcessTable, KeepsTheMembersRows) {
  const auto table = parse_ps_output(
      "UID          PID    PPID  C STIME TTY          TIME CMD\n"
      "root           1       0  0 10:00 ?        00:00:01 /sbin/init splash\n"
      "root         712     700  0 10:01 ?        00:00:00 sh -c sleep   1000\n",
      {712});
  ASSERT_TRUE(table.ok());
  EXPECT_THAT(table->titles, ElementsAre("UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"));
  ASSERT_EQ(table->rows.size(), 1u);
  EXPECT_THAT(table->rows[0], ElementsAre("root", "712", "700", "0", "10:01", "?", "00:00:00", "sh -c sleep   1000"));
}

TEST(ProcessTable, WantsAPidColumn) {
  EXPECT_EQ(parse_ps_output("COMMAND\nsh\n", {1}).error().message(), "Couldn't find PID field in ps output");
  EXPECT_EQ(parse_ps_output("", {1}).error().message(), "Couldn't find PID field in ps output");
}

TEST(ProcessTable, RefusesAColumnThatPretendsToBePid) {
  EXPECT_EQ(parse_ps_arguments("-eo user=PID,cmd").error().message(), "specifying \"user=PID\" is not allowed");
  EXPECT_EQ(parse_ps_arguments("-eo user= PID").ok(), true);
  EXPECT_THAT(*parse_ps_arguments("  -eo pid=PID,cmd  aux "), ElementsAre("-eo", "pid=PID,cmd", "aux"));
}

}  // namespace
}  // namespace gantry::daemon::docker
