#include "engine/container/container_usage.h"

#include <gtest/gtest.h>

namespace gantry::engine {
namespace {

TEST(ContainerUsage, CountersAreLines) {
  const auto counters = parse_counters("usage_usec 17\nuser_usec 9\nodd\nname x\n");
  EXPECT_EQ(counters, (std::map<std::string, uint64_t>{{"usage_usec", 17}, {"user_usec", 9}}));
}

TEST(ContainerUsage, InterfacesWithoutLoopback) {
  const auto seen = parse_interfaces(
      "Inter-|   Receive                                                |  Transmit\n"
      " face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed\n"
      "    lo:     100       1    0    0    0     0          0         0      100       1    0    0    0     0       0          0\n"
      "  eth0:1234567     12    1    2    0     0          0         0     7654      34    3    4    0     0       0          0\n");
  ASSERT_EQ(seen.size(), 1u);
  EXPECT_EQ(seen.at("eth0"), (NetworkUsage{.received_bytes = 1234567,
                                           .received_packets = 12,
                                           .received_errors = 1,
                                           .received_dropped = 2,
                                           .sent_bytes = 7654,
                                           .sent_packets = 34,
                                           .sent_errors = 3,
                                           .sent_dropped = 4}));
}

TEST(ContainerUsage, BlockDevicesOfBothVersions) {
  const std::vector<BlockUsage> wanted = {
      {.major = 8, .minor = 16, .read_bytes = 4096, .written_bytes = 512, .reads = 3, .writes = 1}};
  EXPECT_EQ(parse_io_stat("8:16 rbytes=4096 wbytes=512 rios=3 wios=1 dbytes=0 dios=0\n"), wanted);
  EXPECT_EQ(parse_blkio("8:16 Read 4096\n8:16 Write 512\n8:16 Total 4608\nTotal 4608\n",
                        "8:16 Read 3\n8:16 Write 1\nTotal 4\n"),
            wanted);
}

TEST(ContainerUsage, CgroupsOfAProcessInAHybridMachine) {
  const auto groups = parse_process_cgroups(
      "5:cpu,cpuacct:/a\n4:memory:/b\n2:nosuch:/c\n0::/gantry-1/x\n",
      "30 23 0:26 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"
      "31 23 0:27 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
      "32 23 0:28 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n");
  EXPECT_EQ(groups, (std::map<std::string, std::string>{{"", "/sys/fs/cgroup/unified/gantry-1/x"},
                                                        {"cpu", "/sys/fs/cgroup/cpu,cpuacct/a"},
                                                        {"cpuacct", "/sys/fs/cgroup/cpu,cpuacct/a"},
                                                        {"memory", "/sys/fs/cgroup/memory/b"}}));
}

TEST(ContainerUsage, ReadsThisProcess) {
  const auto usage = read_usage(::getpid(), true);
  ASSERT_TRUE(usage.ok()) << usage.error().message();
  EXPECT_GT(usage->memory_bytes, 0u);
  EXPECT_GT(usage->memory_limit, usage->memory_bytes);
  EXPECT_GE(usage->processes, 1u);
  EXPECT_GT(*read_system_cpu(), usage->cpu_ns);  // which counts in ticks: a young process has none
}

TEST(ContainerUsage, AnEndedProcessIsAConflict) {
  EXPECT_EQ(read_usage(1 << 30, true).error().code(), Code::conflict);
}

}  // namespace
}  // namespace gantry::engine
