#include "unit/compose/load_fixture.h"

namespace gantry::compose {
namespace {

std::string ports_text(const std::string& ports) {
  LoadFixture fixture;
  fixture.write("compose.yaml", "services: {a: {image: x, ports: [" + ports + "]}}\n");
  LoadResult result = fixture.load();
  if (!result.ok()) return result.diagnostics.front().message;
  std::string out;
  for (const Port& port : result.project->services.at("a").ports) {
    if (!out.empty()) out += ' ';
    out += port.host_ip + "|" + port.published + "|" + std::to_string(port.target) + "/" + port.protocol;
  }
  return out;
}

TEST(Ports, ShortSyntax) {
  const std::pair<const char*, const char*> rows[] = {
      {"80", "||80/tcp"},
      {"'80'", "||80/tcp"},
      {"'8080:80'", "|8080|80/tcp"},
      {"'8080:80/UDP'", "|8080|80/udp"},
      {"'127.0.0.1:8080:80'", "127.0.0.1|8080|80/tcp"},
      {"'127.0.0.1::80'", "127.0.0.1||80/tcp"},
      {"'[::1]:8080:80'", "::1|8080|80/tcp"},
      {"'::1:8080:80'", "::1|8080|80/tcp"},
      {"'0:80'", "|0|80/tcp"},
      {"'3000-3001'", "||3000/tcp ||3001/tcp"},
      {"'8000-8001:90-91'", "|8000|90/tcp |8001|91/tcp"},
      {"'8000-8010:90'", "|8000-8010|90/tcp"},
      {"'9-11:9-11'", "|10|10/tcp |11|11/tcp |9|9/tcp"},
  };
  for (auto [text, expected] : rows) EXPECT_EQ(ports_text(text), expected) << text;
}

TEST(Ports, LongSyntaxGetsItsDefaults) {
  EXPECT_EQ(ports_text("{target: 80}"), "||80/tcp");
  EXPECT_EQ(ports_text("{target: '80', published: 8080, protocol: UDP, host_ip: 10.0.0.1}"), "10.0.0.1|8080|80/udp");
}

TEST(Ports, TheSameOneTwiceIsOne) {
  EXPECT_EQ(ports_text("'80:80', {target: 80, published: 80}, '0.0.0.0:80:80/tcp'"), "0.0.0.0|80|80/tcp");
}

TEST(Ports, TextsThatCannotBeMeant) {
  const std::pair<const char*, const char*> rows[] = {
      {"'abc'", "Invalid containerPort: abc; write a port or a range like 8000-8010"},
      {"'abc:80'", "Invalid hostPort: abc; write a port or a range like 8000-8010"},
      {"'65536:80'", "Invalid hostPort: 65536; ports end at 65535"},
      {"'90-80'", "Invalid containerPort: 90-80; the range ends before it begins"},
      {"'localhost:80:80'", "Invalid ip address: localhost"},
      {"'80/foo'", "Invalid proto: foo; known are tcp, udp, sctp"},
      {"'80:'", "No port specified: 80:<empty>"},
      {"'1-2:1-3'", "Invalid ranges specified for container and host Ports: 1-3 and 1-2"},
      {"'80:0'", "service ports 80:0 is missing a target port"},
      {"1.5", "invalid type for a port: a number"},
      {"{published: 80}", "the port is missing a target port"},
      {"{target: 70000}", "must be between 1 and 65535, is 70000"},
      {"{target: 80, host_ip: foo}", "invalid ip address: foo"},
  };
  for (auto [text, expected] : rows) EXPECT_EQ(ports_text(text), expected) << text;
}

TEST(Ports, TheMessagePointsAtTheEntry) {
  EXPECT_EQ(messages_of("services:\n  web:\n    image: x\n    ports:\n      - \"80:80\"\n      - eighty\n"),
            "compose.yaml:6:9: services.web.ports[1]: Invalid containerPort: eighty; write a port or a range like "
            "8000-8010\n"
            "  6 |       - eighty\n"
            "    |         ^~~~~~\n");
}

}  // namespace
}  // namespace gantry::compose
