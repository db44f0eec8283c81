#include "compose/blame.h"

#include <gtest/gtest.h>

#include "support/sim_project.h"

using namespace gantry;
using namespace gantry::compose;

TEST(Blame, PointsAtTheLineThatTheErrorIsAbout) {
  Project project = test::project_from(R"(
services:
  web:
    image: nginx
    user: nobody
    command: serve
    ports:
      - "8080:80"
      - "80:81"
    volumes:
      - /conf:/etc/nginx/conf.d
)");
  struct Row {
    const char* error;
    const char* path;
  };
  const Row rows[] = {
      {"bind mount \"/conf\" on \"/etc/nginx/conf.d\": source is a file, target a directory", "services.web.volumes[0]"},
      {"Bind for 0.0.0.0:8080 failed: port is already allocated", "services.web.ports[0]"},
      {"Bind for 0.0.0.0:80 failed: port is already allocated", "services.web.ports[1]"},
      {"No such image: nginx", "services.web.image"},
      {"unable to find user nobody: no matching entries in passwd file", "services.web.user"},
      {"exec: \"serve\": executable file not found in $PATH", "services.web.command"},
      {"no space left on device", "services.web"},
  };
  Step step{.action = StartContainer{{.name = "shop-web-1"}}, .subject = "services.web"};
  for (const Row& row : rows) EXPECT_EQ(culprit(project, step, Error(Code::internal, row.error)), row.path);
  EXPECT_EQ(explain(&project, "shop", step, Error(Code::internal, rows[0].error)),
            "web-1 not started: bind mount \"/conf\" on \"/etc/nginx/conf.d\": source is a file, target a directory\n"
            "  <stdin>:11:9 (services.web.volumes[0])");
  EXPECT_EQ(explain(nullptr, "shop", step, Error(Code::internal, "x")), "web-1 not started: x");
}
