// A table of faults as the engine tells them, and what `why` must say in its first lines.
#include "cli/diagnosis.h"

#include <gtest/gtest.h>

namespace gantry::cli {
namespace {

compose::Project project_of(compose::Service web) {
  compose::Project project{.name = "shop"};
  web.name = "web";
  project.services["web"] = std::move(web);
  project.services["db"] = {.name = "db"};
  project.disabled_services = {"debug"};
  return project;
}

ContainerStory story_of(const std::string& state, int code = 0, std::vector<std::string> log = {}) {
  return {.name = "shop-web-1", .service = "web", .state = state, .exit_code = code, .log = std::move(log)};
}

std::string text_of_diagnosis(const Diagnosis& diagnosis) {
  std::string text = diagnosis.headline;
  for (const std::string& line : diagnosis.explanation) text += "\n" + line;
  return text;
}

struct Fault {
  const char* name;
  ContainerStory story;
  std::vector<const char*> said;  // in the first three lines
  const char* attribute = "";
};

ContainerStory failed_start(const char* error) {
  ContainerStory story = story_of("created", 127);
  story.error = error;
  return story;
}

ContainerStory with(ContainerStory story, const std::function<void(ContainerStory&)>& change) {
  change(story);
  return story;
}

TEST(Diagnosis, NamesTheCauseOfEachFaultInTheFirstThreeLines) {
  const std::vector<Fault> faults = {
      {"exit 1", story_of("exited", 1, {"panic: no config"}), {"exited with code 1", "panic: no config"}},
      {"silent exit", story_of("exited", 3), {"exited with code 3", "it wrote nothing"}},
      {"usage", story_of("exited", 2, {"unknown option -z"}), {"code 2", "wrong arguments"}},
      {"shell: not found", story_of("exited", 127, {"sh: nginxx: not found"}), {"127", "not found"}, "image"},
      {"not executable", story_of("exited", 126, {"sh: ./run: Permission denied"}), {"126", "may not open"}, "user"},
      {"segfault", story_of("exited", 139), {"SIGSEGV", "memory that is not its own"}},
      {"abort", story_of("exited", 134, {"assertion failed: x > 0"}), {"SIGABRT", "assertion failed"}},
      {"illegal instruction", story_of("exited", 132), {"SIGILL", "processor"}},
      {"division by zero", story_of("exited", 136), {"SIGFPE", "zero"}},
      {"bus error", story_of("exited", 135), {"SIGBUS", "/dev/shm"}},
      {"seccomp", story_of("exited", 159), {"SIGSYS", "not allowed"}},
      {"killed by hand", story_of("exited", 137), {"SIGKILL", "somebody sent SIGKILL"}},
      {"oom", with(story_of("exited", 137), [](auto& c) { c.oom_killed = true; c.memory_limit = 64'000'000; }),
       {"too much memory", "64MB"}, "mem_limit"},
      {"oom of the machine", with(story_of("exited", 137), [](auto& c) { c.oom_killed = true; }),
       {"too much memory", "the machine ran out"}, "mem_limit"},
      {"stopped hard", with(story_of("exited", 137), [](auto& c) { c.stopped = true; }), {"grace period"}},
      {"stopped", with(story_of("exited", 143), [](auto& c) { c.stopped = true; }), {"SIGTERM", "on request"}},
      {"library", story_of("exited", 127, {"./app: error while loading shared libraries: libssl.so.1: cannot open shared object file"}),
       {"library", "libssl.so.1"}, "image"},
      {"inner port", story_of("exited", 1, {"bind(): Address already in use"}), {"port already"}, "command"},
      {"disk full", story_of("exited", 1, {"write: No space left on device"}), {"filesystem is full"}, "volumes"},
      {"read-only", story_of("exited", 1, {"open /x: Read-only file system"}), {"read-only"}, "read_only"},
      {"name", story_of("exited", 1, {"wget: bad address 'dbb'"}), {"no such name", "dbb"}, "networks"},
      {"refused", story_of("exited", 1, {"connect to db:5432: Connection refused"}), {"does not listen", "service_healthy"},
       "depends_on"},
      {"capability", story_of("exited", 1, {"mount: Operation not permitted"}), {"capabilities"}, "cap_add"},
      {"python module", story_of("exited", 1, {"ModuleNotFoundError: No module named 'flask'"}), {"missing in the image", "flask"},
       "image"},
      {"password", story_of("exited", 1, {"FATAL: password authentication failed for user \"app\""}), {"credentials"},
       "environment"},
      {"heap", story_of("exited", 134, {"FATAL ERROR: JavaScript heap out of memory"}), {"SIGABRT", "no more memory"},
       "mem_limit"},
      {"descriptors", story_of("exited", 1, {"accept: Too many open files"}), {"limit"}, "ulimits"},
      {"host port", failed_start("driver failed: 0.0.0.0:8080: bind: address already in use"),
       {"port 8080 of the host is taken", "by process 7 (nginx)"}, "ports[0]"},
      {"program", failed_start("exec: \"nginxx\": executable file not found in $PATH"),
       {"could not be started", "no such program", "nginxx"}, "command"},
      {"interpreter", failed_start("exec /run.sh: no such file or directory"), {"interpreter"}, "command"},
      {"architecture", failed_start("exec /app: exec format error"), {"another processor"}, "image"},
      {"bind source", failed_start("bind mount \"/nope\" on \"/data\": source does not exist"), {"cannot be mounted", "/nope"},
       "volumes"},
      {"file on directory", failed_start("mount /a on /b: not a directory"), {"a file is mounted on a directory"}, "volumes"},
      {"user", failed_start("unable to find user app: no matching entries in passwd file"), {"no such user"}, "user"},
      {"unhealthy", with(story_of("running"), [](auto& c) { c.health = "unhealthy"; c.probes = {{1, "refused"}}; }),
       {"unhealthy", "exited with code 1: refused"}, "healthcheck"},
      {"probe missing", with(story_of("running"), [](auto& c) { c.health = "unhealthy"; c.probes = {{127, "curl: not found"}}; }),
       {"unhealthy", "probe's program is not in the image", "curl"}, "healthcheck"},
      {"probe slow", with(story_of("running"), [](auto& c) { c.health = "unhealthy"; c.probes = {{-1, "Health check exceeded timeout (1s)"}}; }),
       {"unhealthy", "longer than its timeout"}, "healthcheck"},
      {"restarting", with(story_of("restarting", 1, {"boom"}), [](auto& c) { c.restart_count = 5; c.restart_policy = "always"; }),
       {"again and again", "5 times", "boom"}},
      {"caught between two restarts", with(story_of("running", 1, {"boom"}), [](auto& c) {
         c.restart_count = 5; c.restart_policy = "always"; c.just_started = true; }),
       {"again and again", "exited with code 1", "5 times"}},
      {"paused", story_of("paused"), {"is paused", "unpause"}},
      {"never started", story_of("created"), {"never started", "compose start web"}},
      {"dead", story_of("dead", 137), {"supervisor was killed"}},
  };
  EXPECT_GE(faults.size(), 30u);
  compose::Service web;
  web.command = {"nginxx"};
  web.ports = {{.target = 80, .published = "8080"}};
  for (const Fault& fault : faults) {
    Facts facts{.service = "web", .project = project_of(web), .containers = {fault.story},
                .holders = {{.port = 8080, .who = "process 7 (nginx)"}}};
    const Diagnosis diagnosis = diagnose(facts);
    std::string first = diagnosis.headline;
    for (size_t i = 0; i < diagnosis.explanation.size() && i < 2; ++i) first += "\n" + diagnosis.explanation[i];
    for (const char* said : fault.said) EXPECT_NE(first.find(said), std::string::npos) << fault.name << ":\n" << first;
    EXPECT_FALSE(diagnosis.well) << fault.name;
    const std::string expected = *fault.attribute == 0 ? "" : "services.web." + std::string(fault.attribute);
    EXPECT_EQ(diagnosis.attribute, expected) << fault.name;
  }
}

TEST(Diagnosis, WhatIsWellIsSaidToBeWell) {
  for (const auto& [story, said] : std::vector<std::pair<ContainerStory, std::string>>{
           {story_of("running"), "web is running; it has no health check"},
           {with(story_of("running", 1), [](auto& c) { c.restart_count = 5; }), "web is running; it has no health check"},
           {with(story_of("running"), [](auto& c) { c.health = "healthy"; }), "web is running and healthy"},
           {story_of("exited", 0), "web has ended: exited with code 0"}}) {
    const Diagnosis diagnosis = diagnose({.service = "web", .project = {}, .containers = {story}});
    EXPECT_TRUE(diagnosis.well);
    EXPECT_EQ(diagnosis.headline, said);
  }
}

TEST(Diagnosis, WithoutAContainerTheFileIsAsked) {
  compose::Service web;
  web.scale = 0;
  EXPECT_EQ(diagnose({.service = "web", .project = project_of(web)}).headline, "web has no container: it is scaled to 0");
  EXPECT_EQ(diagnose({.service = "debug", .project = project_of({})}).headline,
            "debug is not active: its profiles are not enabled");
  EXPECT_EQ(diagnose({.service = "web", .project = project_of({})}).headline,
            "web has no container: it was never created, or was removed");
}

TEST(Diagnosis, FollowsWhatTheServiceWaitsFor) {
  const auto waiting_for = [](compose::DependencyCondition condition, ContainerStory db) {
    compose::Service web;
    web.depends_on["db"] = {.condition = condition};
    db.service = "db";
    const Diagnosis diagnosis = diagnose({.service = "web", .project = project_of(web),
                                          .containers = {story_of("created")}, .others = {db}});
    EXPECT_EQ(diagnosis.attribute, "services.web.depends_on.db");
    return text_of_diagnosis(diagnosis);
  };
  using Condition = compose::DependencyCondition;
  EXPECT_EQ(waiting_for(Condition::healthy, story_of("exited", 1)),
            "web was created, but never started\nit waits for db (service_healthy): it exited with code 1");
  EXPECT_EQ(waiting_for(Condition::healthy, with(story_of("running"), [](auto& c) { c.health = "unhealthy"; })),
            "web was created, but never started\nit waits for db (service_healthy): it is unhealthy");
  EXPECT_EQ(waiting_for(Condition::healthy, story_of("running")),
            "web was created, but never started\nit waits for db (service_healthy): it has no health check");
  EXPECT_EQ(waiting_for(Condition::completed_successfully, story_of("exited", 2)),
            "web was created, but never started\nit waits for db (service_completed_successfully): it exited with code 2, "
            "often wrong arguments");
}

TEST(Diagnosis, TheWorstReplicaSpeaks) {
  ContainerStory second = story_of("exited", 1, {"boom"});
  second.name = "shop-web-2";
  const Diagnosis diagnosis =
      diagnose({.service = "web", .project = {}, .containers = {story_of("running"), second}});
  EXPECT_EQ(diagnosis.headline, "web is not running: exited with code 1");
  EXPECT_EQ(diagnosis.explanation.back(), "(container shop-web-2, one of 2)");
}

TEST(Diagnosis, PortsAreFoundInErrors) {
  EXPECT_EQ(port_in_error("listen tcp4 0.0.0.0:8080: bind: address already in use"), 8080);
  EXPECT_EQ(port_in_error("Bind for [::]:443 failed: port is already allocated"), 443);
  EXPECT_EQ(port_in_error("port 80 is in use"), 80);
  EXPECT_EQ(port_in_error("no such file: /a:1"), 0);
}

}  // namespace
}  // namespace gantry::cli
