#include "unit/compose/load_fixture.h"

namespace gantry::compose {
namespace {

std::string volumes_text(const std::string& volumes) {
  LoadFixture fixture;
  fixture.write("compose.yaml", "services: {a: {image: x, volumes: [" + volumes + "]}}\nvolumes: {data: }\n");
  LoadResult result = fixture.load();
  if (!result.ok()) return result.diagnostics.front().message;
  std::string out;
  for (const VolumeMount& mount : result.project->services.at("a").volumes) {
    if (!out.empty()) out += ' ';
    out += mount.type + "|" + mount.source + "|" + mount.target;
    if (mount.read_only) out += "|ro";
    if (mount.no_copy) out += "|nocopy";
    if (!mount.propagation.empty()) out += "|" + mount.propagation;
    if (!mount.selinux.empty()) out += "|" + mount.selinux;
    if (mount.tmpfs_size) out += "|" + std::to_string(*mount.tmpfs_size);
    if (mount.tmpfs_mode) out += "|" + std::to_string(*mount.tmpfs_mode);
    if (!mount.create_host_path) out += "|no-create";
  }
  return fixture.shorten(out);
}

TEST(Volumes, ShortSyntax) {
  const std::pair<const char*, const char*> rows[] = {
      {"/data", "volume||/data"},
      {"'data:/x'", "volume|data|/x"},
      {"'data:/x:ro,nocopy'", "volume|data|/x|ro|nocopy"},
      {"'./a:/b/../c/'", "bind|@DIR@/a|/c"},
      {"'/etc/x:/x:rshared,Z'", "bind|/etc/x|/x|rshared|Z"},
      {"'~/a:/x:ro,rw'", "bind|/home/user/a|/x"},
  };
  for (auto [text, expected] : rows) EXPECT_EQ(volumes_text(text), expected) << text;
}

TEST(Volumes, LongSyntax) {
  EXPECT_EQ(volumes_text("{type: tmpfs, target: /t, tmpfs: {size: 1m, mode: 0700}}"), "tmpfs||/t|1048576|448");
  EXPECT_EQ(volumes_text("{type: tmpfs, target: /t, tmpfs: {mode: '0700'}}"), "tmpfs||/t|448");
  EXPECT_EQ(volumes_text("{type: bind, source: ./a, target: /a, bind: {create_host_path: false}}"), "bind|@DIR@/a|/a|no-create");
  EXPECT_EQ(volumes_text("{type: volume, source: data, target: /a, volume: {nocopy: true}}"), "volume|data|/a|nocopy");
}

TEST(Volumes, OneTargetIsMountedOnceTheLaterWins) { EXPECT_EQ(volumes_text("'./a:/x', 'data:/x'"), "volume|data|/x"); }

TEST(Volumes, TextsThatCannotBeMeant) {
  const std::pair<const char*, const char*> rows[] = {
      {"''", "invalid empty volume spec"},
      {"':/x'", "invalid spec: :/x: empty section between colons"},
      {"'data:/x:ro:x'", "invalid spec: data:/x:ro:x: too many colons"},
      {"'dta:/x'", "refers to undefined volume dta"},
      {"{source: a, target: /x}", "missing property 'type'"},
      {"{type: foo, target: /x}", "must be one of bind, volume, tmpfs, cluster, npipe, image, is \"foo\""},
      {"{type: volume}", "service volume is missing a mount target: missing property 'target'"},
      {"{type: bind, target: /x}", "invalid mount config for type \"bind\": field Source must not be empty"},
  };
  for (auto [text, expected] : rows) EXPECT_EQ(volumes_text(text), expected) << text;
}

TEST(Volumes, ATmpfsOnTheSameTargetIsAnError) {
  EXPECT_EQ(first_message_of("services: {a: {image: x, tmpfs: /t, volumes: [/t]}}"),
            "compose.yaml:1:47: services.a.volumes[0]: target /t already mounted as services.a.tmpfs[0]");
}

}  // namespace
}  // namespace gantry::compose
