#include <gtest/gtest.h>

#include "engine/image/image_document.h"
#include "engine/image/manifest.h"

namespace gantry::engine {
namespace {

std::string descriptor(char digit, const std::string& more = "") {
  return R"({"mediaType":"x","digest":"sha256:)" + std::string(64, digit) + R"(","size":3)" + more + "}";
}

std::string manifest_of(char digit, const std::string& os, const std::string& architecture, const std::string& variant = "") {
  return descriptor(digit, R"(,"platform":{"os":")" + os + R"(","architecture":")" + architecture +
                               (variant.empty() ? "" : R"(","variant":")" + variant) + "\"}");
}

TEST(Manifest, IndexAndManifestAreToldApart) {
  const std::string manifest =
      R"({"schemaVersion":2,"config":)" + descriptor('a') + R"(,"layers":[)" + descriptor('b') + "]}";
  const std::string index = R"({"schemaVersion":2,"manifests":[)" + descriptor('a') + "]}";
  EXPECT_TRUE(std::holds_alternative<Manifest>(parse_manifest(manifest, "").value()));
  EXPECT_TRUE(std::holds_alternative<Index>(parse_manifest(index, "application/vnd.oci.image.index.v1+json").value()));
  EXPECT_FALSE(parse_manifest(index, "application/vnd.oci.image.manifest.v1+json").ok());
  EXPECT_FALSE(parse_manifest(manifest, "application/vnd.oci.image.index.v1+json").ok());
}

TEST(Manifest, WhatCouldBeReadInTwoWaysIsRefused) {
  const std::string both = R"({"schemaVersion":2,"manifests":[],"config":)" + descriptor('a') + R"(,"layers":[]})";
  EXPECT_NE(parse_manifest(both, "").error().message().find("CVE-2021-41190"), std::string::npos);
  const std::string other_type = R"({"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]})";
  EXPECT_FALSE(parse_manifest(other_type, "application/vnd.docker.distribution.manifest.list.v2+json").ok());
}

TEST(Manifest, BadDocumentsAreErrors) {
  for (const std::string& text :
       {std::string(""), std::string("[]"), std::string("{}"), std::string(R"({"schemaVersion":1,"fsLayers":[]})"),
        std::string(R"({"manifests":{}})"), std::string(R"({"manifests":[{"digest":"sha256:x","size":1}]})"),
        std::string(R"({"config":{},"layers":[]})"), std::string(100000, '[')}) {
    EXPECT_FALSE(parse_manifest(text, "").ok()) << text.substr(0, 100);
  }
}

TEST(Manifest, TheBestPlatformIsChosen) {
  struct Row {
    const char* wanted;
    std::vector<std::string> offered;
    char chosen;  // 0: none
  };
  const Row rows[] = {
      {"linux/amd64",
       {manifest_of('a', "windows", "amd64"), manifest_of('b', "linux", "amd64"), manifest_of('c', "linux", "amd64")},
       'b'},
      {"linux/amd64", {manifest_of('a', "linux", "amd64", "v2"), manifest_of('b', "linux", "amd64")}, 'b'},
      {"linux/amd64/v3", {manifest_of('a', "linux", "amd64"), manifest_of('b', "linux", "amd64", "v2")}, 'b'},
      {"linux/arm/v7", {manifest_of('a', "linux", "arm", "v5"), manifest_of('b', "linux", "arm", "v6")}, 'b'},
      {"linux/arm/v6", {manifest_of('a', "linux", "arm", "v7")}, 0},
      {"linux/arm64", {manifest_of('a', "linux", "arm64", "v8")}, 'a'},
      {"aarch64", {manifest_of('a', "linux", "arm64")}, 'a'},
      {"linux/amd64", {manifest_of('a', "unknown", "unknown"), manifest_of('b', "linux", "arm64")}, 0},
      {"linux/amd64", {descriptor('a')}, 'a'},
  };
  for (const Row& row : rows) {
    std::string list;
    for (const std::string& item : row.offered) list += (list.empty() ? "" : ",") + item;
    const Index index = std::get<Index>(parse_manifest("{\"manifests\":[" + list + "]}", "").value());
    const Platform platform = Platform::parse(row.wanted).value();
    const Result<Descriptor> chosen = choose(index, platform);
    if (row.chosen == 0) {
      EXPECT_EQ(chosen.error().message(),
                "no matching manifest for " + platform.text() + " in the manifest list entries");
    } else {
      ASSERT_TRUE(chosen.ok()) << row.wanted;
      EXPECT_EQ(chosen->digest, "sha256:" + std::string(64, row.chosen)) << row.wanted;
    }
  }
}

TEST(ImageDocument, RendersAndParsesBack) {
  ImageDocument document{.os = "linux", .architecture = "arm64", .variant = "v8", .author = "me"};
  document.created = "2026-01-02T03:04:05.6Z";
  document.diff_ids = {"sha256:" + std::string(64, 'a')};
  document.history = {{.created_by = "RUN x", .comment = "c"}, {.created_by = "ENV a=b", .empty_layer = true}};
  document.config = {
      .environment = {"A=b", "PATH=/bin"},
      .entrypoint = {"/e"},
      .command = {"c", "d"},
      .user = "1:2",
      .working_dir = "/w",
      .stop_signal = "SIGINT",
      .shell = {"/bin/bash", "-c"},
      .exposed = {{.port = 80}, {.port = 53, .protocol = PortProtocol::udp}},
      .volumes = {"/data"},
      .labels = {{"k", "v"}},
      .health_check = HealthCheck{.test = {"CMD", "x"}, .interval = std::chrono::seconds(5), .retries = 2},
      .on_build = {"RUN y"}};
  const std::string json = render_image_document(document);
  const Result<ImageDocument> back = parse_image_document(json);
  ASSERT_TRUE(back.ok()) << back.error().message();
  EXPECT_EQ(render_image_document(*back), json);
  EXPECT_EQ(back->config.exposed, document.config.exposed);
  EXPECT_EQ(back->config.health_check, document.config.health_check);
  EXPECT_EQ(back->history.size(), 2u);
  EXPECT_TRUE(back->history[1].empty_layer);
}

TEST(ImageDocument, NullsOfGoCountAsNothing) {
  const Result<ImageDocument> document = parse_image_document(
      R"({"os":"linux","config":{"Env":null,"Cmd":null,"Labels":null,"Volumes":null,"ExposedPorts":null},)"
      R"("history":null,"rootfs":{"diff_ids":null}})");
  ASSERT_TRUE(document.ok()) << document.error().message();
  EXPECT_TRUE(document->diff_ids.empty());
}

TEST(ImageDocument, WhatIsNoImageIsRefused) {
  for (const char* text : {"", "[]", "{}", R"({"rootfs":{"diff_ids":["sha256:zz"]}})", R"({"rootfs":{"diff_ids":[1]}})",
                           R"({"rootfs":{},"config":{"Env":[1]}})"}) {
    EXPECT_FALSE(parse_image_document(text).ok()) << text;
  }
}

}  // namespace
}  // namespace gantry::engine
