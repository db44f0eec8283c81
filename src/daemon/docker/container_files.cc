// /containers/{id}/{archive,export,changes}: a container's files from outside.
#include <sys/statvfs.h>

#include <nlohmann/json.hpp>

#include "base/beneath.h"
#include "base/strings.h"
#include "daemon/body_pipe.h"
#include "daemon/docker/answers.h"
#include "daemon/docker/lookups.h"
#include "daemon/docker/routes.h"
#include "engine/container/container_root.h"
#include "engine/container/file_changes.h"
#include "engine/container/tree_copy.h"
#include "engine/image/byte_source.h"

namespace gantry::daemon::docker {
namespace {

using engine::ContainerRoot;
using engine::RootSource;
using engine::TreeEntry;
using nlohmann::json;

Result<RootSource> find_root(World& world, const std::string& reference) {
  return world.loop.ask([&]() -> Result<RootSource> {
    const ContainerId id = TRY(world.engine.find_container(reference));
    return world.engine.root_source(id);
  });
}

void emit(World& world, const RootSource& source, const char* action) {
  world.loop.post([&world, id = source.id, action] { world.engine.emit_about(id, action, {}); });
}

// Go's os.FileMode: what clients of the archive calls decode.
uint32_t go_mode(mode_t mode) {
  uint32_t bits = mode & 0777;
  if (S_ISDIR(mode)) bits |= 1U << 31;
  if (S_ISLNK(mode)) bits |= 1U << 27;
  if (S_ISBLK(mode) || S_ISCHR(mode)) bits |= 1U << 26;
  if (S_ISCHR(mode)) bits |= 1U << 21;
  if (S_ISFIFO(mode)) bits |= 1U << 25;
  if (S_ISSOCK(mode)) bits |= 1U << 24;
  if ((mode & S_ISUID) != 0) bits |= 1U << 23;
  if ((mode & S_ISGID) != 0) bits |= 1U << 22;
  if ((mode & S_ISVTX) != 0) bits |= 1U << 20;
  return bits;
}

std::string stat_header(const TreeEntry& entry) {
  const WallTime modified{std::chrono::seconds(entry.status.st_mtim.tv_sec) +
                          std::chrono::nanoseconds(entry.status.st_mtim.tv_nsec)};
  const json stat = {{"name", entry.name},
                     {"size", entry.status.st_size},
                     {"mode", go_mode(entry.status.st_mode)},
                     {"mtime", format_rfc3339(modified)},
                     {"linkTarget", entry.link_target}};
  return base64_encode(stat.dump(-1, ' ', false, json::error_handler_t::replace));
}

Result<std::string> path_parameter(const Call& call) {
  std::string path = call.query.get("path");
  if (path.empty()) return invalid("bad parameter: pathcannot be empty");  // dockerd's text
  return path;
}

Error not_there(Error error, const std::string& path, const std::string& container) {
  const int number = error.errno_value();
  if (number != ENOENT && number != ENOTDIR) return error;
  return not_found("Could not find the file " + path + " in container " + container);
}

Result<> stat(Exchange& exchange, const Call& call, World& world) {
  const std::string path = TRY(path_parameter(call));
  const RootSource source = TRY(find_root(world, call["id"]));
  const ContainerRoot root = TRY(ContainerRoot::open(source));
  const Result<TreeEntry> entry = engine::look_up(root.fd(), path);
  if (!entry.ok()) return not_there(entry.error(), path, call["id"]);
  exchange.add_header("X-Docker-Container-Path-Stat", stat_header(*entry));
  return exchange.send(200, "", "");
}

Result<> read_archive(Exchange& exchange, const Call& call, World& world) {
  const std::string path = TRY(path_parameter(call));
  const RootSource source = TRY(find_root(world, call["id"]));
  const ContainerRoot root = TRY(ContainerRoot::open(source));
  const Result<TreeEntry> entry = engine::look_up(root.fd(), path);
  if (!entry.ok()) return not_there(entry.error(), path, call["id"]);
  exchange.add_header("X-Docker-Container-Path-Stat", stat_header(*entry));
  TRY(exchange.begin(200, "application/x-tar"));
  TRY(engine::write_tree_tar(root.fd(), path, [&](std::string_view data) { return exchange.write(data); }));
  emit(world, source, "archive-path");
  return exchange.end();
}

// The directory's mount may be read-only: told before anything is read, in Docker's words.
Result<> check_writable(const ContainerRoot& root, const RootSource& source, int directory) {
  struct statvfs volume {};
  struct statx own {};
  struct statx top {};
  if (::fstatvfs(directory, &volume) != 0) return Error::from_errno(errno, "statvfs");
  const bool known = ::statx(directory, "", AT_EMPTY_PATH, STATX_MNT_ID, &own) == 0 &&
                     ::statx(root.fd(), "", AT_EMPTY_PATH, STATX_MNT_ID, &top) == 0;
  const bool on_root = known && own.stx_mnt_id == top.stx_mnt_id;
  if (on_root && source.read_only_root) return invalid("container rootfs is marked read-only");
  if (!on_root && (volume.f_flag & ST_RDONLY) != 0) return invalid("mounted volume is marked read-only");
  return {};
}

Result<> write_archive(Exchange& exchange, const Call& call, World& world) {
  const std::string path = TRY(path_parameter(call));
  const RootSource source = TRY(find_root(world, call["id"]));
  const ContainerRoot root = TRY(ContainerRoot::open(source));
  const Result<Fd> directory = open_in_root(root.fd(), path, O_RDONLY | O_DIRECTORY | O_NONBLOCK);
  if (!directory.ok() && directory.error().errno_value() == ENOTDIR) {
    return invalid("extraction point is not a directory");
  }
  if (!directory.ok()) return not_there(directory.error(), path, call["id"]);
  TRY(check_writable(root, source, directory->get()));
  engine::ExtractOptions options{.keep_kinds = call.query.flag("noOverwriteDirNonDir"), .owner = {}};
  if (call.query.flag("copyUIDGID")) {
    const engine::ContainerDetails container = TRY(inspect_container(world, call["id"]));
    const std::string& user = container.spec.user.empty() ? container.image_config.user : container.spec.user;
    if (!user.empty()) options.owner = TRY(engine::look_up_owner(root.fd(), user));
  }
  TRY(with_body(exchange, [&](int body) -> Result<> {
    engine::FdSource raw(body);
    const std::unique_ptr<engine::ByteSource> plain = TRY(engine::decompressed(raw));
    return engine::extract_tree(root.fd(), path, *plain, options);
  }));
  emit(world, source, "extract-to-dir");
  return exchange.send(200, "", "");
}

Result<> export_files(Exchange& exchange, const Call& call, World& world) {
  const engine::ContainerDetails container = TRY(inspect_container(world, call["id"]));
  const std::string& id = container.observed.id.str();
  if (container.observed.state == engine::ContainerState::dead) {
    return conflict("You cannot export container " + id + " which is Dead");
  }
  if (container.observed.state == engine::ContainerState::removing) {
    return conflict("You cannot export container " + id + " which is being removed");
  }
  const RootSource source = TRY(find_root(world, id));
  const ContainerRoot root = TRY(ContainerRoot::open_without_mounts(source));
  TRY(exchange.begin(200, "application/octet-stream"));
  TRY(engine::write_whole_tar(root.fd(), [&](std::string_view data) { return exchange.write(data); }));
  emit(world, source, "export");
  return exchange.end();
}

Result<> changes(Exchange& exchange, const Call& call, World& world) {
  const RootSource source = TRY(find_root(world, call["id"]));
  json answer = nullptr;
  for (const engine::FileChange& change : TRY(engine::file_changes(source.upper(), source.layers))) {
    answer.push_back({{"Path", change.path}, {"Kind", static_cast<int>(change.kind)}});
  }
  return send_json(exchange, 200, answer);
}

}  // namespace

void add_container_file_routes(Router& router, World& world) {
  const auto add = [&](const char* method, const char* path, Result<> (*handler)(Exchange&, const Call&, World&)) {
    router.add(method, path,
               [handler, &world](Exchange& exchange, const Call& call) { return handler(exchange, call, world); });
  };
  add("HEAD", "/containers/{id}/archive", stat);
  add("GET", "/containers/{id}/archive", read_archive);
  add("PUT", "/containers/{id}/archive", write_archive);
  add("GET", "/containers/{id}/export", export_files);
  add("GET", "/containers/{id}/changes", changes);
}

}  // namespace gantry::daemon::docker
