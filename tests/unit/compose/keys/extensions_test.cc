#include "unit/compose/load_fixture.h"

namespace gantry::compose {
namespace {

std::string probe_of(const std::string& probe) {
  LoadFixture fixture;
  fixture.write("compose.yaml", "services: {a: {image: x, x-healthcheck: " + probe + "}}\n");
  LoadResult result = fixture.load();
  if (!result.ok()) return result.diagnostics.front().message;
  std::string out;
  for (const std::string& word : result.project->services.at("a").healthcheck->test) out += (out.empty() ? "" : " ") + word;
  return out;
}

TEST(Extensions, ProbesBecomeHealthChecks) {
  const std::pair<const char*, const char*> rows[] = {
      {"{http: 8080}", "HTTP http://127.0.0.1:8080/"},
      {"{http: ':8080/healthz'}", "HTTP http://127.0.0.1:8080/healthz"},
      {"{http: 'http://10.0.0.1/x'}", "HTTP http://10.0.0.1/x"},
      {"{http: {port: 8080, path: /healthz, status: 200-299}}", "HTTP http://127.0.0.1:8080/healthz 200-299"},
      {"{tcp: 5432}", "TCP 127.0.0.1:5432"},
      {"{tcp: '10.0.0.1:5432'}", "TCP 10.0.0.1:5432"},
      {"{log: 'ready to accept'}", "LOG ready to accept"},
      {"{tcp: 1, interval: soon}", "\"soon\" is no duration"},
      {"{tcp: 1, retries: many}", "\"many\" is no number"},
      {"{udp: 1}", "nothing says what to probe"},
      {"{tcp: 1, log: x}", "more than one thing to probe"},
      {"{http: https://x}", "expected a port, an address or a mapping"},
      {"8080", "expected a mapping with http, tcp or log"},
  };
  for (auto [text, expected] : rows) EXPECT_EQ(probe_of(text), expected) << text;
}

TEST(Extensions, TheyCountForTheHash) {
  const auto json_of = [](const std::string& part) {
    LoadFixture fixture;
    fixture.write("compose.yaml", "services: {a: {image: x" + part + "}}\n");
    return fixture.load().project->services.at("a").canonical_json;
  };
  EXPECT_NE(json_of(", x-healthcheck: {tcp: 1}"), json_of(", x-healthcheck: {tcp: 2}"));
  EXPECT_NE(json_of(", x-stop: patient"), json_of(""));
  EXPECT_EQ(json_of(", x-other: 1"), json_of(""));
}

TEST(Extensions, APatientStopIsALabelForTheEngine) {
  LoadFixture fixture;
  fixture.write("compose.yaml", "services: {a: {image: x, x-stop: patient}}\n");
  EXPECT_EQ(fixture.load().project->services.at("a").labels.at("dev.gantry.stop"), "patient");
}

}  // namespace
}  // namespace gantry::compose
