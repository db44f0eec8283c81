// What `config` prints loads again, and gives the same model, the same hashes and the same text. Projects are generated
// from a seed: every attribute of a service with one of several forms.
#include <random>

#include "compose/config_hash.h"
#include "unit/compose/load_fixture.h"

namespace gantry::compose {
namespace {

// One of them is taken, or none. `$` stands doubled, as a file must write it.
const std::vector<std::vector<const char*>> kAttributes = {
    {"annotations: {a: b}", "annotations: [\"a=b\", c]"},
    {"attach: false", "attach: true"},
    {"blkio_config: {weight: 300, weight_device: [{path: /dev/sda, weight: 400}], device_read_bps: [{path: /dev/a, rate: 12mb}]}"},
    {"build: .", "build: {context: ./dir, dockerfile: D, args: {A: 1, B: x y}, labels: [a=1], ssh: [default, k=./key]}",
     "build: {dockerfile_inline: \"FROM a\\nRUN b $$X\", target: t, tags: [x:1], platforms: [linux/amd64], shm_size: 64m}",
     "build: {context: \"https://x.test/y.git\", no_cache: true, pull: true, cache_from: [a, b], ulimits: {nofile: 5}, extra_hosts: [\"h=::1\"]}"},
    {"cap_add: [NET_ADMIN, ALL]"},
    {"cap_drop: [ALL]"},
    {"cgroup_parent: m-x"},
    {"cgroup: host"},
    {"command: echo \"a b\" $$HOME", "command: []", "command: [\"sh\", \"-c\", \"echo\\nnew: line\"]", "command: null"},
    {"configs: [c1]", "configs: [{source: c1, target: /x, uid: \"1\", gid: \"2\", mode: 0440}]"},
    {"container_name: one-%"},
    {"cpu_shares: 12", "cpus: 0.5", "cpus: \"1.25\"", "cpuset: 0-1", "cpu_quota: 50000"},
    {"depends_on: [dep]", "depends_on: {dep: {condition: service_healthy, restart: true, required: false}}"},
    {"deploy: {}", "deploy: {replicas: 3, labels: {a: b}}",
     "deploy: {resources: {limits: {cpus: '0.50', memory: 50M, pids: 10}, reservations: {memory: 20M, devices: [{capabilities: [gpu], count: 1}]}}}",
     "deploy: {restart_policy: {condition: on-failure, delay: 5s, max_attempts: 3, window: 120s}, update_config: {parallelism: 0, order: start-first, max_failure_ratio: 0.3}, placement: {constraints: [a==b], preferences: [{spread: x}]}}"},
    {"develop: {watch: [{path: ./src, action: sync, target: /a, ignore: [x/]}, {path: ., action: rebuild}]}"},
    {"device_cgroup_rules: ['c 1:3 mr']"},
    {"devices: [\"/dev/a:/dev/b:r\", /dev/c, \"vendor.com/c=d\"]"},
    {"dns: 8.8.8.8", "dns: [8.8.8.8, \"::1\"]"},
    {"dns_opt: [use-vc]"},
    {"dns_search: x.test"},
    {"domainname: d.test"},
    {"entrypoint: /bin/x --y", "entrypoint: []", "entrypoint: \"\""},
    {"environment: {A: , B: \"\", C: 0777, D: yes, E: 1e3, F: \"$$x\", G: \"a\\nb\\n\", H: ' lead', I: 2001-01-01, J: '#x', K: null}",
     "environment: [A, B=, \"C=a=b\", \"D=\\ttab\", \"É=ü€\"]"},
    {"expose: [80, \"90-91/udp\"]"},
    {"external_links: [x, \"y:z\"]"},
    {"extra_hosts: [\"a:1.1.1.1\", \"b=[::1]\"]", "extra_hosts: {a: [1.1.1.1, 2.2.2.2], b: host-gateway}"},
    {"gpus: all", "gpus: [{count: 2, driver: x, options: {a: b}}, {device_ids: [\"0\"]}]"},
    {"group_add: [1000, mail]"},
    {"healthcheck: {test: curl -f x || exit 1, interval: 1m30s, timeout: 10s, retries: 3, start_period: 40s}",
     "healthcheck: {disable: true}", "healthcheck: {test: [NONE]}", "healthcheck: {test: [CMD, a, \"b c\"], interval: 1.5s, retries: 0}"},
    {"hostname: h"},
    {"init: false", "init: true"},
    {"ipc: shareable"},
    {"isolation: default"},
    {"labels: {a.b: c, d: , e: true, f: 1.0}", "labels: [a, b=c, \"d=\"]"},
    {"links: [dep, \"dep:alias\"]"},
    {"logging: {driver: local, options: {max-size: 10m, max-file: 3}}"},
    {"mem_limit: 1.5g", "mem_limit: 300m\n    mem_reservation: 100000\n    memswap_limit: -1", "mem_swappiness: 60"},
    {"networks: [front, default]", "networks: {front: {aliases: [x, y], ipv4_address: 10.1.0.5, priority: 5, mac_address: 02:42:ac:11:65:43, driver_opts: {a: 1}}, back: }",
     "network_mode: host", "network_mode: \"service:dep\""},
    {"oom_kill_disable: true", "oom_score_adj: -500"},
    {"pid: host", "pid: \"service:dep\""},
    {"pids_limit: 10"},
    {"platform: linux/amd64"},
    {"ports: [80, \"8080:80/udp\", \"127.0.0.1:9000-9002:90-92\", \"5000-5010:5000\", \"[::1]:53:53\"]",
     "ports: [{target: 80, published: 8080, host_ip: 127.0.0.1, protocol: udp, mode: host, name: web, app_protocol: http}]"},
    {"post_start: [{command: echo hi, user: root, privileged: true, environment: {A: b}}]"},
    {"pre_stop: [{command: [a, b], working_dir: /x}]"},
    {"privileged: true"},
    {"profiles: []"},
    {"pull_policy: every_12h", "pull_policy: if_not_present"},
    {"read_only: true"},
    {"restart: \"no\"", "restart: on-failure:3", "restart: unless-stopped"},
    {"runtime: runc"},
    {"scale: 2", "scale: 0"},
    {"secrets: [s1]", "secrets: [{source: s1, target: t, mode: \"0400\"}]"},
    {"security_opt: [no-new-privileges, \"seccomp:unconfined\"]"},
    {"shm_size: 2gb"},
    {"stdin_open: true\n    tty: yes"},
    {"stop_grace_period: 1m30s", "stop_grace_period: 0s", "stop_grace_period: 20ms"},
    {"stop_signal: SIGUSR1"},
    {"storage_opt: {size: 1G}"},
    {"sysctls: {net.core.somaxconn: 1024}", "sysctls: [a.b=1]"},
    {"tmpfs: /run", "tmpfs: [/run, \"/tmp:size=64m\"]"},
    {"ulimits: {nproc: 65535, nofile: {soft: 20000, hard: 40000}}"},
    {"user: \"1000:1000\""},
    {"userns_mode: host"},
    {"uts: host"},
    {"volumes: [\"data:/data:ro\", \"./x/../y:/b:z\", /anon, \"~/h:/h\"]",
     "volumes: [{type: bind, source: ., target: /c/../d, read_only: true, bind: {propagation: rslave, create_host_path: false}}, {type: tmpfs, target: /e, tmpfs: {size: 10m, mode: 0755}}, {type: volume, source: data, target: /f, volume: {nocopy: true, subpath: g}}]"},
    {"volumes_from: [\"dep:ro\", \"container:x\"]"},
    {"working_dir: /w"},
    {"x-more: {a: [1, 2.5, true, null, \"text: x\", '$$y'], \"on\": 'off'}"},
};

constexpr const char* kResources =
    "networks:\n  front: {driver_opts: {a: 1}, labels: [x=y], ipam: {config: [{subnet: 10.1.0.0/16, gateway: 10.1.0.1}]}}\n"
    "  back: {internal: true, enable_ipv6: false}\n  default: {name: given}\n"
    "volumes:\n  data: {driver: local, driver_opts: {type: tmpfs, size: 5}, labels: {a: }}\n  ext: {external: true}\n"
    "secrets:\n  s1: {file: ./secret}\nconfigs:\n  c1: {content: \"line: 1\\n$$two\\n\"}\nx-top: {k: [a, {b: c}]}\n";

std::string generated_project(std::mt19937& random) {
  std::string out = "name: round\nservices:\n  dep: {image: d, healthcheck: {test: x}}\n";
  for (int service = 0; service < 3; ++service) {
    out += "  s" + std::to_string(service) + ":\n    image: i:" + std::to_string(service) + "\n";
    bool named = false;
    for (const auto& forms : kAttributes) {
      if (random() % 3 != 0) continue;
      std::string form = forms[random() % forms.size()];
      // Attributes that exclude each other are tried one at a time.
      if (named && (form.starts_with("scale") || form.starts_with("deploy: {replicas"))) continue;
      if (form.starts_with("container_name") || form.starts_with("scale") || form.starts_with("deploy")) {
        if (named) continue;
        named = true;
      }
      if (form.find("mem_limit") == 0 || form.find("cpus") == 0) {
        if (named) continue;
        named = true;
      }
      if (size_t at = form.find('%'); at != std::string::npos) form.replace(at, 1, std::to_string(service));
      if (form.starts_with("build: {dockerfile_inline") || form.starts_with("platform")) {
        if (out.find("platform") != std::string::npos) continue;
      }
      out += "    " + form + "\n";
    }
  }
  return out + kResources;
}

LoadResult load_text(LoadFixture& fixture, const std::string& name, const std::string& text) {
  fixture.write(name, text);
  fixture.options.files = {name};
  return fixture.load();
}

void compare(LoadFixture& fixture, const LoadResult& first, const LoadResult& second, const std::string& what) {
  ASSERT_TRUE(second.ok()) << what << fixture.messages(second) << first.canonical_yaml;
  EXPECT_EQ(first.canonical_yaml, second.canonical_yaml) << what;
  EXPECT_EQ(first.canonical_json, second.canonical_json) << what;
  EXPECT_EQ(first.project->services, second.project->services) << what;
  EXPECT_EQ(first.project->networks, second.project->networks) << what;
  EXPECT_EQ(first.project->volumes, second.project->volumes) << what;
  EXPECT_EQ(first.project->secrets, second.project->secrets) << what;
  EXPECT_EQ(first.project->configs, second.project->configs) << what;
  for (const auto& [name, service] : first.project->services) {
    EXPECT_EQ(config_hash(service), config_hash(second.project->services.at(name))) << what << name;
  }
}

TEST(RoundTrip, WhatConfigPrintsIsTheSameProjectAgain) {
  size_t loaded = 0;
  for (unsigned seed = 1; seed <= 150; ++seed) {
    std::mt19937 random(seed);
    LoadFixture fixture;
    std::string text = generated_project(random);
    LoadResult first = load_text(fixture, "compose.yaml", text);
    ASSERT_TRUE(first.ok()) << "seed " << seed << "\n" << fixture.messages(first) << text;
    ++loaded;
    compare(fixture, first, load_text(fixture, "again.yaml", first.canonical_yaml), "yaml, seed " + std::to_string(seed) + "\n");
    compare(fixture, first, load_text(fixture, "again.json", first.canonical_json), "json, seed " + std::to_string(seed) + "\n");
    if (HasFailure()) break;
  }
  EXPECT_EQ(loaded, 150u);
}

TEST(RoundTrip, EveryFormOfEveryAttributeAlone) {
  for (const auto& forms : kAttributes) {
    for (std::string form : forms) {
      if (size_t at = form.find('%'); at != std::string::npos) form.replace(at, 1, "1");
      LoadFixture fixture;
      std::string text = "name: round\nservices:\n  dep: {image: d}\n  s:\n    image: i\n    " + form + "\n" + kResources;
      LoadResult first = load_text(fixture, "compose.yaml", text);
      ASSERT_TRUE(first.ok()) << form << "\n" << fixture.messages(first);
      compare(fixture, first, load_text(fixture, "again.yaml", first.canonical_yaml), form + "\n");
      compare(fixture, first, load_text(fixture, "again.json", first.canonical_json), form + " (json)\n");
    }
  }
}

}  // namespace
}  // namespace gantry::compose
