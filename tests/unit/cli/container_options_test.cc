#include "cli/container_options.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "cli/mount_options.h"
#include "cli/publish.h"

namespace gantry::cli {
namespace {

using Json = nlohmann::json;

Result<Json> body(std::vector<std::string> words) {
  const Syntax syntax{.name = "run", .arguments = "", .summary = "", .flags = kContainerFlags, .least_arguments = 1, .interspersed = false};
  const Arguments arguments = TRY(parse(syntax, {}, words));
  const auto request = TRY(container_request(arguments, {{"FROM_HERE", "1"}, {"HOME", "/home/u"}}, {.out = true, .err = true}));
  return Json::parse(request.body);
}

// What the options add to the body of `run busybox`: "pointer value" lines.
std::string added(std::vector<std::string> words) {
  words.push_back("busybox");
  const auto given = body(words);
  if (!given.ok()) return "error: " + given.error().message();
  std::string text;
  const Json plain = body({"busybox"})->flatten();
  const Json all = given->flatten();
  for (const auto& [pointer, value] : all.items()) {
    if (!plain.contains(pointer) || plain[pointer] != value) text += pointer + " " + value.dump() + "\n";
  }
  return text;
}

TEST(ContainerOptions, EachMeansItsMember) {
  const std::pair<std::vector<std::string>, const char*> rows[] = {
      {{"-e", "A=1", "-e", "FROM_HERE", "-e", "NOT_SET", "-e", "A=2"}, "/Env/0 \"FROM_HERE=1\"\n/Env/1 \"A=2\"\n"},
      {{"-m", "64m", "--memory-swap", "-1", "--cpus", "1.5"},
       "/HostConfig/Memory 67108864\n/HostConfig/MemorySwap -1\n/HostConfig/NanoCpus 1500000000\n"},
      {{"--ulimit", "nofile=10:20", "--ulimit", "core=-1"},
       "/HostConfig/Ulimits/0/Hard 20\n/HostConfig/Ulimits/0/Name \"nofile\"\n/HostConfig/Ulimits/0/Soft 10\n"
       "/HostConfig/Ulimits/1/Hard -1\n/HostConfig/Ulimits/1/Name \"core\"\n/HostConfig/Ulimits/1/Soft -1\n"},
      {{"--device", "/dev/fuse"},
       "/HostConfig/Devices/0/CgroupPermissions \"rwm\"\n/HostConfig/Devices/0/PathInContainer \"/dev/fuse\"\n"
       "/HostConfig/Devices/0/PathOnHost \"/dev/fuse\"\n"},
      {{"--device", "v.com/gpu=0", "--device", "v.com/gpu=1"},
       "/HostConfig/DeviceRequests/0/DeviceIDs/0 \"v.com/gpu=0\"\n/HostConfig/DeviceRequests/0/DeviceIDs/1 \"v.com/gpu=1\"\n"
       "/HostConfig/DeviceRequests/0/Driver \"cdi\"\n"},
      {{"--gpus", "\"device=0,1\",capabilities=utility"},
       "/HostConfig/DeviceRequests/0/Capabilities/0/0 \"gpu\"\n/HostConfig/DeviceRequests/0/Capabilities/0/1 \"utility\"\n"
       "/HostConfig/DeviceRequests/0/Count 0\n/HostConfig/DeviceRequests/0/DeviceIDs/0 \"0\"\n"
       "/HostConfig/DeviceRequests/0/DeviceIDs/1 \"1\"\n/HostConfig/DeviceRequests/0/Driver \"\"\n"},
      {{"--restart", "on-failure:3"},
       "/HostConfig/RestartPolicy/MaximumRetryCount 3\n/HostConfig/RestartPolicy/Name \"on-failure\"\n"},
      {{"--security-opt", "seccomp=unconfined", "--security-opt", "no-new-privileges"},
       "/HostConfig/SecurityOpt/0 \"seccomp=unconfined\"\n/HostConfig/SecurityOpt/1 \"no-new-privileges\"\n"},
      {{"--health-cmd", "true", "--health-interval", "1s"},
       "/Healthcheck/Interval 1000000000\n/Healthcheck/Test/0 \"CMD-SHELL\"\n/Healthcheck/Test/1 \"true\"\n"},
      {{"--network", "front", "--ip", "10.0.0.9", "--network-alias", "a"},
       "/HostConfig/NetworkMode \"front\"\n/NetworkingConfig/EndpointsConfig/front/Aliases/0 \"a\"\n"
       "/NetworkingConfig/EndpointsConfig/front/IPAMConfig/IPv4Address \"10.0.0.9\"\n"},
      {{"--log-driver", "local", "--log-opt", "max-size=1m", "--tmpfs", "/t:size=1m", "-v", "/data", "-v", "~/x:/x:ro"},
       "/HostConfig/Binds/0 \"/home/u/x:/x:ro\"\n/HostConfig/LogConfig/Config/max-size \"1m\"\n"
       "/HostConfig/LogConfig/Type \"local\"\n/HostConfig/Tmpfs/~1t \"size=1m\"\n/Volumes/~1data null\n"},
      {{"--device-read-bps", "/dev/sda:1m"},
       "/HostConfig/BlkioDeviceReadBps/0/Path \"/dev/sda\"\n/HostConfig/BlkioDeviceReadBps/0/Rate 1048576\n"},
  };
  for (const auto& [words, expected] : rows) EXPECT_EQ(added(words), expected) << words[0];
}

TEST(ContainerOptions, MistakesAreToldAsDockerDoes) {
  const std::pair<std::vector<std::string>, const char*> rows[] = {
      {{"--rm", "--restart", "always"}, "conflicting options: cannot specify both --restart and --rm"},
      {{"--no-healthcheck", "--health-cmd", "x"}, "--no-healthcheck conflicts with --health-* options"},
      {{"-m", "lots"}, "invalid size: 'lots'"},
      {{"--ulimit", "nofile=9:3"}, "ulimit soft limit must be less than or equal to hard limit: 9 > 3"},
      {{"--cpus", "x"}, "invalid value for --cpus"},
      {{"--device", "/dev/a:/dev/b:q"}, "invalid device specification"},
      {{"--gpus", "many"}, "count (many) must be an integer or \"all\""},
      {{"--security-opt", "seccomp=/no/such/file"}, "opening seccomp profile (/no/such/file) failed"},
      {{"--env-file", "/no/such/file"}, "No such file or directory"},
  };
  for (const auto& [words, message] : rows) {
    EXPECT_NE(added(words).find(message), std::string::npos) << added(words);
  }
}

std::string ports(const std::string& text) {
  const auto parsed = published_ports(text);
  if (!parsed.ok()) return "error";
  std::string all;
  for (const PublishedPort& port : *parsed) all += port.host_ip + "|" + port.host_port + "|" + port.port + " ";
  return all;
}

TEST(Publish, AllForms) {
  EXPECT_EQ(ports("80"), "||80/tcp ");
  EXPECT_EQ(ports("8080:80/UDP"), "|8080|80/udp ");
  EXPECT_EQ(ports("127.0.0.1::80"), "127.0.0.1||80/tcp ");
  EXPECT_EQ(ports("[::1]:8080:80"), "::1|8080|80/tcp ");
  EXPECT_EQ(ports("8000-8001:80-81"), "|8000|80/tcp |8001|81/tcp ");
  EXPECT_EQ(ports("8000-8010:80"), "|8000-8010|80/tcp ");
  EXPECT_EQ(ports("target=80,published=8080,protocol=udp"), "|8080|80/udp ");
  for (const char* wrong : {"", "x", "80:", "1-3:1-2", "80/foo", "99999", "a.b:1:80", "target=x"}) EXPECT_EQ(ports(wrong), "error") << wrong;
  EXPECT_EQ((*exposed_ports("80-81/udp"))[1], "81/udp");
  EXPECT_FALSE(exposed_ports("80:80").ok());
}

std::string mount(const std::string& text) {
  const auto parsed = mount_json(text);
  return parsed.ok() ? parsed->dump() : parsed.error().message();
}

TEST(MountOption, LongForms) {
  EXPECT_EQ(mount("type=bind,src=/a,dst=/b,ro,bind-propagation=rshared"),
            R"({"Type":"bind","Source":"/a","Target":"/b","ReadOnly":true,"BindOptions":{"Propagation":"rshared"}})");
  EXPECT_EQ(mount("source=v,target=/b,volume-opt=type=tmpfs,\"volume-opt=o=a,b\""),
            R"({"Source":"v","Target":"/b","Type":"volume","VolumeOptions":{"DriverConfig":{"Options":{"type":"tmpfs","o":"a,b"}}}})");
  EXPECT_EQ(mount("type=tmpfs,dst=/t,tmpfs-size=1m,tmpfs-mode=1770"),
            R"({"Type":"tmpfs","Target":"/t","TmpfsOptions":{"SizeBytes":1048576,"Mode":1016}})");
  EXPECT_EQ(mount("type=bind,src=/a,dst=/b,readonly,bind-recursive=readonly"),
            R"({"Type":"bind","Source":"/a","Target":"/b","ReadOnly":true,"BindOptions":{"ReadOnlyForceRecursive":true}})");
  EXPECT_EQ(mount("type=bind,src=/a"), "target is required");
  EXPECT_EQ(mount("type=tmpfs,dst=/t,volume-nocopy"), "cannot mix 'volume-*' options with mount type 'tmpfs'");
  EXPECT_EQ(mount("dst=/t,foo=1"), "unexpected key 'foo' in 'foo=1'");
}

}  // namespace
}  // namespace gantry::cli
