#include <sys/xattr.h>

#include "build_fixture.h"
#include "engine/build/context_archive.h"

namespace gantry::engine {
namespace {

TEST_F(BuilderTest, AnImageIsMadeOfItsInstructions) {
  file("a.txt", "hello", 0755);
  const std::string id = build(
      "FROM base\nARG WHO=me\nENV GREETING=\"hi $WHO\"\nCOPY a.txt /data/\nRUN make it\nWORKDIR work\nUSER app\n"
      "EXPOSE 80\nLABEL a=b\nENTRYPOINT [\"/e\"]\nCMD [\"c\"]\n",
      {.labels = {{"given", "1"}}, .tags = {"mine", "mine:2"}});
  const Image image = VALUE(store->find("mine:2"));
  EXPECT_EQ(image.id.str(), id);
  EXPECT_EQ(image.tags, (std::vector<std::string>{"mine:2", "mine:latest"}));
  EXPECT_EQ(image.config.environment, (std::vector<std::string>{"PATH=/bin", "BASE=1", "GREETING=hi me"}));
  EXPECT_EQ(image.config.working_dir, "/srv/work");
  EXPECT_EQ(image.config.user, "app");
  EXPECT_EQ(image.config.entrypoint, std::vector<std::string>{"/e"});
  EXPECT_EQ(image.config.command, std::vector<std::string>{"c"});
  EXPECT_EQ(image.config.labels, (Labels{{"a", "b"}, {"given", "1"}}));
  EXPECT_EQ(image.diff_ids.size(), 4u);
  EXPECT_EQ(look(id, "/data/a.txt"), "0755 0:0 hello");
  EXPECT_EQ(look(id, "/data"), "0755 0:0");
  EXPECT_EQ(look(id, "/srv/work"), "0755 0:0") << "USER came later";
  ASSERT_EQ(runner.steps.size(), 1u);
  EXPECT_EQ(runner.steps[0].arguments, (std::vector<std::string>{"/bin/sh", "-c", "make it"}));
  EXPECT_EQ(runner.steps[0].environment, (std::vector<std::string>{"PATH=/bin", "BASE=1", "GREETING=hi me", "WHO=me"}));
  EXPECT_EQ(runner.steps[0].working_dir, "/srv");
  EXPECT_EQ(log.substr(0, log.find("3/11")), "1/11 FROM base\n2/11 ARG WHO=me\n");
  EXPECT_TRUE(std::filesystem::is_empty(root / "work"));
}

TEST_F(BuilderTest, TheSameBuildAgainIsCachedAndGivesTheSameImage) {
  file("a", "1");
  const std::string text = "FROM base\nCOPY a /a\nRUN b\nWORKDIR /w\nENV X=1\n";
  const std::string first = build(text);
  const std::string second = build(text);
  EXPECT_EQ(first, second);
  EXPECT_EQ(runner.steps.size(), 1u);
  EXPECT_EQ(log, "1/5 FROM base\n2/5 COPY a /a\ncached\n3/5 RUN b\ncached\n4/5 WORKDIR /w\ncached\n5/5 ENV X=1\n");
}

TEST_F(BuilderTest, OnlyContentAndWhatMattersBustsTheCache) {
  file("a", "1");
  file("other", "1");
  const std::string text = "FROM base\nARG V\nCOPY a /a\nRUN b\n";
  build(text);
  const auto runs_again = [&](const char* why, bool expected, BuildRequest request = {},
                              const std::string& other = "") {
    const size_t before = runner.steps.size();
    build(other.empty() ? text : other, request);
    EXPECT_EQ(runner.steps.size() > before, expected) << why;
  };
  ASSERT_EQ(utimensat(AT_FDCWD, (root / "context/a").c_str(), nullptr, 0), 0);
  runs_again("times don't matter", false);
  file("other", "2");
  runs_again("files that are not copied don't matter", false);
  runs_again("proxies don't matter", false, {.build_args = {{"HTTP_PROXY", "x"}}});
  runs_again("undeclared arguments don't matter", false, {.build_args = {{"OTHER", "x"}}});
  runs_again("labels don't matter", false, {.labels = {{"l", "v"}}});
  runs_again("declared arguments do", true, {.build_args = {{"V", "x"}}});
  runs_again("the command does", true, {}, "FROM base\nARG V\nCOPY a /a\nRUN c\n");
  runs_again("the directory does", true, {}, "FROM base\nARG V\nCOPY a /a\nWORKDIR /etc\nRUN b\n");
  runs_again("the network does", true, {.network_mode = "none"});
  file("a", "2");
  runs_again("content does", true);
  file("a", "2", 0600);
  runs_again("modes do", true);
  runs_again("no_cache does", true, {.no_cache = true});
}

TEST_F(BuilderTest, AnAttributeThatTheCopyKeepsBustsTheCache) {
  file("a", "content");
  const std::string text = "FROM base\nCOPY . /to/\n";
  const std::string before = build(text);
  const std::string path = root / "context/a";
  if (setxattr(path.c_str(), "user.note", "x", 1, 0) != 0) GTEST_SKIP() << "no user attributes on " << root.path().native();
  const std::string with = build(text);
  EXPECT_NE(with, before);
  ASSERT_EQ(removexattr(path.c_str(), "user.note"), 0);
  EXPECT_EQ(build(text), before);
}

TEST_F(BuilderTest, CopyFollowsDockersRules) {
  file("a", "A");
  file("dir/x", "X");
  file("dir/sub/y", "Y", 0600);
  file("b.txt", "B");
  std::filesystem::create_symlink("x", root / "context/dir/link");
  const auto image = [&](const std::string& copy) { return build("FROM base\n" + copy); };
  struct Row {
    const char* copy;
    const char* path;
    const char* found;
  };
  const Row rows[] = {
      {"COPY a /new", "/new", "0644 0:0 A"},
      {"COPY a /new/", "/new/a", "0644 0:0 A"},
      {"COPY a rel", "/srv/rel", "0644 0:0 A"},
      {"COPY a .", "/srv/a", "0644 0:0 A"},
      {"COPY a /etc", "/etc/a", "0644 0:0 A"},
      {"COPY dir /d", "/d/x", "0644 0:0 X"},
      {"COPY dir /d", "/d/sub/y", "0600 0:0 Y"},
      {"COPY dir /d", "/d/link", "0777 0:0 -> x"},
      {"COPY dir/link /d", "/d", "0644 0:0 X"},
      {"COPY dir/sub dir/x /d/", "/d/y", "0600 0:0 Y"},
      {"COPY *.txt /d/", "/d/b.txt", "0644 0:0 B"},
      {"COPY d?r/* /d/", "/d/x", "0644 0:0 X"},
      {"COPY nothing*.md a /d/", "/d/a", "0644 0:0 A"},
      {"COPY ../../a /a", "/a", "0644 0:0 A"},
      {"COPY --chown=app a /a", "/a", "0644 1000:1001 A"},
      {"COPY --chown=app:staff a /n/e/w/", "/n/e", "0755 1000:50"},
      {"COPY --chown=7 a /a", "/a", "0644 7:7 A"},
      {"COPY --chmod=700 dir /d", "/d/sub/y", "0700 0:0 Y"},
      {"COPY a /lib/a", "/usr/lib/a", "0644 0:0 A"},
      {"COPY a /lib/a", "/usr/lib", "0711 0:0"},
      {"COPY a /lib/a", "/lib", "0777 0:0 -> usr/lib"},
      {"COPY [\"a\", \"/with space\"]", "/with space", "0644 0:0 A"},
      {"COPY <<EOF /text\nhi $BASE\nEOF", "/text", "0644 0:0 hi 1\n"},
      {"COPY <<'EOF' a /d/\nhi $BASE\nEOF", "/d/EOF", "0644 0:0 hi $BASE\n"},
  };
  for (const Row& row : rows) {
    const std::string id = image(row.copy);
    EXPECT_EQ(look(id, row.path), row.found) << row.copy << "\n" << id;
  }
}

TEST_F(BuilderTest, CopyMistakesAreTold) {
  file("a", "A");
  file("b", "B");
  file("dir/passwd/x", "X");
  struct Row {
    const char* copy;
    const char* message;
  };
  const Row rows[] = {
      {"COPY nope /x",
       "COPY failed: file not found in build context or excluded by .dockerignore: stat nope: file does not exist"},
      {"COPY a",
       "COPY requires at least two arguments, but only one was provided. Destination could not be determined"},
      {"COPY a b /x",
       "When using COPY with more than one source file, the destination must be a directory and end with a /"},
      {"COPY dir /etc", "cannot copy to non-directory: /etc/passwd"},
      {"COPY a /etc/passwd/x", "cannot copy to non-directory: /etc/passwd"},
      {"COPY --foo a /x", "unknown flag: --foo"},
      {"COPY --chown=nobody a /x", "unable to find user nobody: no matching entries in passwd file"},
      {"RUN exit 3", "The command '/bin/sh -c exit 3' returned a non-zero code: 3"},
  };
  for (const Row& row : rows) EXPECT_EQ(error(std::string("FROM base\n") + row.copy), row.message) << row.copy;
  EXPECT_EQ(build("FROM base\n\nRUN exit 3"),
            "The command '/bin/sh -c exit 3' returned a non-zero code: 3\nDockerfile:3\n--------------------\n"
            "   1 |     FROM base\n   2 |     \n   3 | >>> RUN exit 3\n--------------------");
  EXPECT_EQ(build("FROM base\nFOO"), "dockerfile parse error on line 2: unknown instruction: FOO");
}

TEST_F(BuilderTest, StagesHandFilesOnAndUnusedOnesAreNotBuilt) {
  file("a", "A");
  const std::string id = build(
      "FROM base AS one\nCOPY a /made/a\nFROM nosuchimage:1 AS unused\nRUN x\nFROM scratch\nCOPY --from=one /made "
      "/got\n"
      "COPY --from=base etc/passwd /p\n");
  EXPECT_EQ(look(id, "/got/a"), "0644 0:0 A") << id;
  EXPECT_EQ(look(id, "/p").substr(0, 14), "0644 0:0 root:");
  EXPECT_EQ(look(id, "/etc"), "<missing>");
  EXPECT_TRUE(runner.steps.empty());
  EXPECT_EQ(log.substr(0, 4), "1/5 ");
  EXPECT_EQ(error("FROM base\nCOPY --from=$X a b"),
            "variable expansion is not supported for --from, define a new stage with FROM using ARG from global scope "
            "as a workaround");
}

TEST_F(BuilderTest, ScopesOfArguments) {
  build(
      "ARG G=global\nARG H=h\nFROM base AS one\nARG G\nARG L=local\nRUN x\nFROM one\nENV L=env\nARG H=fallback\nRUN "
      "y\n",
      {.build_args = {{"G", "given"}}});
  ASSERT_EQ(runner.steps.size(), 2u);
  EXPECT_EQ(runner.steps[0].environment, (std::vector<std::string>{"PATH=/bin", "BASE=1", "G=given", "L=local"}));
  EXPECT_EQ(runner.steps[1].environment,
            (std::vector<std::string>{"PATH=/bin", "BASE=1", "L=env", "G=given", "H=fallback"}));
  build("FROM base\nRUN z\n", {.build_args = {{"TYPO", "1"}}});
  EXPECT_NE(log.find("[Warning] One or more build-args [TYPO] were not consumed"), std::string::npos);
}

TEST_F(BuilderTest, TheCacheOutlivesTheStore) {
  const std::string text = "FROM base\nRUN one\nRUN two";
  const std::string first = build(text);
  runner.steps.clear();
  store.reset();
  store = std::move(*ImageStore::open(root / "images"));
  EXPECT_EQ(build(text), first);
  EXPECT_TRUE(runner.steps.empty());
}

TEST_F(BuilderTest, ACacheInADirectoryIsTakenByAStoreThatHasBuiltNothing) {
  file("a", "A");
  const std::string text = "FROM base AS one\nRUN first\nFROM base\nCOPY a /a\nCOPY --from=one /ran /got\nRUN second";
  const std::string place = (root / "cache").native();
  BuildRequest writing;
  writing.cache_to = {"type=local,mode=max,dest=" + place};
  const std::string first = build(text, writing);
  ASSERT_TRUE(store->find(first).ok()) << first;
  EXPECT_EQ(runner.steps.size(), 2u);
  ASSERT_TRUE(store->remove(first, true, {}).ok());
  ASSERT_TRUE(store->prune_cache({}).ok());
  runner.steps.clear();
  BuildRequest reading;
  reading.cache_from = {"type=local,src=" + place};
  const std::string second = build(text, reading);
  EXPECT_TRUE(runner.steps.empty()) << "every step came from the cache";
  EXPECT_EQ(look(second, "/got"), "0644 0:0 first");
  EXPECT_EQ(look(second, "/a"), "0644 0:0 A");
  file("a", "B");
  EXPECT_EQ(look(build(text, reading), "/a"), "0644 0:0 B");
}

TEST_F(BuilderTest, AnImageWithAnInlineCacheIsOne) {
  const std::string text = "FROM base\nRUN one\nRUN two";
  BuildRequest writing;
  writing.cache_to = {"type=inline"};
  writing.tags = {"cached:1"};
  ASSERT_TRUE(store->find(build(text, writing)).ok());
  ASSERT_TRUE(store->prune_cache({}).ok());  // the image keeps its layers
  runner.steps.clear();
  BuildRequest reading;
  reading.cache_from = {"cached:1"};
  build(text, reading);
  EXPECT_TRUE(runner.steps.empty());
}

TEST_F(BuilderTest, ALinkedCopyIsTakenOverToANewBase) {
  file("dir/a", "A", 0640);
  const auto text = [](const char* base) { return std::string("FROM base\nRUN ") + base + "\nCOPY --link dir /x/y/\n"; };
  const std::string first = build(text("one"));
  const std::string second = build(text("two"));
  EXPECT_NE(first, second);
  EXPECT_EQ(look(second, "/x/y/a"), "0640 0:0 A");
  const auto inode = [&](const std::string& id) {
    Result<LayerView> tree = view(id);
    return tree->find("/x/y/a").value()->status().st_ino;
  };
  EXPECT_EQ(inode(first), inode(second)) << "the same file, not a copy";
  EXPECT_EQ(store->find(first)->diff_ids.back(), store->find(second)->diff_ids.back());
}

TEST_F(BuilderTest, ACacheThatCannotBeReadIsWarnedOf) {
  BuildRequest request;
  request.cache_from = {"type=local,src=" + (root / "nowhere").native()};
  ASSERT_TRUE(store->find(build("FROM base\nRUN one", request)).ok());
  EXPECT_NE(log.find("[Warning] cache-from type=local,src="), std::string::npos) << log;
  request.cache_from = {"type=gha"};
  EXPECT_EQ(build("FROM base", request),
            "cache-from \"type=gha\": cache type \"gha\" is not supported: use registry, local");
}

TEST_F(BuilderTest, TheLeastRecentlyUsedStepsGoFirstAndNothingThatAnImageHas) {
  file("big1", std::string(40'000, '1'));
  file("big2", std::string(40'000, '2'));
  file("big3", std::string(40'000, '3'));
  for (const char* name : {"big1", "big2", "big3"}) build(std::string("FROM scratch\nCOPY ") + name + " /");
  for (const Image& image : store->list()) {
    if (image.tags.empty()) {
      ASSERT_TRUE(store->remove(image.id.str(), true, {}).ok());
    }
  }
  EXPECT_EQ(store->cache_bytes().value(), 120'000u);
  build("FROM scratch\nCOPY big1 /");  // used again: the last to go, and now an image's
  EXPECT_EQ(store->prune_cache({.unused_since = {}, .keep_bytes = 40'000}).value(), 40'000u);
  EXPECT_EQ(store->cache_bytes().value(), 40'000u) << "big3; big1 belongs to an image";
  build("FROM scratch\nCOPY big3 /");
  EXPECT_NE(log.find("cached"), std::string::npos);
  build("FROM scratch\nCOPY big2 /");
  EXPECT_EQ(log.find("cached"), std::string::npos);
  EXPECT_EQ(store->prune_cache({.unused_since = WallTime{}, .keep_bytes = {}}).value(), 0u) << "all have been used since";
}

TEST_F(BuilderTest, LintWarningsComeAtTheEndAndMayBeErrors) {
  build("FROM base\nCMD run it\nCOPY $NONE /x");
  build("FROM base\nENV A=$NONE\nCMD run it");
  EXPECT_TRUE(log.ends_with("\n 2 warnings found:\n - UndefinedVar: Usage of undefined variable '$NONE' (line 2)\n"
                            " - JSONArgsRecommended: JSON arguments recommended for CMD to prevent unintended behavior "
                            "related to OS signals (line 3)\n"))
      << log;
  build("# check=skip=JSONArgsRecommended\nFROM base\nCMD run it");
  EXPECT_EQ(log.find("warning"), std::string::npos);
  EXPECT_EQ(error("# check=error=true\nFROM base\nCMD run it"),
            "lint violation found for rules: JSONArgsRecommended");
}

TEST_F(BuilderTest, AddUnpacksLocalArchives) {
  file("files.tar", make_tar({{.path = "bin/", .type = '5', .mode = 0700, .uid = 9},
                              {.path = "bin/tool", .content = "T", .mode = 0750, .uid = 9, .gid = 8},
                              {.path = "bin/alias", .type = '1', .link = "bin/tool"}}));
  file("plain", "P");
  const std::string id = build("FROM base\nADD files.tar plain /opt/\n");
  EXPECT_EQ(look(id, "/opt/bin/tool"), "0750 9:8 T") << id;
  EXPECT_EQ(look(id, "/opt/bin"), "0700 9:0");
  EXPECT_EQ(look(id, "/opt/plain"), "0644 0:0 P");
  EXPECT_EQ(look(build("FROM base\nCOPY files.tar /opt/\n"), "/opt/files.tar").substr(0, 8), "0644 0:0");
}

TEST_F(BuilderTest, HereDocumentsAndShellsOfRun) {
  build("FROM base\nRUN <<EOF\na\nb\nEOF\nRUN cat <<X > y\n1\nX\nSHELL [\"bash\",\"-e\"]\nRUN c\nRUN [\"d\",\"e\"]\n");
  ASSERT_EQ(runner.steps.size(), 4u);
  EXPECT_EQ(runner.steps[0].arguments, (std::vector<std::string>{"/bin/sh", "-c", "a\nb\n"}));
  EXPECT_EQ(runner.steps[1].arguments, (std::vector<std::string>{"/bin/sh", "-c", "cat <<X > y\n1\nX"}));
  EXPECT_EQ(runner.steps[2].arguments, (std::vector<std::string>{"bash", "-e", "c"}));
  EXPECT_EQ(runner.steps[3].arguments, (std::vector<std::string>{"d", "e"}));
}

TEST_F(BuilderTest, TriggersFireInTheChildAndOnlyThere) {
  file("a", "A");
  ASSERT_EQ(build("FROM base\nONBUILD COPY a /triggered\n", {.tags = {"parent"}}).substr(0, 7), "sha256:");
  EXPECT_EQ(VALUE(store->find("parent")).config.on_build, std::vector<std::string>{"COPY a /triggered"});
  const std::string child = build("FROM parent\n");
  EXPECT_EQ(look(child, "/triggered"), "0644 0:0 A");
  EXPECT_TRUE(VALUE(store->find(child)).config.on_build.empty());
}

TEST_F(BuilderTest, TheUpperDirectoryHasTheRootsModeAndOwner) {
  const Fd odd = file_with(docker_archive("odd", {make_tar({{.path = "./", .type = '5', .mode = 0711, .uid = 3}})}));
  ASSERT_TRUE(store->load(odd.get()).ok());
  file("a", "A");
  const std::string id = build("FROM odd\nCOPY a /a\nRUN x\n");
  EXPECT_EQ(look(id, "/"), "0711 3:0");
}

TEST_F(BuilderTest, TheDockerfileIsFoundInTheContext) {
  file("sub/My.Dockerfile", "FROM base\nENV A=1\n");
  Builder builder(*store, runner, root / "work");
  EXPECT_TRUE(builder.build({.context = root / "context", .dockerfile = "sub/My.Dockerfile"}, {}, {}).ok());
  EXPECT_EQ(builder.build({.context = root / "context"}, {}, {}).error().message(),
            "Cannot locate specified Dockerfile: Dockerfile");
  const CancelCheck at_once = [] { return true; };
  EXPECT_EQ(builder.build({.context = root / "context", .dockerfile = "sub/My.Dockerfile"}, {}, at_once).error().code(),
            Code::cancelled);
}

TEST(ContextArchive, UnpacksSafely) {
  TemporaryDirectory directory;
  const Fd good = file_with(make_tar({{.path = "a/b", .content = "x"}}));
  EXPECT_TRUE(extract_context(good.get(), directory.path()).ok());
  EXPECT_EQ(text_of(directory / "a/b"), "x");
  const Fd bad = file_with(make_tar({{.path = "../b", .content = "x"}}));
  EXPECT_EQ(extract_context(bad.get(), directory.path()).error().message(),
            "build context: \"../b\": tar entry \"../b\" leads out of the archive");
}

}  // namespace
}  // namespace gantry::engine
