// Pulls from a registry in this process, on loopback.
#include <httplib.h>

#include <atomic>
#include <mutex>
#include <thread>

#include "engine/image/manifest.h"
#include "image_fixture.h"

namespace gantry::engine {
namespace {

constexpr const char* kManifest = "application/vnd.oci.image.manifest.v1+json";
constexpr const char* kIndex = "application/vnd.oci.image.index.v1+json";

class FakeRegistry {
 public:
  FakeRegistry() {
    server_.set_keep_alive_max_count(100);
    server_.Get(R"(/v2/(.+)/manifests/(.+))", [this](const httplib::Request& request, httplib::Response& response) {
      ++manifest_requests;
      if (!allowed(request, response)) return;
      std::lock_guard lock(mutex_);
      const auto found = manifests_.find(request.matches[1].str() + ":" + request.matches[2].str());
      if (found == manifests_.end()) {
        response.status = 404;
        response.set_content(R"({"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]})",
                             "application/json");
        return;
      }
      response.set_header("Docker-Content-Digest", digest_of(found->second.text));
      response.set_content(found->second.text, found->second.type);
    });
    server_.Get(R"(/v2/(.+)/blobs/(.+))", [this](const httplib::Request& request, httplib::Response& response) {
      ++blob_requests;
      if (!allowed(request, response)) return;
      std::lock_guard lock(mutex_);
      const auto found = blobs_.find(request.matches[2].str());
      if (found == blobs_.end()) {
        response.status = 404;
        return;
      }
      if (redirects) {
        response.set_redirect("http://" + host() + "/elsewhere/" + found->first, 307);
      } else if (breaks_once.exchange(false)) {
        const std::string text = found->second;
        response.set_content_provider(text.size(), "application/octet-stream",
                                      [text](size_t, size_t, httplib::DataSink& sink) {
                                        sink.write(text.data(), text.size() / 2);
                                        return false;  // the connection breaks
                                      });
      } else {
        response.set_content(found->second, "application/octet-stream");  // the server does ranges by itself
        if (!request.ranges.empty()) ++range_requests;
      }
    });
    server_.Get(R"(/elsewhere/(.+))", [this](const httplib::Request& request, httplib::Response& response) {
      std::lock_guard lock(mutex_);
      response.set_content(blobs_.at(request.matches[1].str()), "application/octet-stream");
    });
    server_.Get("/token", [this](const httplib::Request& request, httplib::Response& response) {
      token_scope = request.get_param_value("scope");
      response.set_content(R"({"token":"secret"})", "application/json");
    });
    port_ = server_.bind_to_any_port("127.0.0.1");
    thread_ = std::thread([this] { server_.listen_after_bind(); });
    // The socket listens already; stop() acts only on a server that runs.
    while (!server_.is_running()) std::this_thread::yield();
  }
  ~FakeRegistry() {
    server_.stop();
    thread_.join();
  }

  std::string host() const { return "127.0.0.1:" + std::to_string(port_); }

  void put(const std::string& name, const std::string& text, const std::string& type) {
    std::lock_guard lock(mutex_);
    manifests_[name] = {text, type};
    manifests_[name.substr(0, name.find(':')) + ":" + digest_of(text)] = {text, type};
  }
  std::string blob(const std::string& text) {
    std::lock_guard lock(mutex_);
    blobs_[digest_of(text)] = text;
    return R"({"mediaType":"x","digest":")" + digest_of(text) + R"(","size":)" + std::to_string(text.size()) + "}";
  }
  // The manifest of an image of these layers.
  std::string image(const std::vector<std::string>& layer_tars) {
    std::string layers;
    for (const std::string& tar : layer_tars) layers += (layers.empty() ? "" : ",") + blob(tar);
    return R"({"schemaVersion":2,"config":)" + blob(config_json(layer_tars)) + R"(,"layers":[)" + layers + "]}";
  }
  void spoil(const std::string& text) {
    std::lock_guard lock(mutex_);
    blobs_[digest_of(text)][600] ^= 1;
  }

  std::atomic<int> manifest_requests = 0;
  std::atomic<int> blob_requests = 0;
  std::atomic<int> range_requests = 0;
  std::atomic<bool> wants_token = false;
  std::atomic<bool> denies = false;
  std::atomic<bool> redirects = false;
  std::atomic<bool> breaks_once = false;
  std::string token_scope;

 private:
  bool allowed(const httplib::Request& request, httplib::Response& response) {
    if (!denies && (!wants_token || request.get_header_value("Authorization") == "Bearer secret")) return true;
    response.status = 401;
    response.set_header("WWW-Authenticate", "Bearer realm=\"http://" + host() +
                                                "/token\",service=\"registry\",scope=\"repository:app:pull\"");
    response.set_content(R"({"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]})",
                         "application/json");
    return false;
  }

  struct Document {
    std::string text;
    std::string type;
  };
  httplib::Server server_;
  int port_ = 0;
  std::thread thread_;
  std::mutex mutex_;
  std::map<std::string, Document> manifests_;
  std::map<std::string, std::string> blobs_;
};

class PullTest : public ::testing::Test {
 protected:
  void SetUp() override {
    NEEDS_ROOT();
    store = ImageStore::open(root.path()).value();
  }
  // The image's id, or the error's text.
  std::string pull(const std::string& name, PullOptions options = {}) {
    log.clear();
    const TransferCallback progress = [&](const TransferProgress& message) {
      if (message.total == 0) log += message.id + "|" + message.status + "\n";
    };
    const Result<ImageId> id = store->pull(registry.host() + "/" + name, options, progress, {});
    return id.ok() ? id->str() : id.error().message();
  }

  TemporaryDirectory root;
  std::unique_ptr<ImageStore> store;
  FakeRegistry registry;
  std::string log;
  const std::string base = make_tar({{.path = "f", .content = "base"}});
  const std::string top = make_tar({{.path = "g", .content = std::string(100000, 't')}});
};

TEST_F(PullTest, AnIndexLeadsToTheImageOfThisPlatform) {
  const std::string manifest = registry.image({base, top});
  registry.put("app:unused", manifest, kManifest);
  const Platform host = Platform::of_host();
  registry.put("app:1",
               R"({"schemaVersion":2,"manifests":[{"digest":"sha256:)" + std::string(64, '0') +
                   R"(","size":1,"platform":{"os":"windows","architecture":"amd64"}},{"digest":")" +
                   digest_of(manifest) + R"(","size":)" + std::to_string(manifest.size()) +
                   R"(,"platform":{"os":"linux","architecture":")" + host.architecture + R"("}}]})",
               kIndex);
  const std::string id = pull("app:1");
  EXPECT_EQ(id, digest_of(config_json({base, top})));
  const Image image = VALUE(store->find(registry.host() + "/app:1"));
  ASSERT_EQ(image.digests.size(), 1u);
  EXPECT_EQ(image.digests[0].substr(0, registry.host().size() + 12), registry.host() + "/app@sha256:");
  EXPECT_EQ(store->find(image.digests[0]).value().id.str(), id);
  const ImageStore::Layers layers = VALUE(store->layers(image.id));
  EXPECT_EQ(text_of(layers.directories[1] / "f"), "base");
  for (const char* text : {"|Pulling from ", "|Pulling fs layer", "|Download complete", "|Pull complete",
                           "|Digest: sha256:", "|Status: Downloaded newer image for "}) {
    EXPECT_NE(log.find(text), std::string::npos) << text << "\n" << log;
  }
}

TEST_F(PullTest, WhatIsUpToDateCostsOneRequest) {
  registry.put("app:latest", registry.image({base}), kManifest);
  const std::string id = pull("app");
  registry.manifest_requests = 0;
  registry.blob_requests = 0;
  EXPECT_EQ(pull("app"), id);
  EXPECT_EQ(registry.manifest_requests, 1);
  EXPECT_EQ(registry.blob_requests, 0);
  EXPECT_NE(log.find("Status: Image is up to date for " + registry.host() + "/app:latest"), std::string::npos);
}

TEST_F(PullTest, LayersThatAreHereAreNotFetched) {
  registry.put("app:1", registry.image({base}), kManifest);
  registry.put("app:2", registry.image({base, top}), kManifest);
  pull("app:1");
  registry.blob_requests = 0;
  EXPECT_EQ(pull("app:2"), digest_of(config_json({base, top})));
  EXPECT_EQ(registry.blob_requests, 2) << "the config and the upper layer";
  EXPECT_NE(log.find("|Already exists"), std::string::npos);
}

TEST_F(PullTest, ATokenIsFetchedWhenTheRegistryAsks) {
  registry.wants_token = true;
  registry.put("app:1", registry.image({base}), kManifest);
  EXPECT_EQ(pull("app:1"), digest_of(config_json({base})));
  EXPECT_EQ(registry.token_scope, "repository:app:pull");
}

TEST_F(PullTest, BlobsMayBeElsewhere) {
  registry.redirects = true;
  registry.put("app:1", registry.image({base}), kManifest);
  EXPECT_EQ(pull("app:1"), digest_of(config_json({base})));
}

TEST_F(PullTest, ErrorsAreInDockersWords) {
  EXPECT_EQ(pull("app:1"), "manifest for " + registry.host() + "/app:1 not found: manifest unknown: manifest unknown");
  registry.denies = true;
  EXPECT_EQ(pull("app:1"), "pull access denied for " + registry.host() +
                               "/app, repository does not exist or may require 'docker login': unauthorized: "
                               "authentication required");
  EXPECT_EQ(store->pull("localhost:1/x", {}, {}, {}).error().code(), Code::unavailable);
  EXPECT_EQ(store->pull("Bad", {}, {}, {}).error().code(), Code::invalid);
}

TEST_F(PullTest, WrongBytesAreRefusedAndLeaveNothing) {
  registry.put("app:1", registry.image({base, top}), kManifest);
  registry.spoil(top);
  EXPECT_EQ(pull("app:1"), "filesystem layer verification failed for digest " + digest_of(top));
  EXPECT_TRUE(store->list().empty());
  EXPECT_TRUE(std::filesystem::is_empty(root / "tmp"));
  const std::string announced = registry.image({base});
  std::string other = announced;
  other += " ";
  registry.put("app:2", other, "application/vnd.docker.distribution.manifest.list.v2+json");
  EXPECT_EQ(pull("app:2"),
            "manifest is not what its media type says: application/vnd.docker.distribution.manifest.list.v2+json");
}

TEST_F(PullTest, ABrokenDownloadGoesOnWhereItStopped) {
  registry.put("app:1", registry.image({top}), kManifest);
  registry.put("app:0", registry.image({base}), kManifest);
  pull("app:0");
  bool first = true;
  // The config comes first; break the layer.
  const TransferCallback progress = [&](const TransferProgress& message) {
    if (message.status == "Pulling fs layer" && std::exchange(first, false)) registry.breaks_once = true;
  };
  const Result<ImageId> id = store->pull(registry.host() + "/app:1", {}, progress, {});
  ASSERT_TRUE(id.ok()) << id.error().message();
  EXPECT_EQ(registry.range_requests, 1);
}

TEST_F(PullTest, ACancelledPullStops) {
  registry.put("app:1", registry.image({base}), kManifest);
  const Result<ImageId> id = store->pull(registry.host() + "/app:1", {}, {}, [] { return true; });
  EXPECT_EQ(id.error().code(), Code::cancelled);
  EXPECT_TRUE(store->list().empty());
}

}  // namespace
}  // namespace gantry::engine
