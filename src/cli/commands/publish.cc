// publish: the project's files as an OCI artifact in a registry, from where other machines take them.
#include <algorithm>
#include <array>
#include <filesystem>
#include <regex>

#include "base/fd.h"
#include "base/strings.h"
#include "base/version.h"
#include "cli/api_extra.h"
#include "cli/commands/commands.h"
#include "cli/credentials.h"
#include "cli/exit.h"
#include "cli/image_build.h"
#include "cli/image_digests.h"
#include "cli/image_pull.h"
#include "cli/image_push.h"
#include "cli/operation.h"

namespace gantry::cli {

namespace {

namespace fs = std::filesystem;

constexpr size_t kLargestFile = size_t{4} << 20;

constexpr Flag kPublishFlags[] = {
    {.name = "app", .help = "Put the images of all services into the same repository, too"},
    {.name = "oci-version",
     .kind = FlagKind::text,
     .value_name = "VERSION",
     .help = "1.1, or 1.0 for registries that know no artifact types"},
    {.name = "resolve-image-digests", .help = "Name images by the digests that their registries have now"},
    {.name = "with-env", .help = "Put env files into the artifact, too"},
    {.name = "yes", .letter = 'y', .help = "Say yes to every question"},
};

struct ProjectFile {
  std::string path;
  std::string text;
};

// Errors: files that would not be whole at another place.
Result<std::vector<ProjectFile>> project_files(const compose::LoadResult& loaded) {
  static const std::regex include("(^|\\n)include *:");
  static const std::regex extends_file("extends *:[^#]*\\bfile *:");
  std::vector<ProjectFile> files;
  for (const std::string& path : loaded.project->config_files) {
    if (path == "-") return unsupported("cannot publish a compose file from standard input");
    std::string text = TRY(read_file(path, kLargestFile));
    files.push_back({.path = path, .text = std::move(text)});
    if (std::regex_search(files.back().text, include)) {
      return unsupported("cannot publish compose file with local includes: " + path);
    }
    if (std::regex_search(files.back().text, extends_file)) {
      return unsupported("cannot publish compose file that extends services of another file: " + path);
    }
  }
  return files;
}

Result<> refuse_build_only(const compose::Project& project) {
  std::string names;
  for (const auto& [name, service] : project.services) {
    if (service.build && service.image.empty()) names += "\n- " + gantry::quoted(name);
  }
  if (names.empty()) return {};
  return invalid("your Compose stack cannot be published as it only contains a build section for service(s):" + names);
}

bool looks_secret(const std::string& name) {
  constexpr std::array kParts = {"password", "passwd", "secret", "token", "api_key", "apikey", "private_key"};
  const std::string lower = to_lower(name);
  return std::any_of(kParts.begin(), kParts.end(),
                     [&lower](const char* part) { return lower.find(part) != std::string::npos; });
}

// What the owner of the files may not want others to see, a question each.
std::vector<std::string> questions(const compose::LoadResult& loaded, const std::vector<fs::path>& env_files,
                                   bool with_env) {
  std::string binds;
  std::string secrets;
  for (const auto& [name, service] : loaded.project->services) {
    for (const compose::VolumeMount& volume : service.volumes) {
      if (volume.type == "bind") binds += "  " + name + ": " + volume.source + "\n";
    }
    for (const auto& [key, value] : service.environment) {
      if (value && !value->empty() && looks_secret(key)) secrets += "  " + name + ": " + key + "\n";
    }
  }
  std::vector<std::string> asked;
  if (!binds.empty()) {
    asked.push_back("you are about to publish bind mounts declaration within your OCI artifact.\n" + binds +
                    "Are you ok to publish these bind mount declarations?");
  }
  if (!secrets.empty()) {
    asked.push_back("you are about to publish sensitive data within your OCI artifact.\n" + secrets +
                    "Are you ok to publish these environment variables?");
  }
  if (!env_files.empty() && !with_env) {
    std::string names;
    for (const fs::path& file : env_files) names += "  " + file.string() + "\n";
    asked.push_back("env files are not part of the artifact without --with-env:\n" + names +
                    "Are you ok to publish the project without them?");
  }
  return asked;
}

// The env files that services name.
Result<std::vector<fs::path>> env_files_of(Session& session, compose::LoadOptions options) {
  options.resolve_environment = false;
  const auto loaded = TRY(session.load(options));
  static const std::regex list("\"env_file\":\\[([^\\]]*)\\]");
  static const std::regex path("\"path\":\"([^\"]*)\"");
  std::vector<fs::path> files;
  for (const auto& [name, service] : loaded.project->services) {
    std::smatch found;
    if (!std::regex_search(service.canonical_json, found, list)) continue;
    const std::string items = found[1];
    for (std::sregex_iterator it(items.begin(), items.end(), path), end; it != end; ++it) files.emplace_back((*it)[1].str());
  }
  return files;
}

Result<std::vector<ArtifactPart>> parts_of(const std::vector<ProjectFile>& files, const std::vector<fs::path>& env_files,
                                           bool with_env) {
  std::vector<ArtifactPart> parts;
  const std::string version = std::string("v") + gantry::kVersion;
  for (const ProjectFile& file : files) {
    parts.push_back({.media_type = "application/vnd.docker.compose.file+yaml",
                     .content = file.text,
                     .annotations = {{"com.docker.compose.version", version},
                                     {"com.docker.compose.file", fs::path(file.path).filename()}}});
  }
  if (!with_env) return parts;
  for (const fs::path& file : env_files) {
    std::string text = TRY(read_file(file, kLargestFile));
    parts.push_back({.media_type = "application/vnd.docker.compose.envfile",
                     .content = std::move(text),
                     .annotations = {{"com.docker.compose.version", version},
                                     {"com.docker.compose.envfile", file.filename()}}});
  }
  return parts;
}

ArtifactPart override_part(const compose::Project& project, const std::map<std::string, std::string>& images) {
  return {.media_type = "application/vnd.docker.compose.file+yaml",
          .content = lock_file(project, images),
          .annotations = {{"com.docker.compose.version", std::string("v") + gantry::kVersion},
                          {"com.docker.compose.file", "image-digests.yaml"}}};
}

// Images of services that are built go to their own registries.
Result<int> push_built_images(Session& session, const compose::Project& project, ProgressView& view) {
  std::vector<std::string> references;
  for (const auto& [name, service] : project.services) {
    if (service.build && !service.image.empty()) references.push_back(service.image);
  }
  for (const auto& [reference, error] : TRY(push_images(session, references, view))) return error;
  return 0;
}

// Every image, tagged into the artifact's own repository. → as the file names them → as they are there
Result<std::map<std::string, std::string>> push_into(Session& session, const compose::Project& project,
                                                     const std::string& target, ProgressView& view) {
  const size_t colon = target.rfind(':');
  const bool has_tag = colon != std::string::npos && target.find('/', colon) == std::string::npos;
  const std::string repository = has_tag ? target.substr(0, colon) : target;
  const std::string tag = has_tag ? target.substr(colon + 1) : "latest";
  client::ApiClient* api = TRY(session.api());
  const std::string auth = TRY(CredentialStore(session.environment()).header(registry_of(target)));
  std::map<std::string, std::string> pushed;
  for (const auto& [name, service] : project.services) {
    const std::string image = image_name(project, service);
    if (pushed.contains(image)) continue;
    const std::string own = tag + "." + name;
    TRY(TRY(api->request("POST", image_path(image, "tag") + "?repo=" + client::url_encode(repository) +
                                     "&tag=" + client::url_encode(own)))
            .ok_body());
    pushed[image] = repository + "@" + TRY(push_image(*api, repository, own, auth, view));
  }
  return pushed;
}

Result<int> publish(Session& session, const Arguments& arguments) {
  const std::string target = arguments.positional().front();
  const std::string oci = arguments.text("oci-version", "1.1");
  if (oci != "1.0" && oci != "1.1") return invalid("invalid --oci-version " + gantry::quoted(oci) + ": give 1.0 or 1.1");
  compose::LoadOptions options = session.load_options();
  options.print_yaml = options.print_json = false;
  const auto loaded = TRY(session.load(options));
  const auto files = TRY(project_files(loaded));
  TRY(refuse_build_only(*loaded.project));
  const bool with_env = arguments.on("with-env");
  const auto env_files = TRY(env_files_of(session, options));
  if (!arguments.on("yes") && !session.globals().dry_run) {
    for (const std::string& question : questions(loaded, env_files, with_env)) {
      if (!session.confirm(question)) return kExitInterrupted;
    }
  }
  ProgressStyle style = TRY(session.progress_style("publish"));
  TRY(session.api());
  OperationView drawing(style, session);
  compose::Progress row{.resource = compose::Progress::Resource::service, .name = target};
  const auto tell = [&](compose::Progress::Status status, const char* text) {
    row.status = status;
    row.text = text;
    drawing.view().show(row);
  };
  TRY(push_built_images(session, *loaded.project, drawing.view()));
  auto parts = TRY(parts_of(files, env_files, with_env));
  tell(compose::Progress::Status::working, "publishing");
  if (!session.globals().dry_run) {
    if (arguments.on("app")) {
      parts.push_back(override_part(*loaded.project, TRY(push_into(session, *loaded.project, target, drawing.view()))));
    } else if (arguments.on("resolve-image-digests")) {
      parts.push_back(override_part(*loaded.project, TRY(resolved_images(session, *loaded.project))));
    }
    client::ApiClient* api = TRY(session.api());
    api->set_header("X-Registry-Auth", TRY(CredentialStore(session.environment()).header(registry_of(target))));
    TRY(TRY(api->request("POST", "/gantry/v1/artifacts?reference=" + client::url_encode(target),
                         artifact_body("application/vnd.docker.compose.project", oci, parts)))
            .ok_body()
            .within("publishing " + target));
  }
  tell(compose::Progress::Status::done, "published");
  drawing.view().finish();
  return 0;
}

}  // namespace

const Command kPublish{.syntax = {.name = "publish",
                                  .arguments = "REPOSITORY[:TAG]",
                                  .summary = "Publish the project's files as an OCI artifact",
                                  .flags = kPublishFlags,
                                  .least_arguments = 1,
                                  .most_arguments = 1},
                       .run = publish};

}  // namespace gantry::cli
