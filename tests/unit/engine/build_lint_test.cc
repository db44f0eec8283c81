// Each build check of Docker's reference: a Dockerfile that gets it and one that does not.
#include <gtest/gtest.h>

#include "engine/build/lint.h"

namespace gantry::engine {
namespace {

struct LintRow {
  const char* dockerfile;
  const char* expected;  // as shown, without the heading
};

constexpr LintRow kLintRows[] = {
    {"FROM base\nRUN true\nCMD [\"x\"]", ""},
    {"FROM base AS Build", " - StageNameCasing: Stage name 'Build' should be lowercase (line 1)\n"},
    {"FROM base as build", " - FromAsCasing: 'as' and 'FROM' keywords' casing do not match (line 1)\n"},
    {"from base as build", ""},
    {"FROM base\nRUN a \\\n\n  b", " - NoEmptyContinuation: Empty continuation line (line 3)\n"},
    {"FROM base\nRUN a \\\n# said\n  b", ""},
    {"FROM base\nRUN <<EOF\na \\\n\nEOF", ""},
    {"FROM base\nrun a\nRUN b",
     " - ConsistentInstructionCasing: Command 'run' should match the case of the command majority (uppercase) (line "
     "2)\n"},
    {"from base\nrun a\nCopy . /",
     " - ConsistentInstructionCasing: Command 'Copy' should match the case of the command majority (lowercase) (line "
     "3)\n"},
    {"FROM base AS a\nFROM base AS a",
     " - DuplicateStageName: Duplicate stage name \"a\", stage names should be unique (line 2)\n"},
    {"FROM base AS scratch",
     " - ReservedStageName: Stage name should not use the same name as reserved stage \"scratch\" (line 1)\n"},
    {"FROM base\nCMD run it",
     " - JSONArgsRecommended: JSON arguments recommended for CMD to prevent unintended behavior related to OS signals "
     "(line 2)\n"},
    {"FROM base\nENTRYPOINT run it",
     " - JSONArgsRecommended: JSON arguments recommended for ENTRYPOINT to prevent unintended behavior related to OS "
     "signals (line 2)\n"},
    {"FROM base\nSHELL [\"/bin/bash\", \"-c\"]\nCMD run it", ""},
    {"FROM base\nMAINTAINER me",
     " - MaintainerDeprecated: Maintainer instruction is deprecated in favor of using label (line 2)\n"},
    {"FROM $BASE", " - UndefinedArgInFrom: FROM argument 'BASE' is not declared (line 1)\n"},
    {"ARG BASE\nFROM $BASE",
     " - InvalidDefaultArgInFrom: Default value for ARG $BASE results in empty or invalid base image name (line 2)\n"},
    {"ARG BASE=base\nFROM $BASE", ""},
    {"FROM base:${TAG:-1}", ""},
    {"FROM base\nWORKDIR app",
     " - WorkdirRelativePath: Relative workdir \"app\" can have unexpected results if the base image changes (line "
     "2)\n"},
    {"FROM base\nWORKDIR /srv\nWORKDIR app", ""},
    {"FROM base\nCMD [\"a\"]\nCMD [\"b\"]",
     " - MultipleInstructionsDisallowed: Multiple CMD instructions should not be used in the same stage because only "
     "the "
     "last one will be used (line 2)\n"},
    {"FROM base\nCMD [\"a\"]\nFROM base\nCMD [\"b\"]", ""},
    {"FROM base\nENV A b",
     " - LegacyKeyValueFormat: \"ENV key=value\" should be used instead of legacy \"ENV key value\" format (line 2)\n"},
    {"FROM base\nLABEL A b",
     " - LegacyKeyValueFormat: \"LABEL key=value\" should be used instead of legacy \"LABEL key value\" format (line "
     "2)\n"},
    {"FROM --platform=$TARGETPLATFORM base",
     " - RedundantTargetPlatform: Setting platform to predefined $TARGETPLATFORM in FROM is redundant as this is the "
     "default behavior (line 1)\n"},
    {"FROM --platform=$BUILDPLATFORM base", ""},
    {"FROM --platform=linux/amd64 base",
     " - FromPlatformFlagConstDisallowed: FROM --platform flag should not use constant value \"linux/amd64\" (line "
     "1)\n"},
    {"FROM base\nARG API_KEY",
     " - SecretsUsedInArgOrEnv: Do not use ARG or ENV instructions for sensitive data (ARG \"API_KEY\") (line 2)\n"},
    {"FROM base\nENV DB_PASSWORD=x A=1",
     " - SecretsUsedInArgOrEnv: Do not use ARG or ENV instructions for sensitive data (ENV \"DB_PASSWORD\") (line "
     "2)\n"},
    {"FROM base\nENV PUBLIC_KEY=x MONKEY=1", ""},
    {"FROM base\nEXPOSE 80/TCP",
     " - ExposeProtoCasing: Defined protocol '80/TCP' in EXPOSE instruction should be lowercase (line 2)\n"},
    {"FROM base\nEXPOSE 127.0.0.1:80:80",
     " - ExposeInvalidFormat: EXPOSE instruction should not define an IP address or host-port mapping, found "
     "'127.0.0.1:80:80' (line 2)\n"},
};

StageOptions options() {
  return {.build_args = {},
          .platform_args = {{"TARGETPLATFORM", "linux/amd64"}, {"BUILDPLATFORM", "linux/amd64"}},
          .target = {}};
}

TEST(Lint, EveryCheckFindsItsMistakeAndNothingElse) {
  for (const LintRow& row : kLintRows) {
    const Result<Dockerfile> file = parse_dockerfile(row.dockerfile, "Dockerfile");
    ASSERT_TRUE(file.ok()) << row.dockerfile << "\n" << file.error().message();
    const std::string shown = render_warnings(lint(*file, options()));
    const size_t heading = shown.find("found:\n");
    EXPECT_EQ(heading == std::string::npos ? "" : shown.substr(heading + 7), row.expected) << row.dockerfile;
  }
}

TEST(Lint, VariablesThatNobodySetAreNamedWithWhatWasMeant) {
  const VariableLookup lookup = [](const std::string& name) {
    return name == "HOME" ? std::optional<std::string>("/root") : std::nullopt;
  };
  const auto shown = [&](const char* text) {
    const Result<Instruction> instruction = parse_instruction(text);
    return instruction.ok() ? render_warnings(undefined_variables(*instruction, '\\', lookup, {"HOME", "VERSION"}))
                            : instruction.error().message();
  };
  EXPECT_EQ(shown("COPY a $HOME/${VERSON}"),
            "\n 1 warning found:\n - UndefinedVar: Usage of undefined variable '$VERSON' (did you mean $VERSION?) "
            "(line 1)\n");
  EXPECT_EQ(shown("ENV A=${NONE:-x} B='$NONE' C=\\$NONE"), "");
  EXPECT_EQ(shown("RUN echo $NONE"), "");
  EXPECT_EQ(shown("COPY --chown=$WHO a b"),
            "\n 1 warning found:\n - UndefinedVar: Usage of undefined variable '$WHO' (line 1)\n");
}

TEST(Lint, TheCheckDirectiveSkipsRulesOrMakesThemErrors) {
  const Result<LintRules> some = LintRules::parse("skip=JSONArgsRecommended,StageNameCasing;error=true");
  ASSERT_TRUE(some.ok());
  EXPECT_TRUE(some->skips("JSONArgsRecommended"));
  EXPECT_FALSE(some->skips("MaintainerDeprecated"));
  EXPECT_TRUE(some->is_error);
  EXPECT_TRUE(LintRules::parse("skip=all")->skips("MaintainerDeprecated"));
  EXPECT_EQ(LintRules::parse("error=maybe").error().message(),
            "invalid check option \"error=maybe\": expected skip=RULE,… or error=true");
}

}  // namespace
}  // namespace gantry::engine
