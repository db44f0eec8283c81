#include "engine/container/cgroup_plan.h"

#include <gtest/gtest.h>

namespace gantry::engine {
namespace {

constexpr const char* kHybrid = R"(31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct
34 31 0:31 / /sys/fs/cgroup/cpuset rw,relatime - cgroup cgroup rw,cpuset
35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
36 31 0:33 / /sys/fs/cgroup/devices rw,relatime - cgroup cgroup rw,devices
40 31 0:37 / /sys/fs/cgroup/my\040systemd rw,relatime - cgroup cgroup rw,xattr,name=systemd
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
)";

CgroupHost pure_v2() {
  CgroupHost host = parse_cgroup_mounts("30 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw,nsdelegate\n");
  host.unified_controllers = {"cpu", "memory", "pids"};
  return host;
}

// The writes to the container's own directories, one a line.
std::string limits(const CgroupHost& host, const Resources& resources, bool privileged = true) {
  std::string text;
  for (const auto& step : plan_cgroup(host, "gantry-1", ContainerId("abc"), resources, privileged).steps) {
    if (step.kind != shim::CgroupStep::Kind::write || step.path.ends_with("subtree_control")) continue;
    const size_t at = step.path.find("/gantry-1/abc/");
    text += step.path.substr(at == std::string::npos ? 0 : at + 14) + "=" + step.value + "\n";
  }
  return text;
}

TEST(CgroupMounts, HybridHasHierarchiesAndAUnifiedTree) {
  const CgroupHost host = parse_cgroup_mounts(kHybrid);
  EXPECT_EQ(host.unified, "/sys/fs/cgroup/unified");
  EXPECT_FALSE(host.pure_v2());
  ASSERT_NE(host.v1_of("cpuacct"), nullptr);
  EXPECT_EQ(host.v1_of("cpuacct")->mount, "/sys/fs/cgroup/cpu,cpuacct");
  ASSERT_NE(host.v1_of("name=systemd"), nullptr);
  EXPECT_EQ(host.v1_of("name=systemd")->mount, "/sys/fs/cgroup/my systemd");
  EXPECT_EQ(host.v1.size(), 5u);
}

TEST(CgroupMounts, PureV2HasNoHierarchies) {
  EXPECT_TRUE(pure_v2().pure_v2());
  EXPECT_EQ(pure_v2().unified, "/sys/fs/cgroup");
}

TEST(CgroupPlan, TheContainersV2DirectoryIsBelowTheSharedOneAndRemovedAlone) {
  const shim::CgroupPlan plan = plan_cgroup(pure_v2(), "gantry-1", ContainerId("abc"), {}, true);
  EXPECT_EQ(plan.unified, "/sys/fs/cgroup/gantry-1/abc");
  EXPECT_EQ(plan.directories, std::vector<std::string>{"/sys/fs/cgroup/gantry-1/abc"});
  EXPECT_EQ(plan.private_namespace, 1);
  EXPECT_TRUE(plan.attach.empty());
  EXPECT_TRUE(plan.mounts.empty());
}

TEST(CgroupPlan, V1LimitsAreWrittenAndTheirHierarchyIsJoined) {
  const Resources resources{.memory = 64 << 20, .nano_cpus = 500'000'000, .cpu_shares = 512};
  EXPECT_EQ(limits(parse_cgroup_mounts(kHybrid), resources), R"(memory.limit_in_bytes=67108864
memory.memsw.limit_in_bytes=134217728
cpu.shares=512
cpu.cfs_period_us=100000
cpu.cfs_quota_us=50000
)");
  const shim::CgroupPlan plan =
      plan_cgroup(parse_cgroup_mounts(kHybrid), "gantry-1", ContainerId("abc"), resources, true);
  EXPECT_EQ(plan.attach, (std::vector<std::string>{"/sys/fs/cgroup/memory/gantry-1/abc",
                                                   "/sys/fs/cgroup/cpu,cpuacct/gantry-1/abc"}));
  EXPECT_EQ(plan.unified, "/sys/fs/cgroup/unified/gantry-1/abc");
  EXPECT_EQ(plan.oom_file, "/sys/fs/cgroup/memory/gantry-1/abc/memory.oom_control");
  EXPECT_EQ(plan.private_namespace, 0);
}

TEST(CgroupPlan, V2LimitsHaveTheirOwnFilesAndFormulas) {
  const Resources resources{
      .memory = 64 << 20, .nano_cpus = 500'000'000, .cpu_shares = 1024, .pids_limit = 20};
  EXPECT_EQ(limits(pure_v2(), resources), R"(memory.max=67108864
memory.swap.max=67108864
cpu.weight=100
cpu.max=50000 100000
pids.max=20
)");
}

TEST(CgroupPlan, AV1CpusetInheritsItsParentsFromTheTopDown) {
  const shim::CgroupPlan plan = plan_cgroup(parse_cgroup_mounts(kHybrid), "gantry-1", ContainerId("abc"),
                                            {.cpuset_cpus = "0"}, true);
  std::string text;
  for (const auto& step : plan.steps) {
    if (!step.path.starts_with("/sys/fs/cgroup/cpuset/")) continue;
    text += step.path.substr(21) + " " + step.value + "\n";
  }
  EXPECT_EQ(text, R"(/gantry-1 
/gantry-1/cpuset.cpus /sys/fs/cgroup/cpuset/cpuset.cpus
/gantry-1/cpuset.mems /sys/fs/cgroup/cpuset/cpuset.mems
/gantry-1/abc 
/gantry-1/abc/cpuset.cpus /sys/fs/cgroup/cpuset/gantry-1/cpuset.cpus
/gantry-1/abc/cpuset.mems /sys/fs/cgroup/cpuset/gantry-1/cpuset.mems
/gantry-1/abc/cpuset.cpus 0
)");
}

TEST(CgroupPlan, V1DevicesAreDeniedAndThenAllowedOneByOne) {
  const Resources resources{.device_cgroup_rules = {"c 7:8 r"}};
  const std::string text = limits(parse_cgroup_mounts(kHybrid), resources, false);
  EXPECT_TRUE(text.starts_with("devices.deny=a\ndevices.allow=c *:* m\n")) << text;
  EXPECT_TRUE(text.ends_with("devices.allow=c 7:8 r\n")) << text;
  EXPECT_EQ(text.find("devices.deny"), text.rfind("devices.deny"));
}

TEST(CgroupPlan, AbsentControllersAreWarnedOfAndLeftOut) {
  const Resources resources{.memory = 64 << 20, .cpuset_cpus = "0", .pids_limit = 5};
  EXPECT_EQ(limits({}, resources), "");
  EXPECT_EQ(cgroup_warnings({}, resources),
            (std::vector<std::string>{
                "Your kernel does not support memory limit capabilities or the cgroup is not mounted. Limitation "
                "discarded.",
                "Your kernel does not support PIDs limit capabilities or the cgroup is not mounted. PIDs limit "
                "discarded.",
                "Your kernel does not support cpuset or the cgroup is not mounted. Cpuset discarded."}));
  EXPECT_TRUE(cgroup_warnings({}, {}).empty());
}

TEST(CgroupPlan, SharesBecomeWeights) {
  EXPECT_EQ(cpu_weight_of_shares(0), 0u);
  EXPECT_EQ(cpu_weight_of_shares(2), 1u);
  EXPECT_EQ(cpu_weight_of_shares(1024), 100u);
  EXPECT_EQ(cpu_weight_of_shares(262144), 10000u);
}

}  // namespace
}  // namespace gantry::engine
