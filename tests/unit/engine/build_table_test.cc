// Dockerfiles, one a row, and what becomes of them: each instruction, flag and mistake.
#include <algorithm>

#include "build_fixture.h"
#include "engine/image/image_document.h"

namespace gantry::engine {
namespace {

struct BuildRow {
  const char* dockerfile;  // "FROM base\n" stands before it unless it has a FROM or a global ARG of its own
  const char* what;        // what of the result is looked at: see BuildTable::seen()
  const char* expected;
};

constexpr BuildRow kBuildRows[] = {
    // FROM and stages.
    {"FROM scratch", "layers", "0"},
    {"FROM base", "layers", "1"},
    {"FROM base AS one", "layers", "1"},
    {"FROM base as One\nFROM one", "layers", "1"},
    {"ARG B=base\nFROM $B", "layers", "1"},
    {"ARG B\nFROM ${B:-base}", "layers", "1"},
    {"ARG B\nFROM $B", "error", "dockerfile parse error on line 2: base name ($B) should not be blank"},
    {"FROM base AS 1x", "error",
     "dockerfile parse error on line 1: invalid name for build stage: \"1x\", name can't start with a number or contain "
     "symbols"},
    {"FROM base x", "error", "dockerfile parse error on line 1: FROM requires either one or three arguments"},
    {"FROM", "error", "dockerfile parse error on line 1: FROM requires either one or three arguments"},
    {"FROM --platform=linux/amd64 base", "layers", "1"},
    {"FROM --foo=x base", "error", "dockerfile parse error on line 1: unknown flag: --foo"},
    {"RUN x\nFROM base", "error", "dockerfile parse error on line 1: no build stage in current context"},
    {"ARG A=1\nFROM base\nENV X=$A", "env X", ""},
    {"ARG A=1\nFROM base\nARG A\nENV X=$A", "env X", "1"},
    {"ARG A=1\nFROM base\nARG A=2\nENV X=$A", "env X", "2"},
    {"FROM base AS a\nENV X=1\nFROM a\nENV Y=$X", "env Y", "1"},
    {"FROM base AS a\nARG X=1\nFROM a\nENV Y=$X", "env Y", "1"},
    {"FROM base AS a\nCOPY a /made\nFROM scratch\nCOPY --from=a /made /got", "path /got", "0644 0:0 A"},
    {"FROM base AS a\nCOPY a /made\nFROM scratch\nCOPY --from=0 /made /got", "path /got", "0644 0:0 A"},
    {"FROM base AS a\nFROM scratch\nCOPY --from=5 /x /y", "error",
     "invalid from flag value 5: there is no such earlier stage"},
    {"FROM base AS a\nRUN unused\nFROM scratch", "runs", "0"},
    {"FROM base AS a\nRUN one\nFROM base AS b\nRUN two\nFROM scratch\nCOPY --from=a /ran /a\nCOPY --from=b /ran /b",
     "path /b", "0644 0:0 two"},
    // Lexing.
    {"# a comment\n\nENV A=1", "env A", "1"},
    {"ENV A=1 \\\n  B=2", "env B", "2"},
    {"ENV A=1 \\\n# comment in between\n  B=2", "env B", "2"},
    {"ENV A=1 \\\n\n  B=2", "env B", "2"},
    {"env A=1", "env A", "1"},
    {"# escape=`\nFROM base\nENV A=a`\n  B=2", "env B", "2"},
    {"# escape=x\nFROM base", "error",
     "dockerfile parse error on line 1: invalid escape token 'x' does not match ` or \\"},
    {"FOO bar", "error", "dockerfile parse error on line 2: unknown instruction: FOO"},
    {"\xef\xbb\xbf" "FROM base\nENV A=1", "env A", "1"},
    {"RUN <<EOF\nhi", "error", "dockerfile parse error on line 2: unterminated heredoc"},
    {"CMD [\"a\", 1]", "error",
     "dockerfile parse error on line 2: when using JSON array syntax, arrays must be comprised of strings only"},
    {"CMD ['a']", "cmd", "/bin/sh|-c|['a']"},
    // ENV, LABEL, expansion.
    {"ENV A b c", "env A", "b c"},
    {"ENV A=\"b c\"", "env A", "b c"},
    {"ENV A='$BASE'", "env A", "$BASE"},
    {"ENV A=\"$BASE\"", "env A", "1"},
    {"ENV A=\\$BASE", "env A", "$BASE"},
    {"ENV A=1 B=$A", "env B", ""},
    {"ENV A=${BASE:-x}", "env A", "1"},
    {"ENV A=${NONE:-x}", "env A", "x"},
    {"ENV A=${NONE-x}", "env A", "x"},
    {"ENV A=${BASE:+x}", "env A", "x"},
    {"ENV A=${NONE+x}", "env A", ""},
    {"ENV A=${NONE:-${BASE}}", "env A", "1"},
    {"ENV A=abcabc\nENV B=${A#*b}", "env B", "cabc"},
    {"ENV A=abcabc\nENV B=${A##*b}", "env B", "c"},
    {"ENV A=abcabc\nENV B=${A%b*}", "env B", "abca"},
    {"ENV A=abcabc\nENV B=${A%%b*}", "env B", "a"},
    {"ENV A=abcabc\nENV B=${A/b/x}", "env B", "axcabc"},
    {"ENV A=abcabc\nENV B=${A//b/x}", "env B", "axcaxc"},
    {"ENV A=\"${NONE:?must be set}\"", "error", "NONE: must be set"},
    {"ENV A=${BASE", "error", "syntax error: missing '}'"},
    {"ENV BASE=2", "env BASE", "2"},
    {"ENV A", "error", "ENV must have two arguments"},
    {"ENV A=1 b", "error", "Syntax error - can't find = in \"b\". Must be of the form: name=value"},
    {"LABEL a=1 \"b c\"=2", "label b c", "2"},
    {"LABEL a=1\nLABEL a=2", "label a", "2"},
    {"LABEL v=$BASE", "label v", "1"},
    {"LABEL a b", "label a", "b"},
    // CMD, ENTRYPOINT, SHELL.
    {"CMD echo hi", "cmd", "/bin/sh|-c|echo hi"},
    {"CMD [\"echo\", \"$HOME\"]", "cmd", "echo|$HOME"},
    {"CMD []", "cmd", ""},
    {"ENTRYPOINT [\"/x\"]", "cmd", ""},
    {"CMD [\"c\"]\nENTRYPOINT [\"/x\"]", "cmd", "c"},
    {"ENTRYPOINT run it", "entrypoint", "/bin/sh|-c|run it"},
    {"SHELL [\"/bin/bash\", \"-c\"]\nCMD x", "cmd", "/bin/bash|-c|x"},
    {"SHELL [\"/bin/bash\", \"-c\"]\nRUN x", "run 0", "/bin/bash|-c|x"},
    {"SHELL /bin/bash", "error", "SHELL requires the arguments to be in JSON form"},
    // WORKDIR, USER.
    {"WORKDIR /a", "workdir", "/a"},
    {"WORKDIR a", "workdir", "/srv/a"},
    {"WORKDIR /a\nWORKDIR b/../c", "workdir", "/a/c"},
    {"WORKDIR /$BASE", "workdir", "/1"},
    {"WORKDIR /new", "path /new", "0755 0:0"},
    {"USER app\nWORKDIR /home/w", "path /home/w", "0755 1000:1001"},
    {"USER nobody\nWORKDIR /w", "error", "unable to find user nobody: no matching entries in passwd file"},
    {"USER app:staff", "user", "app:staff"},
    {"USER $BASE", "user", "1"},
    {"WORKDIR", "error", "dockerfile parse error on line 2: WORKDIR requires exactly one argument"},
    // EXPOSE, VOLUME, STOPSIGNAL, MAINTAINER.
    {"EXPOSE 80", "config ExposedPorts", R"({"80/tcp":{}})"},
    {"EXPOSE 80/udp 90-91", "config ExposedPorts", R"({"80/udp":{},"90/tcp":{},"91/tcp":{}})"},
    {"EXPOSE 80/foo", "error", "Invalid proto: foo"},
    {"VOLUME /a /b", "config Volumes", R"({"/a":{},"/b":{}})"},
    {"VOLUME [\"/a b\"]", "config Volumes", R"({"/a b":{}})"},
    {"STOPSIGNAL SIGINT", "config StopSignal", "\"SIGINT\""},
    {"STOPSIGNAL 9", "config StopSignal", "\"9\""},
    {"MAINTAINER me <me@x>", "author", "me <me@x>"},
    // HEALTHCHECK.
    {"HEALTHCHECK NONE", "config Healthcheck", R"({"Test":["NONE"]})"},
    {"HEALTHCHECK --interval=5s --retries=2 CMD true", "config Healthcheck",
     R"({"Interval":5000000000,"Retries":2,"Test":["CMD-SHELL","true"]})"},
    {"HEALTHCHECK --timeout=1m CMD x", "config Healthcheck", R"({"Test":["CMD-SHELL","x"],"Timeout":60000000000})"},
    {"HEALTHCHECK --start-period=1s --start-interval=2s CMD x", "config Healthcheck",
     R"({"StartInterval":2000000000,"StartPeriod":1000000000,"Test":["CMD-SHELL","x"]})"},
    {"HEALTHCHECK --retries=x CMD y", "error", "--retries must be a number: \"x\""},
    {"HEALTHCHECK CMD [\"a\",\"b\"]", "config Healthcheck", R"({"Test":["CMD","a","b"]})"},
    {"HEALTHCHECK --interval=5 CMD x", "error", "time: missing unit in duration \"5\""},
    {"HEALTHCHECK --foo=5s CMD x", "error", "unknown flag: --foo"},
    // ONBUILD.
    {"ONBUILD RUN x", "config OnBuild", R"(["RUN x"])"},
    {"FROM base AS p\nONBUILD ENV T=1\nFROM p", "env T", "1"},
    {"FROM base AS p\nONBUILD ENV T=1\nFROM p", "config OnBuild", "null"},
    {"ONBUILD ONBUILD RUN x", "error", "Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed"},
    {"ONBUILD FROM x", "error", "FROM isn't allowed as an ONBUILD trigger"},
    // RUN.
    {"RUN echo $HOME", "run 0", "/bin/sh|-c|echo $HOME"},
    {"RUN [\"a\", \"b c\"]", "run 0", "a|b c"},
    {"RUN <<EOF\none\ntwo\nEOF", "run 0", "/bin/sh|-c|one\ntwo\n"},
    {"RUN <<-EOF\n\tone\nEOF", "run 0", "/bin/sh|-c|one\n"},
    {"RUN cat <<A <<B\none\nA\ntwo\nB", "run 0", "/bin/sh|-c|cat <<A <<B\none\nA\ntwo\nB"},
    {"RUN <<EOF\n#!/bin/awk -f\nx\nEOF", "run 0", "/dev/pipes/EOF"},
    {"ARG V=1\nFROM base\nARG V\nRUN x", "run env V", "1"},
    {"RUN --network=none x", "run network", "none"},
    {"RUN --network=default x", "run network", ""},
    {"RUN --network=foo x", "error", "invalid network mode \"foo\": use default, none or host"},
    {"RUN --security=insecure x", "error",
     "security.insecure is not allowed: build with --allow security.insecure"},
    {"RUN --security=sandbox x", "runs", "1"},
    {"RUN --foo x", "error", "unknown flag: --foo"},
    {"RUN exit 7", "error", "The command '/bin/sh -c exit 7' returned a non-zero code: 7"},
    {"RUN --mount=target=/ctx x", "mounts", "layers /ctx ro"},
    {"RUN --mount=type=bind,source=dir,target=/ctx,rw x", "mounts", "layers /ctx rw dir"},
    {"RUN --mount=type=bind,from=base,target=/b x", "mounts", "layers /b ro"},
    {"RUN --mount=target=rel x", "mounts", "layers /srv/rel ro"},
    {"RUN --mount=type=cache,target=/c x", "mounts", "bind /c rw"},
    {"RUN --mount=type=cache,target=/c,readonly x", "mounts", "bind /c ro"},
    {"RUN --mount=type=tmpfs,target=/t,size=1m x", "mounts", "tmpfs /t rw mode=1777,size=1048576"},
    {"RUN --mount=type=secret,id=key x", "mounts", "secret /run/secrets/key ro 0400 s3cret"},
    {"RUN --mount=type=secret,id=key,target=/k,mode=0440,uid=5 x", "mounts", "secret /k ro 0440 s3cret"},
    {"RUN --mount=type=secret,id=key,env=KEY x", "run env KEY", "s3cret"},
    {"RUN --mount=type=secret,id=none x", "mounts", ""},
    {"RUN --mount=type=secret,id=none,required x", "error", "secret none: not found: give it by --secret id=none"},
    {"RUN --mount=type=ssh x", "mounts", ""},
    {"RUN --mount=type=ssh,required=true x", "error", "unset ssh forward key default: give it by --ssh default"},
    {"RUN --mount=type=foo,target=/x y", "error", "unsupported mount type \"foo\""},
    {"RUN --mount=typ=bind,target=/x y", "error",
     "unexpected key 'typ' in 'typ=bind' (did you mean type?)"},
    {"RUN --mount=type=bind y", "error", "required field \"target\" is missing from the bind mount"},
    {"RUN --mount=type=cache,target=/x,sharing=foo y", "error",
     "--mount=type=cache,target=/x,sharing=foo: unsupported sharing value \"foo\": use shared, private or locked"},
    {"RUN --mount=type=bind,from=$X,target=/x y", "error",
     "--mount=type=bind,from=$X,target=/x: '$X' in from: variable expansion is not supported for from, define a new "
     "stage with FROM using ARG from global scope as a workaround"},
    // COPY.
    {"COPY a /x", "path /x", "0644 0:0 A"},
    {"COPY a /x/", "path /x/a", "0644 0:0 A"},
    {"COPY a b /x/", "path /x/b", "0644 0:0 B"},
    {"COPY dir /x", "path /x/sub/z", "0644 0:0 Z"},
    {"COPY dir/*.txt /x/", "path /x/y.txt", "0644 0:0 Y"},
    {"COPY no* /x/", "path /x", "<missing>"},
    {"COPY /../a /x", "path /x", "0644 0:0 A"},
    {"COPY --chown=app a /x", "path /x", "0644 1000:1001 A"},
    {"COPY --chown=5:6 a /n/x", "path /n", "0755 5:6"},
    {"COPY --chmod=0700 a /x", "path /x", "0700 0:0 A"},
    {"COPY --chmod=u+x,go= a /x", "path /x", "0700 0:0 A"},
    {"COPY --chmod=a+X dir /x", "path /x/sub/z", "0644 0:0 Z"},
    {"COPY --chmod=9 a /x", "error",
     "invalid chmod parameter: '9'. it should be octal string and between 0 and 07777, or symbolic as u+x,go-w"},
    {"COPY --link a /lib/a", "path /lib/a", "0644 0:0 A"},
    {"COPY --link=maybe a /x", "error", "expecting boolean value for flag link, not: maybe"},
    {"COPY --parents dir/sub/z /x/", "path /x/dir/sub/z", "0644 0:0 Z"},
    {"COPY --parents dir/./sub/z /x/", "path /x/sub/z", "0644 0:0 Z"},
    {"COPY --parents dir/sub /x/", "path /x/dir/sub/z", "0644 0:0 Z"},
    {"COPY --exclude=*.txt dir /x", "path /x/y.txt", "<missing>"},
    {"COPY --exclude=*.txt dir /x", "path /x/sub/z", "0644 0:0 Z"},
    {"COPY --exclude=sub dir /x", "path /x/sub", "<missing>"},
    {"COPY <<EOF /t\nhi\nEOF", "path /t", "0644 0:0 hi\n"},
    {"COPY --from=base /etc/group /g", "path /g", "0644 0:0 root:x:0:\nstaff:x:50:\n"},
    {"COPY --checksum=sha256:0 a /x", "error", "unknown flag: --checksum"},
    // ADD.
    {"ADD a /x", "path /x", "0644 0:0 A"},
    {"ADD archive.tar /x", "path /x/in", "0644 0:0 packed"},
    {"ADD --chown=5:6 a /x", "path /x", "0644 5:6 A"},
    {"ADD --chmod=0700 a /x", "path /x", "0700 0:0 A"},
    {"ADD --link a /lib/a", "path /lib/a", "0644 0:0 A"},
    {"ADD --exclude=*.txt dir /x", "path /x/y.txt", "<missing>"},
    {"ADD --parents a /x", "error", "unknown flag: --parents"},
    {"ADD --unpack=false archive.tar /x/", "path /x/in", "<missing>"},
    {"COPY archive.tar /x/", "path /x/in", "<missing>"},
    {"ADD --checksum=sha256:0 a /x", "error", "checksum requires a remote source, and a is none"},
    {"ADD --checksum=md5:0 http://127.0.0.1:1/f /x", "error", "unsupported checksum \"md5:0\": use sha256:HEX"},
    {"ADD --keep-git-dir http://127.0.0.1:1/f /x", "error", "--keep-git-dir is for Git repositories"},
    // Arguments.
    {"ARG A=1\nENV B=$A", "env B", "1"},
    {"ARG A=1 B=2\nENV C=$A$B", "env C", "12"},
    {"ARG A=1", "env A", "<unset>"},
    {"ARG TARGETARCH\nENV A=${TARGETARCH:+known}", "env A", "known"},
    {"ENV A=1\nARG A=2\nENV B=$A", "env B", "2"},
    {"ARG", "error", "dockerfile parse error on line 2: ARG requires at least one argument"},
};

class BuildTable : public BuilderTest {
 protected:
  void SetUp() override {
    BuilderTest::SetUp();
    if (IsSkipped()) return;
    file("a", "A");
    file("b", "B");
    file("dir/x", "X");
    file("dir/y.txt", "Y");
    file("dir/sub/z", "Z");
    file("archive.tar", make_tar({{.path = "in", .content = "packed"}}));
  }

  static std::string joined(const std::vector<std::string>& words) { return join(words, "|"); }

  static std::string mounts_of(const Step& step) {
    constexpr const char* kKinds[] = {"bind", "layers", "tmpfs", "secret"};
    std::string text;
    for (const StepMount& mount : step.mounts) {
      if (!text.empty()) text += "; ";
      text += std::string(kKinds[static_cast<int>(mount.kind)]) + " " + mount.target + (mount.read_only ? " ro" : " rw");
      if (!mount.subpath.empty()) text += " " + mount.subpath;
      if (!mount.tmpfs_options.empty()) text += " " + mount.tmpfs_options;
      if (mount.kind == StepMount::Kind::secret) text += " " + octal(mount.mode, 5).substr(0, 4) + " " + mount.content;
    }
    return text;
  }

  // "path P": mode, owner and content; "env N", "label N"; "config M": JSON of a member; "run N": the N-th program's
  // arguments; "run env N"; "mounts", "run network": of the first program; "error": the first line.
  std::string seen(const std::string& result, const std::string& what) {
    const Result<Image> found = store->find(result);
    if (what == "error" || !found.ok()) return result.substr(0, result.find("\nDockerfile:"));
    const std::string name = what.find(' ') == std::string::npos ? "" : what.substr(what.find(' ') + 1);
    const ImageConfig& config = found->config;
    if (what.starts_with("path ")) return look(result, name);
    if (what.starts_with("env ")) return variable(config.environment, name);
    if (what.starts_with("label ")) return config.labels.contains(name) ? config.labels.at(name) : "<unset>";
    if (what == "cmd") return joined(config.command);
    if (what == "entrypoint") return joined(config.entrypoint);
    if (what == "workdir") return config.working_dir;
    if (what == "user") return config.user;
    if (what == "author") return found->author;
    if (what == "layers") return std::to_string(found->diff_ids.size());
    if (what == "runs") return std::to_string(runner.steps.size());
    if (what.starts_with("config ")) return config_member(found->config_json, name);
    if (runner.steps.empty()) return "<nothing ran>";
    if (what.starts_with("run env ")) return variable(runner.steps[0].environment, name.substr(4));
    if (what == "run network") return runner.steps[0].network_mode;
    if (what == "mounts") return mounts_of(runner.steps[0]);
    return joined(runner.steps[static_cast<size_t>(std::stoi(name))].arguments);
  }

  static std::string variable(const std::vector<std::string>& environment, const std::string& name) {
    for (const std::string& item : environment) {
      if (item.starts_with(name + "=")) return item.substr(name.size() + 1);
    }
    return "<unset>";
  }

  // The text of a member of "config", found by its name: documents are rendered without white space.
  static std::string config_member(const std::string& json, const std::string& name) {
    const size_t at = json.find("\"" + name + "\":");
    if (at == std::string::npos) return "null";
    size_t end = at + name.size() + 3;
    const size_t start = end;
    int depth = 0;
    bool quoted = false;
    for (; end < json.size(); ++end) {
      const char c = json[end];
      if (c == '"' && json[end - 1] != '\\') quoted = !quoted;
      if (quoted) continue;
      if (c == '{' || c == '[') ++depth;
      if (depth == 0 && (c == ',' || c == '}' || c == ']')) break;
      if ((c == '}' || c == ']') && --depth == 0) {
        ++end;
        break;
      }
    }
    return json.substr(start, end - start);
  }
};

TEST_F(BuildTable, EveryRowGivesWhatItSays) {
  EXPECT_GE(std::size(kBuildRows), 120u);
  for (const BuildRow& row : kBuildRows) {
    runner.steps.clear();
    std::string text = row.dockerfile;
    const bool stands_alone = text.find("FROM base") == 0 || text.find("FROM scratch") == 0 ||
                              text.find("FROM --") == 0 || text == "FROM" || text.find("FROM base") != std::string::npos ||
                              text.find("FROM $") != std::string::npos;
    if (!stands_alone) text = "FROM base\n" + text;
    BuildRequest request;
    request.secrets = {{"key", "s3cret"}};
    request.no_cache = true;
    const std::string result = build(text, request);
    EXPECT_EQ(seen(result, row.what), row.expected) << text << "\n→ " << result;
  }
}

// The parser's own lists: an instruction or flag that is added needs a row.
TEST_F(BuildTable, EveryInstructionAndFlagHasARow) {
  const auto has = [](const std::string& instruction, const std::string& text) {
    return std::any_of(std::begin(kBuildRows), std::end(kBuildRows), [&](const BuildRow& row) {
      for (const std::string& line : split(row.dockerfile, '\n')) {
        if (line.starts_with(instruction) && line.find(text) != std::string::npos) return true;
      }
      return false;
    });
  };
  for (const std::string& instruction : known_instructions()) {
    EXPECT_TRUE(has(instruction, "")) << instruction;
    for (const std::string& flag : known_flags(instruction)) {
      EXPECT_TRUE(has(instruction, "--" + flag)) << instruction << " --" << flag;
    }
  }
  for (const char* type : {"bind", "cache", "tmpfs", "secret", "ssh"}) {
    EXPECT_TRUE(has("RUN", std::string("type=") + type)) << type;
  }
}

// What is built again after which change.
TEST_F(BuildTable, OnlyWhatChangedIsBuiltAgain) {
  const std::string text =
      "FROM base AS one\nRUN first\nFROM base AS two\nCOPY a /a\nRUN --mount=type=bind,source=dir,target=/d second\n"
      "FROM scratch\nCOPY --from=one / /\nCOPY --from=two / /\nRUN third";
  const auto ran = [&] {
    std::vector<std::string> programs;
    for (const Step& step : std::exchange(runner.steps, {})) programs.push_back(step.arguments.back());
    std::sort(programs.begin(), programs.end());  // stages run side by side
    return join(programs, " ");
  };
  const std::string first = build(text);
  EXPECT_EQ(ran(), "first second third") << first;
  EXPECT_EQ(build(text), first);
  EXPECT_EQ(ran(), "");
  file("b", "changed");  // nothing reads it
  EXPECT_EQ(build(text), first);
  EXPECT_EQ(ran(), "");
  file("dir/sub/z", "changed");
  build(text);
  EXPECT_EQ(ran(), "second") << "the same content comes out, so what follows is known";
  file("a", "changed");
  build(text);
  EXPECT_EQ(ran(), "second third");
  std::filesystem::last_write_time(root / "context/a", std::filesystem::file_time_type::clock::now());
  build(text);
  EXPECT_EQ(ran(), "") << "times alone change nothing";
  BuildRequest filtered;
  filtered.no_cache_filter = {"one"};
  build(text, filtered);
  EXPECT_EQ(ran(), "first");
}

TEST_F(BuildTable, ALocalContextIsReadOnce) {
  BuildRequest request;
  request.context_stays = true;
  for (const char* name : {"a", "b"}) {
    // Old enough to be remembered.
    const timespec times[2] = {{.tv_sec = 1'000'000'000, .tv_nsec = 0}, {.tv_sec = 1'000'000'000, .tv_nsec = 0}};
    ASSERT_EQ(utimensat(AT_FDCWD, (root / ("context/" + std::string(name))).c_str(), times, 0), 0);
  }
  const std::string first = build("FROM base\nCOPY . /all", request);
  EXPECT_EQ(build("FROM base\nCOPY . /all", request), first);
  file("a", "other");
  EXPECT_NE(build("FROM base\nCOPY . /all", request), first);
}

TEST_F(BuildTable, NamedContextsStandForStagesAndImages) {
  std::filesystem::create_directory(root / "other");
  ASSERT_TRUE(write_file(root / "other/f", "other").ok());
  BuildRequest request;
  request.contexts = {{"files", (root / "other").native()}, {"old", "docker-image://base"}};
  EXPECT_EQ(look(build("FROM base\nCOPY --from=files f /f", request), "/f"), "0644 0:0 other");
  EXPECT_EQ(seen(build("FROM nosuch AS old\nRUN x\nFROM old\nENV A=1", request), "env A"), "1");
  EXPECT_EQ(seen(build("FROM files", request), "error"),
            "the build context \"files\" is a directory: FROM needs docker-image://REFERENCE");
}

TEST_F(BuildTable, MountPointsLeaveNoTrace) {
  const std::string id = build("FROM base\nRUN --mount=type=cache,target=/var/cache/x --mount=target=/ctx go");
  EXPECT_EQ(look(id, "/ran"), "0644 0:0 go");
  EXPECT_EQ(look(id, "/var"), "<missing>");
}

}  // namespace
}  // namespace gantry::engine
