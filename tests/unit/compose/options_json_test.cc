#include "compose/options_json.h"

#include <gtest/gtest.h>

#include "compose/project_json.h"
#include "support/sim_project.h"

using namespace gantry;
using namespace gantry::compose;

TEST(OptionsJson, DefaultsAreLeftOut) {
  EXPECT_EQ(to_json(UpOptions{}), "{}");
  EXPECT_EQ(to_json(DownOptions{}), "{}");
  EXPECT_EQ(to_json(ServiceOptions{}), "{}");
  EXPECT_EQ(to_json(RunOptions{}), "{}");
  EXPECT_TRUE(up_options_from_json("").ok());
}

TEST(OptionsJson, EveryFieldComesBack) {
  const std::string up =
      R"({"dry_run":true,"no_dependencies":true,"no_start":true,"pull":"always","recreate":"force",)"
      R"("recreate_dependencies":"never","remove_orphans":true,"renew_anonymous_volumes":true,"scale":{"web":0},)"
      R"("services":["web"],"stop_timeout":-1,"wait":true,"wait_timeout":60})";
  EXPECT_EQ(to_json(up_options_from_json(up).value()), up);
  const std::string down =
      R"({"remove_images":"all","remove_orphans":true,"services":["a"],"timeout":0,"volumes":true})";
  EXPECT_EQ(to_json(down_options_from_json(down).value()), down);
  const std::string service =
      R"({"anonymous_volumes":true,"no_dependencies":true,"services":["a","b"],"signal":"SIGHUP","stop_first":true,)"
      R"("timeout":3,"wait":true,"wait_timeout":4})";
  EXPECT_EQ(to_json(service_options_from_json(service).value()), service);
  const std::string run =
      R"({"auto_remove":true,"cap_add":["A"],"cap_drop":["B"],"command":[],"container_name":"n","entrypoint":["e"],)"
      R"("environment":["A=b"],"labels":["l=1"],"no_dependencies":true,"publish":["80:80"],"service":"web",)"
      R"("service_ports":true,"stdin_open":true,"tty":true,"use_aliases":true,"user":"u","volumes":["/a:/b"],)"
      R"("working_dir":"/w"})";
  EXPECT_EQ(to_json(run_options_from_json(run).value()), run);
}

TEST(OptionsJson, TheProjectTravelsAlong) {
  DownOptions options{.volumes = true, .project = test::project_from("services: {web: {image: x}}")};
  auto back = down_options_from_json(to_json(options));
  ASSERT_TRUE(back.ok()) << back.error().message();
  EXPECT_EQ(to_json(*back->project), to_json(*options.project));
  EXPECT_TRUE(back->volumes);
  ServiceOptions alone{.project = options.project};
  EXPECT_EQ(to_json(*service_options_from_json(to_json(alone))->project), to_json(*options.project));
}

TEST(OptionsJson, MistakesAreNamed) {
  struct Row {
    const char* json;
    const char* message;
  };
  const Row rows[] = {
      {"[", "options: not a JSON object"},
      {"[]", "options: not a JSON object"},
      {R"({"wait":1})", "options: wait must be true or false"},
      {R"({"wait_timeout":1.5})", "options: wait_timeout must be a whole number of seconds"},
      {R"({"wait_timeout":9000000000000000000})", "options: wait_timeout must be a whole number of seconds"},
      {R"({"services":"web"})", "options: services must be a list of strings"},
      {R"({"scale":{"web":-1}})", "options: scale must be an object of whole numbers, none negative"},
      {R"({"recreate":"maybe"})", R"(options: recreate must be "diverged", "force" or "never")"},
      {R"({"waiting":true})", R"(options: unknown field "waiting")"},
  };
  for (const Row& row : rows) EXPECT_EQ(up_options_from_json(row.json).error().message(), row.message);
}
