// Images that come and go: POST /images/create (pull and import), push, load and save.
#include <stdlib.h>
#include <sys/stat.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/scope_exit.h"
#include "base/strings.h"
#include "daemon/body_pipe.h"
#include "daemon/docker/answers.h"
#include "daemon/docker/image_events.h"
#include "daemon/docker/progress_stream.h"
#include "daemon/docker/routes.h"
#include "daemon/hang_up.h"
#include "engine/container/container_root.h"
#include "engine/container/tree_copy.h"
#include "engine/image/reference.h"

namespace gantry::daemon::docker {
namespace {

using nlohmann::json;

// `tag` may be a digest; without one, and none in the name, the latest is meant.
std::string full_reference(const std::string& name, const std::string& tag) {
  if (tag.empty()) return name;
  return name + (tag.find(':') == std::string::npos ? ":" : "@") + tag;
}

json transfer_line(const engine::TransferProgress& progress) {
  json line = {{"status", progress.status}};
  if (!progress.id.empty()) line["id"] = progress.id;
  if (progress.total > 0 || progress.current > 0) {
    line["progressDetail"] = {{"current", progress.current}, {"total", progress.total}};
    line["progress"] = progress_bar(progress.current, progress.total);
  } else if (!progress.id.empty()) {
    line["progressDetail"] = json::object();
  }
  return line;
}

std::string digest_of(const engine::Image& image, const engine::Reference& reference) {
  for (const std::string& digest : image.digests) {
    if (digest.starts_with(reference.familiar_name() + "@")) return digest.substr(digest.find('@') + 1);
  }
  return "";
}

Result<> pull(Exchange& exchange, const Call& call, World& world) {
  const std::string name = full_reference(call.query.get("fromImage"), call.query.get("tag"));
  const engine::Reference reference = TRY(engine::Reference::parse(name));
  const engine::PullOptions options{.platform = call.query.get("platform"),
                                    .auth = exchange.request().headers.get("x-registry-auth")};
  const Result<engine::Image> before = world.images.find(name);
  std::atomic<bool> gone{false};
  const HangUpWatcher::Watch watch(world.hang_ups, exchange.socket(), [&gone] { gone = true; });
  ProgressStream stream(exchange);
  std::once_flag headline;
  const auto announce = [&] {
    const std::string tag = reference.tag.empty() ? reference.digest : reference.tag;
    stream.send({{"status", "Pulling from " + reference.path}, {"id", tag}});
  };
  const Result<ImageId> pulled = world.images.pull(
      name, options,
      [&](const engine::TransferProgress& progress) {
        if (progress.status.starts_with("Pulling from ")) return;  // announced here, once
        std::call_once(headline, announce);
        stream.send(transfer_line(progress));
      },
      [&] { return gone.load() || stream.broken(); });
  if (!pulled.ok()) return stream.finish(pulled.error());
  std::call_once(headline, announce);
  const engine::Image image = TRY(world.images.find(pulled->str()));
  if (const std::string digest = digest_of(image, reference); !digest.empty())
    stream.send({{"status", "Digest: " + digest}});
  const bool same = before.ok() && before->id == *pulled;
  stream.send({{"status", (same ? "Status: Image is up to date for " : "Status: Downloaded newer image for ") +
                              reference.familiar()}});
  emit_image_event(world, "pull", reference.familiar(), reference.familiar_name());
  return stream.finish({});
}

Result<> import(Exchange& exchange, const Call& call, World& world) {
  if (call.query.get("fromSrc") != "-") return unsupported("importing from a URL is not supported: send the archive");
  engine::ImportOptions options{
      .reference = {}, .message = call.query.get("message"), .changes = call.query.all("changes")};
  const std::string repository = call.query.get("repo");
  if (!repository.empty()) {
    options.reference = full_reference(repository, call.query.get("tag"));
    TRY(engine::Reference::parse(options.reference));
  }
  std::string id;
  TRY(with_body(exchange, [&](int archive) -> Result<> {
    const ImageId imported = TRY(world.images.import(archive, options));
    id = imported.str();
    return {};
  }));
  emit_image_event(world, "import", id, options.reference.empty() ? id : options.reference);
  ProgressStream stream(exchange);
  stream.send({{"status", id}});
  return stream.finish({});
}

// No tag anywhere means all of them (`docker pull -a`).
Result<> pull_all_tags(Exchange& exchange, const Call& call, World& world) {
  const engine::PullOptions options{.platform = call.query.get("platform"),
                                    .auth = exchange.request().headers.get("x-registry-auth")};
  const std::string name = call.query.get("fromImage");
  const engine::Reference reference = TRY(engine::Reference::parse(name));
  const std::vector<std::string> tags = TRY(world.images.remote_tags(name, options.auth));
  std::atomic<bool> gone{false};
  const HangUpWatcher::Watch watch(world.hang_ups, exchange.socket(), [&gone] { gone = true; });
  ProgressStream stream(exchange);
  for (const std::string& tag : tags) {
    const Result<ImageId> pulled = world.images.pull(
        name + ":" + tag, options, [&](const engine::TransferProgress& progress) { stream.send(transfer_line(progress)); },
        [&] { return gone.load() || stream.broken(); });
    if (!pulled.ok()) return stream.finish(pulled.error());
    emit_image_event(world, "pull", reference.familiar_name() + ":" + tag, reference.familiar_name());
  }
  return stream.finish({});
}

Result<> create_image(Exchange& exchange, const Call& call, World& world) {
  if (call.query.has("fromSrc")) return import(exchange, call, world);
  if (!call.query.has("fromImage")) return invalid("one of fromImage and fromSrc is needed");
  TRY(exchange.read_body(kMaxJsonBody));
  const std::string name = call.query.get("fromImage");
  const bool has_tag = name.find('@') != std::string::npos || name.find(':', name.rfind('/') + 1) != std::string::npos;
  if (!has_tag && call.query.get("tag").empty()) return pull_all_tags(exchange, call, world);
  return pull(exchange, call, world);
}

// A failure comes in the stream, with status 200: clients look there.
Result<> load(Exchange& exchange, const Call&, World& world) {
  std::vector<std::string> loaded;
  const Result<> done = with_body(exchange, [&](int archive) -> Result<> {
    loaded = TRY(world.images.load(archive));
    return {};
  });
  ProgressStream stream(exchange);
  for (const std::string& name : loaded) {
    const bool is_id = name.starts_with("sha256:");
    stream.send({{"stream", (is_id ? "Loaded image ID: " : "Loaded image: ") + name + "\n"}});
    const Result<engine::Image> image = world.images.find(name);
    emit_image_event(world, "load", image.ok() ? image->id.str() : name, name);
  }
  if (!done.ok()) stream.send(json::parse(error_line(done.error())));
  return stream.finish({});
}

// One tag, or all of the repository's.
std::vector<std::string> tags_to_push(World& world, const std::string& name, const std::string& tag) {
  if (!tag.empty()) return {full_reference(name, tag)};
  std::vector<std::string> tags;
  const Result<engine::Reference> wanted = engine::Reference::parse(name);
  if (!wanted.ok()) return {name};
  for (const engine::Image& image : world.images.list()) {
    for (const std::string& item : image.tags) {
      const Result<engine::Reference> parsed = engine::Reference::parse(item);
      if (parsed.ok() && parsed->familiar_name() == wanted->familiar_name()) tags.push_back(item);
    }
  }
  std::sort(tags.begin(), tags.end());
  return tags;
}

Result<> push_image(Exchange& exchange, const Call& call, World& world) {
  TRY(exchange.read_body(kMaxJsonBody));
  const std::string name = call["name"];
  const engine::Reference reference = TRY(engine::Reference::parse(name));
  const engine::PullOptions options{.platform = call.query.get("platform"),
                                    .auth = exchange.request().headers.get("x-registry-auth")};
  std::atomic<bool> gone{false};
  const HangUpWatcher::Watch watch(world.hang_ups, exchange.socket(), [&gone] { gone = true; });
  ProgressStream stream(exchange);
  stream.send({{"status", "The push refers to repository [" + reference.domain + "/" + reference.path + "]"}});
  const std::vector<std::string> tags = tags_to_push(world, name, call.query.get("tag"));
  if (tags.empty()) {
    return stream.finish(
        not_found("An image does not exist locally with the tag: " + reference.familiar_name()));
  }
  for (const std::string& tag : tags) {
    const Result<engine::PushedImage> pushed = world.images.push(
        tag, options, [&](const engine::TransferProgress& progress) { stream.send(transfer_line(progress)); },
        [&] { return gone.load() || stream.broken(); });
    if (!pushed.ok()) return stream.finish(pushed.error());
    stream.send({{"progressDetail", json::object()},
                 {"aux", {{"Tag", pushed->tag}, {"Digest", pushed->digest}, {"Size", pushed->size}}}});
    emit_image_event(world, "push", tag, reference.familiar_name());
  }
  return stream.finish({});
}

// Everything is looked up before the answer begins, so that a wrong name is still a 404.
Result<> save(Exchange& exchange, const std::vector<std::string>& names, World& world) {
  bool begun = false;
  const Result<> saved = world.images.save(names, [&](std::string_view piece) -> Result<> {
    if (!std::exchange(begun, true)) TRY(exchange.begin(200, "application/x-tar"));
    return exchange.write(piece);
  });
  if (!saved.ok()) {
    if (!begun) return saved;
    return saved;  // the answer stays without its end: clients notice
  }
  for (const std::string& name : names) {
    const Result<engine::Image> image = world.images.find(name);
    if (image.ok()) emit_image_event(world, "save", image->id.str(), name);
  }
  return exchange.end();
}

// Gantry's own: the image's files as one tar, without a container.
Result<> rootfs(Exchange& exchange, const Call& call, World& world) {
  const engine::Image image = TRY(world.images.find(call["name"]));
  engine::ImageStore::Layers layers = TRY(world.images.layers(image.id));
  std::string place = (world.roots.data / "tmp" / "rootfs-XXXXXX").native();
  if (::mkdtemp(place.data()) == nullptr) return Error::from_errno(errno, "mkdtemp", place);
  const ScopeExit clean([&place] {
    std::error_code ignored;  // what stays is removed by the next start
    std::filesystem::remove_all(place, ignored);
  });
  engine::RootSource source{.id = ContainerId(image.id.str()), .layers = std::move(layers.directories), .directory = place};
  source.layers_hold = std::move(layers.hold);
  for (const char* name : {"upper", "work"}) {
    if (::mkdir((source.directory / name).c_str(), 0755) != 0) return Error::from_errno(errno, "mkdir", place);
  }
  const engine::ContainerRoot root = TRY(engine::ContainerRoot::open_without_mounts(source));
  TRY(exchange.begin(200, "application/x-tar"));
  TRY(engine::write_whole_tar(root.fd(), [&](std::string_view data) { return exchange.write(data); }));
  return exchange.end();
}

std::vector<std::string> names_to_save(const Call& call) {
  std::vector<std::string> names;
  for (const std::string& item : call.query.all("names")) {
    for (const std::string& name : split(item, ',')) {
      if (!name.empty()) names.push_back(name);
    }
  }
  return names;
}

}  // namespace

void add_image_transfer_routes(Router& router, World& world) {
  router.add("POST", "/images/create",
             [&world](Exchange& exchange, const Call& call) { return create_image(exchange, call, world); });
  router.add("POST", "/images/load",
             [&world](Exchange& exchange, const Call& call) { return load(exchange, call, world); });
  router.add("POST", "/images/{name...}/push",
             [&world](Exchange& exchange, const Call& call) { return push_image(exchange, call, world); });
  router.add("GET", "/images/{name...}/rootfs",
             [&world](Exchange& exchange, const Call& call) { return rootfs(exchange, call, world); });
  router.add("GET", "/images/get", [&world](Exchange& exchange, const Call& call) {
    return save(exchange, names_to_save(call), world);
  });
  router.add("GET", "/images/{name...}/get", [&world](Exchange& exchange, const Call& call) {
    return save(exchange, {call["name"]}, world);
  });
}

}  // namespace gantry::daemon::docker
