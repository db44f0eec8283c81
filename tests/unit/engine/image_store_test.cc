#include "engine/image/image_store.h"

#include "image_fixture.h"

namespace gantry::engine {
namespace {

const ImageStore::Users kNobody = [](const ImageId&) { return std::vector<std::string>(); };

class ImageStoreTest : public ::testing::Test {
 protected:
  void SetUp() override {
    NEEDS_ROOT();
    reopen();
  }
  void reopen() {
    store.reset();
    Result<std::unique_ptr<ImageStore>> opened = ImageStore::open(root.path());
    ASSERT_TRUE(opened.ok()) << opened.error().message();
    store = std::move(*opened);
  }
  std::string load(const std::string& archive) {
    const Fd file = file_with(archive);
    const Result<std::vector<std::string>> loaded = store->load(file.get());
    if (!loaded.ok()) return loaded.error().message();
    std::string names;
    for (const std::string& name : *loaded) names += (names.empty() ? "" : " ") + name;
    return names;
  }
  size_t count(const std::string& directory) {
    return static_cast<size_t>(std::distance(std::filesystem::directory_iterator(root / directory), {}));
  }

  TemporaryDirectory root;
  std::unique_ptr<ImageStore> store;
  const std::string base = make_tar({{.path = "etc/", .type = '5'}, {.path = "etc/name", .content = "base"}});
  const std::string top = make_tar({{.path = "etc/name", .content = "top!"}});
};

TEST_F(ImageStoreTest, LoadsADockerArchiveAndFindsItByEveryName) {
  ASSERT_EQ(load(docker_archive("hello:1", {base, top}, R"({"Env":["A=b"],"Cmd":["/x"]})")), "hello:1");
  const Image image = VALUE(store->find("hello:1"));
  EXPECT_EQ(image.id.str(), digest_of(config_json({base, top}, R"({"Env":["A=b"],"Cmd":["/x"]})")));
  EXPECT_EQ(image.tags, std::vector<std::string>{"hello:1"});
  EXPECT_EQ(image.config.command, std::vector<std::string>{"/x"});
  EXPECT_EQ(image.size, 8u);
  for (const std::string& name : {image.id.str(), image.id.str().substr(7), image.id.str().substr(7, 6),
                                  std::string("docker.io/library/hello:1")}) {
    EXPECT_EQ(store->find(name).value().id, image.id) << name;
  }
  EXPECT_EQ(store->find("hello").error().message(), "No such image: hello:latest");
  EXPECT_EQ(store->find("hello").error().code(), Code::not_found);

  const ImageStore::Layers layers = VALUE(store->layers(image.id));
  ASSERT_EQ(layers.directories.size(), 2u);
  EXPECT_EQ(text_of(layers.directories[0] / "etc/name"), "top!");
  EXPECT_EQ(text_of(layers.directories[1] / "etc/name"), "base");
  EXPECT_EQ(status_of(layers.directories[0]).st_mode & 07777, 0755u);

  reopen();
  EXPECT_EQ(store->find("hello:1").value().id, image.id) << "a new daemon knows it, too";
  EXPECT_EQ(store->find("hello:1").value().config_json, image.config_json);
}

TEST_F(ImageStoreTest, AnOciLayoutLoads) {
  const std::string config = config_json({base});
  const std::string manifest = R"({"schemaVersion":2,"config":{"mediaType":"c","digest":")" + digest_of(config) +
                               R"(","size":)" + std::to_string(config.size()) + R"(},"layers":[{"digest":")" +
                               digest_of(base) + R"(","size":)" + std::to_string(base.size()) + "}]}";
  const std::string index = R"({"schemaVersion":2,"manifests":[{"digest":")" + digest_of(manifest) + R"(","size":)" +
                            std::to_string(manifest.size()) +
                            R"(,"annotations":{"org.opencontainers.image.ref.name":"oci:2"}}]})";
  const auto blob = [](const std::string& text) {
    return TarItem{.path = "blobs/sha256/" + hex_part(digest_of(text)), .content = text};
  };
  const std::string archive = make_tar({{.path = "oci-layout", .content = "{}"},
                                        {.path = "index.json", .content = index},
                                        blob(manifest),
                                        blob(config),
                                        blob(base)});
  EXPECT_EQ(load(archive), "oci:2");
  EXPECT_EQ(store->find("oci:2").value().id.str(), digest_of(config));
}

TEST_F(ImageStoreTest, ABadArchiveLeavesNothing) {
  std::string wrong = docker_archive("x:1", {base});
  const size_t at = wrong.find("base");
  wrong.replace(at, 4, "BASE");  // its digest does not match the config any more
  EXPECT_NE(load(wrong).find("the image's config says"), std::string::npos);
  EXPECT_EQ(load(make_tar({{.path = "x"}})),
            "archive holds neither manifest.json nor index.json: it was not made by `docker save`");
  EXPECT_NE(load(docker_archive("x:1", {base}).substr(0, 1000)), "x:1");
  EXPECT_NE(load("no tar at all"), "");
  EXPECT_TRUE(store->list().empty());
  EXPECT_EQ(count("tmp"), 0u);
  EXPECT_EQ(count("blobs/sha256"), 0u);
  EXPECT_EQ(count("layers"), 0u);
}

TEST_F(ImageStoreTest, ImportMakesOneLayerAndAppliesChanges) {
  const Fd tar = file_with(make_tar({{.path = "bin/", .type = '5'}, {.path = "bin/sh", .content = "#!"}}));
  const ImageId id = VALUE(store->import(
      tar.get(), {.reference = "mine:3", .message = "m", .changes = {"CMD [\"/bin/sh\"]", "ENV A=b", "EXPOSE 80"}}));
  const Image image = VALUE(store->find("mine:3"));
  EXPECT_EQ(image.id, id);
  EXPECT_EQ(image.config.command, std::vector<std::string>{"/bin/sh"});
  EXPECT_EQ(image.config.environment, std::vector<std::string>{"A=b"});
  EXPECT_EQ(image.config.exposed.size(), 1u);
  EXPECT_EQ(image.diff_ids.size(), 1u);
  const Fd again = file_with(make_tar({}));
  EXPECT_EQ(store->import(again.get(), {.changes = {"RUN x"}}).error().message(), "RUN is not a valid change command");
}

TEST_F(ImageStoreTest, ATagMovesSilently) {
  ASSERT_EQ(load(docker_archive("a:1", {base})), "a:1");
  ASSERT_EQ(load(docker_archive("b:1", {base, top})), "b:1");
  const Image a = VALUE(store->find("a:1"));
  ASSERT_TRUE(store->tag(a.id, "b:1").ok());
  EXPECT_EQ(store->find("b:1").value().id, a.id);
  EXPECT_EQ(store->list().size(), 2u);
  EXPECT_EQ(store->tag(a.id, "B").error().code(), Code::invalid);
}

TEST_F(ImageStoreTest, RemovingTheLastNameDeletesWhatNobodyElseNeeds) {
  ASSERT_EQ(load(docker_archive("a:1", {base})), "a:1");
  ASSERT_EQ(load(docker_archive("b:1", {base, top})), "b:1");
  const Image b = VALUE(store->find("b:1"));
  ASSERT_TRUE(store->tag(b.id, "b:2").ok());

  RemovedImages removed = VALUE(store->remove("b:2", false, kNobody));
  EXPECT_EQ(removed.untagged, std::vector<std::string>{"b:2"});
  EXPECT_TRUE(removed.deleted.empty());

  removed = VALUE(store->remove("b:1", false, kNobody));
  EXPECT_EQ(removed.untagged, std::vector<std::string>{"b:1"});
  ASSERT_EQ(removed.deleted.size(), 2u) << "the image and its top layer; the lower one is a:1's";
  EXPECT_EQ(removed.deleted[0], b.id.str());
  EXPECT_EQ(count("layers"), 1u);

  ASSERT_TRUE(store->remove("a:1", false, kNobody).ok());
  EXPECT_EQ(count("layers"), 0u);
  EXPECT_EQ(count("blobs/sha256"), 0u);
  EXPECT_EQ(count("tmp"), 0u);
  EXPECT_EQ(store->remove("a:1", false, kNobody).error().message(), "No such image: a:1");
}

TEST_F(ImageStoreTest, RefusalsAreDockers) {
  ASSERT_EQ(load(docker_archive("a:1", {base})), "a:1");
  const Image image = VALUE(store->find("a:1"));
  const std::string short_id = image.id.str().substr(7, 12);
  const ImageStore::Users web = [](const ImageId&) { return std::vector<std::string>{"web"}; };
  EXPECT_EQ(store->remove("a:1", false, web).error().message(),
            "conflict: unable to remove repository reference \"a:1\" (must force) - container web is using its "
            "referenced image " +
                short_id);
  EXPECT_EQ(
      store->remove(short_id, false, web).error().message(),
      "conflict: unable to delete " + short_id + " (must be forced) - image is being used by stopped container web");
  ASSERT_TRUE(store->tag(image.id, "other:1").ok());
  EXPECT_EQ(
      store->remove(short_id, false, kNobody).error().message(),
      "conflict: unable to delete " + short_id + " (must be forced) - image is referenced in multiple repositories");
  EXPECT_TRUE(store->remove(short_id, true, kNobody).ok());
  EXPECT_TRUE(store->list().empty());
}

TEST_F(ImageStoreTest, HeldLayersStayUntilTheyAreReleased) {
  ASSERT_EQ(load(docker_archive("a:1", {base})), "a:1");
  const Image image = VALUE(store->find("a:1"));
  ImageStore::Layers layers = VALUE(store->layers(image.id));
  ASSERT_TRUE(store->remove("a:1", true, kNobody).ok());
  EXPECT_EQ(text_of(layers.directories[0] / "etc/name"), "base");
  layers.hold.reset();
  EXPECT_EQ(count("layers"), 0u);
  EXPECT_EQ(count("tmp"), 0u);
}

TEST_F(ImageStoreTest, HoldsMayOutliveTheStore) {
  ASSERT_EQ(load(docker_archive("a:1", {base})), "a:1");
  ImageStore::Layers layers = VALUE(store->layers(VALUE(store->find("a:1")).id));
  store.reset();
  layers.hold.reset();
}

TEST_F(ImageStoreTest, LeftoversOfACrashGoAndTheRestStays) {
  ASSERT_EQ(load(docker_archive("a:1", {base})), "a:1");
  store.reset();
  std::filesystem::create_directories(root / "tmp/layer-1/x");
  std::filesystem::create_directories(root / ("layers/" + std::string(64, 'a')));
  ASSERT_TRUE(write_file(root / ("blobs/sha256/" + std::string(64, 'b')), "x").ok());
  reopen();
  EXPECT_EQ(count("tmp"), 0u);
  EXPECT_EQ(count("layers"), 1u);
  EXPECT_EQ(count("blobs/sha256"), 2u) << "the config and the layer";
  EXPECT_TRUE(store->find("a:1").ok());
}

TEST_F(ImageStoreTest, AnImageWithALostLayerIsForgotten) {
  ASSERT_EQ(load(docker_archive("a:1", {base})), "a:1");
  store.reset();
  for (const auto& entry : std::filesystem::directory_iterator(root / "layers")) std::filesystem::remove_all(entry);
  reopen();
  EXPECT_TRUE(store->list().empty());
  EXPECT_EQ(load(docker_archive("a:1", {base})), "a:1");
  EXPECT_EQ(text_of(VALUE(store->layers(VALUE(store->find("a:1")).id)).directories[0] / "etc/name"), "base");
}

TEST_F(ImageStoreTest, AnUpperDirectoryBecomesALayerAndImagesAreMadeOfThem) {
  TemporaryDirectory elsewhere;
  const std::filesystem::path upper = root / "upper";
  std::filesystem::create_directory(upper);
  ASSERT_TRUE(write_file(upper / "f", "content").ok());
  const ImageStore::NewLayer first = VALUE(store->add_layer("", upper));
  EXPECT_FALSE(std::filesystem::exists(upper)) << "it has been taken";
  EXPECT_EQ(first.size, 7u);
  EXPECT_EQ(first.chain_id, first.diff_id);
  // On another filesystem it is copied: /dev/shm.
  char other[] = "/dev/shm/gantry-test-XXXXXX";
  ASSERT_NE(mkdtemp(other), nullptr);
  ASSERT_TRUE(write_file(std::filesystem::path(other) / "g", "2").ok());
  const ImageStore::NewLayer second = VALUE(store->add_layer(first.chain_id, other));
  EXPECT_FALSE(std::filesystem::exists(other));
  const std::string config = R"({"os":"linux","architecture":"amd64","rootfs":{"diff_ids":[")" + first.diff_id +
                             "\",\"" + second.diff_id + "\"]}}";
  const ImageId id = VALUE(store->add_image(config, ""));
  const ImageStore::Layers layers = VALUE(store->layers(id));
  EXPECT_EQ(text_of(layers.directories[0] / "g"), "2");
  EXPECT_EQ(text_of(layers.directories[1] / "f"), "content");
  EXPECT_FALSE(store->add_image(R"({"rootfs":{"diff_ids":["sha256:)" + std::string(64, '0') + "\"]}}", "").ok());
}

TEST_F(ImageStoreTest, CacheEntriesKeepTheirLayersUntilPruned) {
  const std::filesystem::path upper = root / "upper";
  std::filesystem::create_directory(upper);
  ASSERT_TRUE(write_file(upper / "f", "content").ok());
  {
    const ImageStore::NewLayer layer = VALUE(store->add_layer("", upper));
    ASSERT_TRUE(store->cache_put("key", layer.chain_id).ok());
    ASSERT_TRUE(store->cache_put("text", "some text").ok());
  }
  reopen();
  ASSERT_TRUE(store->cache_get("key").has_value());
  EXPECT_EQ(store->cache_get("text"), "some text");
  EXPECT_TRUE(store->layers_of_chain(*store->cache_get("key")).ok());
  EXPECT_EQ(store->cache_get("other"), std::nullopt);
  EXPECT_EQ(store->prune_cache({}).value(), 7u);
  EXPECT_EQ(store->cache_get("key"), std::nullopt);
  EXPECT_EQ(count("layers"), 0u);
}

TEST_F(ImageStoreTest, AnImageWithoutLayersHasOneEmptyDirectory) {
  const ImageId id = VALUE(store->add_image(R"({"os":"linux","rootfs":{"diff_ids":[]}})", ""));
  const ImageStore::Layers layers = VALUE(store->layers(id));
  ASSERT_EQ(layers.directories.size(), 1u);
  EXPECT_TRUE(std::filesystem::is_empty(layers.directories[0]));
}

}  // namespace
}  // namespace gantry::engine
