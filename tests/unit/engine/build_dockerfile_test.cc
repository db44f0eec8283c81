#include <gtest/gtest.h>

#include "base/strings.h"
#include "engine/build/dockerfile.h"
#include "engine/build/expand.h"
#include "engine/build/metadata.h"
#include "engine/build/stage_graph.h"

namespace gantry::engine {
namespace {

// "LINE KEYWORD [--flag=value…] {json,list} or arguments <<NAME:content"
std::string dump(const Result<Dockerfile>& file) {
  if (!file.ok()) return "error: " + file.error().message();
  std::string text;
  for (const Instruction& instruction : file->instructions) {
    text += std::to_string(instruction.line) + " " + instruction.keyword;
    for (const InstructionFlag& flag : instruction.flags) text += " --" + flag.name + "=" + flag.value;
    text += " " + (instruction.is_json ? "{" + join(instruction.list, "|") + "}" : instruction.arguments);
    for (const HereDocument& document : instruction.here_documents) {
      text += std::string(document.expands ? " <<" : " <<'") + document.name + ":" + document.content;
    }
    text += "\n";
  }
  return text;
}

TEST(Dockerfile, ParsesAsBuildKitDoes) {
  struct Row {
    const char* text;
    const char* dump;
  };
  const Row rows[] = {
      {"from a\nrun b c", "1 FROM a\n2 RUN b c\n"},
      {"\xEF\xBB\xBF"
       "FROM a\r\nRUN b\r\n",
       "1 FROM a\n2 RUN b\n"},
      {"# comment\n\nFROM a\n  # another\nRUN b", "3 FROM a\n5 RUN b\n"},
      {"FROM a\nRUN b \\\n  c \\\n# comment\n\n  d", "1 FROM a\n2 RUN b   c   d\n"},
      {"FROM a\nRUN b \\  \nc", "1 FROM a\n2 RUN b c\n"},
      {"FROM a\nRUN b \\\\\nRUN c", "1 FROM a\n2 RUN b \\\\\n3 RUN c\n"},
      {"FROM a\nRUN b \\\n", "1 FROM a\n2 RUN b\n"},
      {"# escape=`\nFROM a\nRUN b `\nc\\\nRUN d", "2 FROM a\n3 RUN b c\\\n5 RUN d\n"},
      {"#\n# escape=`\nFROM a\\\nb", "3 FROM ab\n"},
      {"# syntax=docker/dockerfile:1\n# check=skip=all\nFROM a", "3 FROM a\n"},
      {"FROM --platform=linux/arm64 a AS b", "1 FROM --platform=linux/arm64 a AS b\n"},
      {"FROM a\nCOPY --from=b --chown=\"1 2\" x y", "1 FROM a\n2 COPY --from=b --chown=1 2 x y\n"},
      {"FROM a\nRUN -- --x", "1 FROM a\n2 RUN --x\n"},
      {"FROM a\nCMD [\"b\", \"c d\"]", "1 FROM a\n2 CMD {b|c d}\n"},
      {"FROM a\nCMD []", "1 FROM a\n2 CMD {}\n"},
      {"FROM a\nCMD ['b']", "1 FROM a\n2 CMD ['b']\n"},
      {"FROM a\nENTRYPOINT", "1 FROM a\n2 ENTRYPOINT \n"},
      {"FROM a\nRUN <<EOF\nb\n# c\n\nEOF\nRUN d", "1 FROM a\n2 RUN <<EOF <<EOF:b\n# c\n\n\n7 RUN d\n"},
      {"FROM a\nRUN cat <<-'E F' x\n\tb\n\tE F\n", "1 FROM a\n2 RUN cat <<-'E F' x <<'E F:b\n\n"},
      {"FROM a\nCOPY <<A <<\"B\" /d/\n1\nA\n2\nB\n", "1 FROM a\n2 COPY <<A <<\"B\" /d/ <<A:1\n <<'B:2\n\n"},
      {"FROM a\nRUN echo \"<<EOF\"\nRUN b", "1 FROM a\n2 RUN echo \"<<EOF\"\n3 RUN b\n"},
      {"FROM a\nONBUILD COPY <<X /x\n1\nX", "1 FROM a\n2 ONBUILD COPY <<X /x <<X:1\n\n"},
      {"", "error: the Dockerfile (D) cannot be empty"},
      {"# only\n", "error: the Dockerfile (D) cannot be empty"},
      {"FROM a\nFOO b", "error: dockerfile parse error on line 2: unknown instruction: FOO"},
      {"# escape=x\nFROM a",
       "error: dockerfile parse error on line 1: invalid escape token 'x' does not match ` or \\"},
      {"# escape=`\n# escape=`\nFROM a",
       "error: dockerfile parse error on line 2: only one escape parser directive can be used"},
      {"FROM a\nCMD [1]",
       "error: dockerfile parse error on line 2: when using JSON array syntax, arrays must be comprised of strings "
       "only"},
      {"FROM a\nRUN <<EOF\nb", "error: dockerfile parse error on line 2: unterminated heredoc"},
      {"FROM a\nWORKDIR", "error: dockerfile parse error on line 2: WORKDIR requires exactly one argument"},
  };
  for (const Row& row : rows) EXPECT_EQ(dump(parse_dockerfile(row.text, "D")), row.dump) << row.text;
}

TEST(Dockerfile, AVeryLongLineIsRefused) {
  EXPECT_EQ(dump(parse_dockerfile("FROM a\nRUN " + std::string(70000, 'x'), "D")),
            "error: dockerfile parse error on line 2: dockerfile line greater than max allowed size of 65535");
}

TEST(Expand, VariablesQuotesAndModifiers) {
  const std::map<std::string, std::string> values = {
      {"A", "value"}, {"E", ""}, {"P", "/usr/local/bin/x.tar.gz"}, {"B", "A"}};
  const VariableLookup lookup = [&](const std::string& name) -> std::optional<std::string> {
    const auto found = values.find(name);
    return found == values.end() ? std::nullopt : std::optional<std::string>(found->second);
  };
  struct Row {
    const char* text;
    const char* result;
  };
  const Row rows[] = {
      {"$A", "value"},
      {"x${A}y", "xvaluey"},
      {"$AB", ""},
      {"$U", ""},
      {"\\$A", "$A"},
      {"'$A'", "$A"},
      {"\"$A\"", "value"},
      {"\"\\$A \\x \\\" \\\\\"", "$A \\x \" \\"},
      {"a\\ b", "a b"},
      {"'a b'c", "a bc"},
      {"$", "$"},
      {"$-", "$-"},
      {"${U:-d}", "d"},
      {"${E:-d}", "d"},
      {"${E-d}", ""},
      {"${U-d}", "d"},
      {"${A:+s}", "s"},
      {"${E:+s}", ""},
      {"${E+s}", "s"},
      {"${U:-${A}}", "value"},
      {"${U:-${V:-\"x}\"}}", "x}"},
      {"${A:?must}", "value"},
      {"${U:?must}", "error: U: must"},
      {"${P#*/}", "usr/local/bin/x.tar.gz"},
      {"${P##*/}", "x.tar.gz"},
      {"${P%.*}", "/usr/local/bin/x.tar"},
      {"${P%%.*}", "/usr/local/bin/x"},
      {"${P#nothing}", "/usr/local/bin/x.tar.gz"},
      {"${P/usr/opt}", "/opt/local/bin/x.tar.gz"},
      {"${P//\\//_}", "_usr_local_bin_x.tar.gz"},
      {"${P/?tar*/}", "/usr/local/bin/x"},
      {"${A", "error: syntax error: missing '}'"},
      {"${", "error: syntax error: missing '}'"},
      {"${}", "error: syntax error: bad substitution"},
      {"${A:#x}", "error: unsupported modifier (:#) in substitution"},
      {"${A!x}", "error: unsupported modifier (!) in substitution"},
      {"'a", "error: unexpected end of statement while looking for matching single-quote"},
      {"\"a", "error: unexpected end of statement while looking for matching double-quote"},
  };
  for (const Row& row : rows) {
    const Result<std::string> result = expand(row.text, '\\', lookup);
    EXPECT_EQ(result.ok() ? *result : "error: " + result.error().message(), row.result) << row.text;
  }
  EXPECT_EQ(expand("'$A' \"$A\" \\$A \\n", '\\', lookup, Quotes::keep).value(), "'value' \"value\" $A \\n");
  std::string deep;
  for (int i = 0; i < 10000; ++i) deep += "${U:-";
  EXPECT_EQ(expand(deep, '\\', lookup).error().message(), "variables are nested too deeply");
}

std::string apply(const std::string& text) {
  ImageDocument document;
  document.config.environment = {"OLD=1"};
  MetadataState state;
  Result<Dockerfile> file = parse_dockerfile(text, "D");
  if (!file.ok()) return file.error().message();
  for (const Instruction& instruction : file->instructions) {
    const VariableLookup lookup = [&](const std::string& name) {
      return get_variable(document.config.environment, name);
    };
    const Result<> done = apply_metadata(instruction, file->escape, lookup, document, state);
    if (!done.ok()) return done.error().message();
  }
  const ImageConfig& config = document.config;
  std::string shown = "env=" + join(config.environment, ",");
  for (const auto& [name, value] : config.labels) shown += " " + name + "=" + value;
  if (!config.command.empty()) shown += " cmd=" + join(config.command, "|");
  if (!config.entrypoint.empty()) shown += " entry=" + join(config.entrypoint, "|");
  for (const ExposedPort& port : config.exposed) {
    shown += " " + std::to_string(port.port) + "/" + std::to_string(static_cast<int>(port.protocol));
  }
  for (const std::string& volume : config.volumes) shown += " " + volume;
  if (config.health_check.has_value()) shown += " health=" + join(config.health_check->test, "|");
  return shown;
}

TEST(Metadata, InstructionsChangeTheConfig) {
  struct Row {
    const char* text;
    const char* result;
  };
  const Row rows[] = {
      {"ENV A=1 B=\"x y\" C=a\\ b", "env=OLD=1,A=1,B=x y,C=a b"},
      {"ENV OLD=2 B=$OLD", "env=OLD=2,B=1"},
      {"ENV A the rest  of it", "env=OLD=1,A=the rest  of it"},
      {"ENV A", "ENV must have two arguments"},
      {"ENV A=1 B", "Syntax error - can't find = in \"B\". Must be of the form: name=value"},
      {"LABEL a=b \"c d\"=e", "env=OLD=1 a=b c d=e"},
      {"CMD a b", "env=OLD=1 cmd=/bin/sh|-c|a b"},
      {"SHELL [\"bash\",\"-c\"]\nCMD a", "env=OLD=1 cmd=bash|-c|a"},
      {"CMD [\"a\"]\nENTRYPOINT [\"b\"]", "env=OLD=1 cmd=a entry=b"},
      {"EXPOSE 80 443/tcp 53/udp 8000-8002", "env=OLD=1 53/1 80/0 443/0 8000/0 8001/0 8002/0"},
      {"EXPOSE 80/foo", "Invalid proto: foo"},
      {"EXPOSE 99999", "Invalid containerPort: 99999"},
      {"VOLUME /a /b", "env=OLD=1 /a /b"},
      {"VOLUME [\"/a b\"]", "env=OLD=1 /a b"},
      {"HEALTHCHECK NONE", "env=OLD=1 health=NONE"},
      {"HEALTHCHECK --interval=5s --retries=2 CMD curl x", "env=OLD=1 health=CMD-SHELL|curl x"},
      {"HEALTHCHECK CMD [\"a\",\"b\"]", "env=OLD=1 health=CMD|a|b"},
      {"HEALTHCHECK --interval=5 CMD x", "time: missing unit in duration \"5\""},
      {"HEALTHCHECK FOO", "Unknown type \"FOO\" in HEALTHCHECK (try CMD)"},
      {"SHELL bash", "SHELL requires the arguments to be in JSON form"},
      {"ONBUILD ONBUILD RUN x", "Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed"},
      {"ONBUILD FROM x", "FROM isn't allowed as an ONBUILD trigger"},
      {"USER --x y", "unknown flag: --x"},
  };
  for (const Row& row : rows) EXPECT_EQ(apply(row.text), row.result) << row.text;
}

TEST(Metadata, WorkingDirectoriesAreRelativeToThePresentOne) {
  EXPECT_EQ(resolve_working_dir("", "a"), "/a");
  EXPECT_EQ(resolve_working_dir("/a", "b/../c/"), "/a/c");
  EXPECT_EQ(resolve_working_dir("/a", "/b"), "/b");
  EXPECT_EQ(resolve_working_dir("/a", "../../.."), "/");
}

TEST(Metadata, GoDurations) {
  using namespace std::chrono_literals;
  EXPECT_EQ(parse_go_duration("1h2m3.5s").value(), 1h + 2min + 3500ms);
  EXPECT_EQ(parse_go_duration("300ms").value(), 300ms);
  EXPECT_EQ(parse_go_duration("0").value(), 0s);
  for (const char* text : {"", "1", "s", "1x", "1.2.3s", "-1s"}) EXPECT_FALSE(parse_go_duration(text).ok()) << text;
}

std::string graph(const std::string& text, const std::string& target = "") {
  const Dockerfile file = parse_dockerfile(text, "D").value();
  const Result<StageGraph> graph = make_stage_graph(
      file, {.build_args = {{"V", "9"}}, .platform_args = {{"TARGETARCH", "amd64"}}, .target = target});
  if (!graph.ok()) return graph.error().message();
  std::string shown;
  for (size_t index : graph->needed) shown += std::to_string(index) + ":" + graph->stages[index].base + " ";
  return shown;
}

TEST(StageGraph, OnlyWhatTheTargetNeedsIsBuilt) {
  const std::string text =
      "ARG V=1\nFROM base:$V AS One\nFROM two AS two\nFROM one\nCOPY --from=2 a b\nFROM four\nCOPY --from=TWO a b\n";
  EXPECT_EQ(graph(text), "1:two 3:four ");
  EXPECT_EQ(graph(text, "one"), "0:base:9 ");
  EXPECT_EQ(graph(text, "2"), "0:base:9 2:one ");
  EXPECT_EQ(graph(text, "zz"), "target stage \"zz\" could not be found");
  EXPECT_EQ(graph("FROM a-$TARGETARCH"), "0:a-amd64 ");
}

TEST(StageGraph, MistakesAreNamedWithTheirLine) {
  EXPECT_EQ(graph("RUN a\nFROM b"), "dockerfile parse error on line 1: no build stage in current context");
  EXPECT_EQ(graph("ARG V"), "no build stage in current context");
  EXPECT_EQ(graph("FROM a\nFROM ${X}"), "dockerfile parse error on line 2: base name (${X}) should not be blank");
  EXPECT_EQ(graph("FROM a b"), "dockerfile parse error on line 1: FROM requires either one or three arguments");
  EXPECT_EQ(graph("FROM a AS 1x"),
            "dockerfile parse error on line 1: invalid name for build stage: \"1x\", name can't start with a number or "
            "contain symbols");
  EXPECT_EQ(graph("FROM --foo=1 a"), "dockerfile parse error on line 1: unknown flag: --foo");
}

}  // namespace
}  // namespace gantry::engine
