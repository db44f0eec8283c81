// A builder without programs: what RUN would do is remembered; images and layers are real.
#pragma once

#include <map>
#include <mutex>

#include "base/strings.h"
#include "engine/build/builder.h"
#include "engine/image/layer_view.h"
#include "image_fixture.h"

namespace gantry::engine {

// Runs nothing: remembers what it was asked, and writes the command's text to a file of the layer.
class FakeRunner final : public StepRunner {
 public:
  Result<int> run(const Step& step, const std::function<void(std::string_view, bool)>& output,
                  const CancelCheck&) override {
    {
      std::lock_guard lock(mutex);  // stages run side by side
      steps.push_back(step);
    }
    output("ran\n", false);
    for (const StepMount& mount : step.mounts) std::filesystem::create_directories(step.upper.native() + mount.target);
    const std::string& text = step.arguments.back();
    if (text.starts_with("exit ")) return std::stoi(text.substr(5));
    TRY(write_file(step.upper / "ran", text));
    return 0;
  }
  std::mutex mutex;
  std::vector<Step> steps;
};

class BuilderTest : public ::testing::Test {
 protected:
  void SetUp() override {
    NEEDS_ROOT();
    Result<std::unique_ptr<ImageStore>> opened = ImageStore::open(root / "images");
    ASSERT_TRUE(opened.ok()) << opened.error().message();
    store = std::move(*opened);
    std::filesystem::create_directory(root / "context");
    std::filesystem::create_directory(root / "work");
    const Fd base = file_with(docker_archive(
        "base",
        {make_tar({{.path = "etc/", .type = '5'},
                   {.path = "etc/passwd", .content = "root:x:0:0::/root:/bin/sh\napp:x:1000:1001::/app:/bin/sh\n"},
                   {.path = "etc/group", .content = "root:x:0:\nstaff:x:50:\n"},
                   {.path = "usr/lib/", .type = '5', .mode = 0711},
                   {.path = "lib", .type = '2', .link = "usr/lib"}})},
        R"({"Env":["PATH=/bin","BASE=1"],"Cmd":["/bin/sh"],"WorkingDir":"/srv"})"));
    ASSERT_TRUE(store->load(base.get()).ok());
  }

  void file(const std::string& path, const std::string& content, mode_t mode = 0644) {
    const std::filesystem::path full = root / ("context/" + path);
    std::filesystem::create_directories(full.parent_path());
    ASSERT_TRUE(write_file(full, content).ok());
    ASSERT_EQ(chmod(full.c_str(), mode), 0);
  }

  // The image id or the error's text.
  std::string build(const std::string& dockerfile, BuildRequest request = {}) {
    request.context = root / "context";
    request.dockerfile_text = dockerfile;
    log.clear();
    const BuildCallback progress = [&](const BuildProgress& message) {
      if (!message.instruction.empty()) {
        log += std::to_string(message.step) + "/" + std::to_string(message.steps) + " " + message.instruction + "\n";
      }
      if (message.cached) log += "cached\n";
      log += message.output;
    };
    Builder builder(*store, runner, root / "work");
    const Result<ImageId> id = builder.build(request, progress, {});
    return id.ok() ? id->str() : id.error().message();
  }

  // The first line of an error.
  std::string error(const std::string& dockerfile) {
    const std::string text = build(dockerfile);
    return text.substr(0, text.find('\n'));
  }

  Result<LayerView> view(const std::string& id) {
    const Image image = TRY(store->find(id));
    held = TRY(store->layers(image.id));
    return LayerView::open(held.directories);
  }

  // "-rw owner:group content" of a path of the image.
  std::string look(const std::string& id, const std::string& path) {
    Result<LayerView> tree = view(id);
    if (!tree.ok()) return tree.error().message();
    const auto node = tree->find(path, LayerView::LastLink::keep).value();
    if (!node.has_value()) return "<missing>";
    const struct stat& status = node->status();
    std::string text = octal(status.st_mode & 07777, 5).substr(0, 4) + " " + std::to_string(status.st_uid) + ":" +
                       std::to_string(status.st_gid);
    if (node->is_file()) text += " " + tree->read_text(path).value();
    if (node->is_symlink()) text += " -> " + LayerView::read_link(*node).value();
    return text;
  }

  TemporaryDirectory root;
  std::unique_ptr<ImageStore> store;
  ImageStore::Layers held;
  FakeRunner runner;
  std::string log;
};

}  // namespace gantry::engine
