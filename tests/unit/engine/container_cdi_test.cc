#include <gtest/gtest.h>
#include <stdlib.h>

#include <fstream>

#include "engine/container/cdi.h"

namespace gantry::engine {
namespace {

class Cdi : public testing::Test {
 protected:
  Cdi() {
    char name[] = "/tmp/gantry-cdi-XXXXXX";
    directory_ = ::mkdtemp(name);
    std::ofstream(directory_ / "gpu.json") << R"({"cdiVersion": "0.6.0", "kind": "vendor.com/gpu",
      "containerEdits": {"env": ["DRIVER=1"], "mounts": [{"hostPath": "/lib/x", "containerPath": "/lib/x", "options": ["ro", "bind"]}]},
      "devices": [{"name": "0", "containerEdits": {"deviceNodes": [{"path": "/dev/null"}], "env": ["A=b"]}},
                  {"name": "10", "containerEdits": {"deviceNodes": [{"path": "/dev/gpu10", "hostPath": "/dev/zero", "permissions": "rw"}]}},
                  {"name": "2", "containerEdits": {"deviceNodes": [{"path": "/dev/full"}]}},
                  {"name": "hooked", "containerEdits": {"hooks": [{"hookName": "createContainer", "path": "/usr/bin/hook"}]}}]})";
  }
  ~Cdi() override { std::filesystem::remove_all(directory_); }

  std::string apply(DeviceRequest request) {
    SandboxSpec spec;
    spec.process.environment = {"A=a", "B=b"};
    spec.resources.device_requests = {std::move(request)};
    if (const auto applied = apply_device_requests(spec, {directory_}); !applied.ok()) return applied.error().message();
    std::string text;
    for (const std::string& variable : spec.process.environment) text += variable + " ";
    for (const Device& device : spec.resources.devices)
      text += device.host_path + ":" + device.container_path + ":" + device.permissions + " ";
    for (const RuntimeMount& mount : spec.mounts) text += mount.source.string() + (mount.read_only ? ":ro " : " ");
    return text;
  }

  std::filesystem::path directory_;
};

TEST_F(Cdi, NamedDevicesBringTheirEdits) {
  EXPECT_EQ(apply({.driver = "cdi", .ids = {"vendor.com/gpu=0"}}),
            "B=b DRIVER=1 A=b /dev/null:/dev/null:rwm /lib/x:ro ");
}

TEST_F(Cdi, GpusAreCountedInTheirOrder) {
  const std::vector<std::vector<std::string>> gpu = {{"gpu"}};
  EXPECT_EQ(apply({.count = 2, .capabilities = gpu}),
            "B=b DRIVER=1 A=b /dev/null:/dev/null:rwm /dev/full:/dev/full:rwm /lib/x:ro ");
  EXPECT_EQ(apply({.ids = {"10"}, .capabilities = gpu}), "A=a B=b DRIVER=1 /dev/zero:/dev/gpu10:rw /lib/x:ro ");
  EXPECT_EQ(apply({.count = 9, .capabilities = gpu}), "there are 4 devices of vendor.com/gpu, not 9");
}

TEST_F(Cdi, WhatCannotBeHadIsSaid) {
  EXPECT_EQ(apply({.driver = "cdi", .ids = {"vendor.com/gpu=7"}}),
            "CDI device injection failed: unresolvable CDI devices vendor.com/gpu=7");
  EXPECT_EQ(apply({.driver = "tpu", .capabilities = {{"tpu"}}}),
            "could not select device driver \"tpu\" with capabilities: [[tpu]]");
  EXPECT_NE(apply({.driver = "cdi", .ids = {"vendor.com/gpu=hooked"}}).find("wants hooks to be run (/usr/bin/hook)"),
            std::string::npos);
  std::filesystem::remove(directory_ / "gpu.json");
  std::ofstream(directory_ / "nvidia.yaml") << "kind: x\n";
  EXPECT_NE(apply({.count = -1, .capabilities = {{"gpu"}}}).find("nvidia.yaml is not read"), std::string::npos);
}

}  // namespace
}  // namespace gantry::engine
