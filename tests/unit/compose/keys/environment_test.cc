#include "unit/compose/load_fixture.h"

namespace gantry::compose {
namespace {

std::string environment_text(const std::map<std::string, std::optional<std::string>>& environment) {
  std::string out;
  for (const auto& [key, value] : environment) out += key + "=" + (value ? *value : "<unset>") + ";";
  return out;
}

std::string environment_of(LoadFixture& fixture, const std::string& attributes) {
  fixture.write("compose.yaml", "services:\n  a:\n    image: x\n" + attributes);
  LoadResult result = fixture.load();
  return result.ok() ? environment_text(result.project->services.at("a").environment) : fixture.messages(result);
}

TEST(EnvironmentKey, ListAndMappingSayTheSame) {
  LoadFixture fixture;
  fixture.options.environment["FROM"] = "shell";
  const char* expected = "A=1;EMPTY=;FROM=shell;NONE=<unset>;";
  EXPECT_EQ(environment_of(fixture, "    environment: [A=1, EMPTY=, FROM, NONE]\n"), expected);
  EXPECT_EQ(environment_of(fixture, "    environment: {A: 1, EMPTY: '', FROM: , NONE: }\n"), expected);
}

TEST(EnvironmentKey, ScalarsBecomeTheirText) {
  LoadFixture fixture;
  EXPECT_EQ(environment_of(fixture, "    environment: {A: 3.10, B: 0777, C: yes, D: True, E: 2001-12-14, F: 1e3}\n"),
            "A=3.1;B=511;C=yes;D=true;E=2001-12-14;F=1000;");
}

TEST(EnvironmentKey, EnvFilesGiveWayAndANullHidesThem) {
  LoadFixture fixture;
  fixture.write("one.env", "A=file\nB=file\nC=${INLINE}-${PROJECT}\nD=1\n");
  fixture.write("two.env", "D=2\nE=$D\n");
  fixture.options.environment["PROJECT"] = "p";
  EXPECT_EQ(environment_of(fixture,
                           "    env_file: [one.env, {path: two.env}, {path: none.env, required: false}]\n"
                           "    environment: {A: inline, B: , INLINE: i}\n"),
            "A=inline;B=<unset>;C=i-p;D=2;E=2;INLINE=i;");
}

TEST(EnvironmentKey, AMissingEnvFileIsNamed) {
  LoadFixture fixture;
  EXPECT_EQ(environment_of(fixture, "    env_file: none.env\n"),
            "compose.yaml:4:15: services.a.env_file[0]: env file @DIR@/none.env not found\n"
            "  4 |     env_file: none.env\n"
            "    |               ^~~~~~~~\n");
}

TEST(EnvironmentKey, WrongFormsAreRefused) {
  EXPECT_EQ(first_message_of("services: {a: {image: x, environment: A=1}}"),
            "compose.yaml:1:39: services.a.environment: must be a mapping or a list, is a string: \"A=1\"");
  EXPECT_EQ(first_message_of("services: {a: {image: x, environment: {A: [1]}}}"),
            "compose.yaml:1:43: services.a.environment.A: must be a boolean, a number or a string, is a list");
  EXPECT_EQ(first_message_of("services: {a: {image: x, environment: ['D =x']}}"),
            "compose.yaml:1:40: services.a.environment[0]: environment variable D  is declared with a trailing space");
}

}  // namespace
}  // namespace gantry::compose
