// build and pull: the images of the project's services.
#include <algorithm>

#include "base/strings.h"
#include "cli/build_request.h"
#include "cli/commands/commands.h"
#include "cli/image_build.h"
#include "cli/image_pull.h"
#include "cli/image_push.h"
#include "cli/operation.h"
#include "compose/values.h"

namespace gantry::cli {

namespace {

constexpr Flag kBuildFlags[] = {
    {.name = "build-arg", .kind = FlagKind::list, .value_name = "KEY=VALUE", .help = "Set a build argument"},
    {.name = "no-cache", .help = "Build every step anew"},
    {.name = "pull", .help = "Look for newer base images"},
    {.name = "quiet", .letter = 'q', .help = "Don't show the output of builds"},
    {.name = "with-dependencies", .help = "Build the dependencies of the named services, too"},
    {.name = "push", .help = "Push the images, those of services with an image name"},
    {.name = "builder",
     .kind = FlagKind::text,
     .value_name = "NAME",
     .help = "Builder to use; there is one, the daemon's: default"},
    {.name = "memory", .letter = 'm', .kind = FlagKind::text, .value_name = "BYTES", .help = "Memory limit of the classic builder; this one takes 0 alone"},
    {.name = "ssh",
     .kind = FlagKind::text,
     .value_name = "ID[=SOCKET]",
     .help = "Agent for RUN --mount=type=ssh; default means $SSH_AUTH_SOCK"},
    {.name = "print", .help = "Print what would be built as a bake file, and build nothing"},
    {.name = "progress", .kind = FlagKind::text, .help = "", .hidden = true},
    {.name = "compress", .help = "", .hidden = true},
    {.name = "force-rm", .help = "", .hidden = true},
    {.name = "no-rm", .help = "", .hidden = true},
    {.name = "parallel", .help = "", .hidden = true},
    {.name = "check", .help = "Look for faults in the Dockerfiles, and build nothing"},
    {.name = "provenance",
     .kind = FlagKind::text,
     .value_name = "false",
     .help = "Attestation of how the image was made; only false: images of the local store carry none"},
    {.name = "sbom",
     .kind = FlagKind::text,
     .value_name = "false",
     .help = "Attestation of what is in the image; only false: images of the local store carry none"},
};

constexpr Flag kPullFlags[] = {
    {.name = "quiet", .letter = 'q', .help = "Don't show progress"},
    {.name = "ignore-pull-failures", .help = "Go on with the others when one cannot be pulled"},
    {.name = "ignore-buildable", .help = "Leave out images that can be built"},
    {.name = "include-deps", .help = "Pull the images of dependencies, too"},
    {.name = "policy", .kind = FlagKind::text, .value_name = "POLICY", .help = "missing or always"},
};

// "K=V"; "K" alone takes the value from the environment.
Result<std::map<std::string, std::string>> build_arguments(const Session& session, const Arguments& arguments) {
  std::map<std::string, std::string> values;
  for (const std::string& text : arguments.list("build-arg")) {
    const size_t equals = text.find('=');
    if (equals == 0) return invalid("invalid --build-arg " + gantry::quoted(text) + ": give KEY=VALUE");
    if (equals != std::string::npos) {
      values[text.substr(0, equals)] = text.substr(equals + 1);
    } else if (session.environment().contains(text)) {
      values[text] = session.variable(text);
    }
  }
  return values;
}

// Images that got their name from the file: the others exist on this machine alone.
std::vector<std::string> names_to_push(const compose::Project& project, const std::vector<ImageBuild>& builds) {
  std::vector<std::string> names;
  for (const ImageBuild& build : builds) {
    for (const std::string& service : build.services) {
      const compose::Service& own = project.services.at(service);
      if (own.image.empty()) continue;
      names.push_back(own.image);
      names.insert(names.end(), own.build->tags.begin(), own.build->tags.end());
    }
  }
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  return names;
}

// As with Docker's own store: an attestation is part of an image index, and only a registry keeps those.
Result<> refuse_attestations(const Arguments& arguments) {
  for (const char* flag : {"provenance", "sbom"}) {
    const std::string value = arguments.text(flag, "false");
    if (value == "false" || value == "0") continue;
    return unsupported(std::string("--") + flag + "=" + value +
                       ": Attestation is not supported by the daemon's image store: leave it out, or give false");
  }
  return {};
}

Result<BuildOptions> build_options(const Session& session, const Arguments& arguments) {
  TRY(refuse_attestations(arguments));
  if (const std::string builder = arguments.text("builder", "default"); builder != "default" && builder != "gantry") {
    return not_found("no builder " + gantry::quoted(builder) + " found: there is one, the daemon's, \"default\"");
  }
  const auto build_args = TRY(build_arguments(session, arguments));
  BuildOptions options{.no_cache = arguments.on("no-cache"),
                       .pull = arguments.on("pull"),
                       .quiet = arguments.on("quiet"),
                       .arguments = build_args,
                       .environment = session.environment(),
                       .check = arguments.on("check")};
  if (arguments.given("memory") && TRY(compose::parse_bytes(arguments.text("memory")).within("--memory")) != 0) {
    return unsupported("--memory is an option of the classic builder: the steps of this one have no limits of their own; "
                       "0 says so");
  }
  if (arguments.given("ssh")) options.agents.insert(TRY(parse_ssh(session, arguments.text("ssh"))));
  return options;
}

Result<int> build(Session& session, const Arguments& arguments) {
  const auto& named = arguments.positional();
  const bool dependencies = arguments.on("with-dependencies");
  const auto project = TRY(session.load_project(named, dependencies));
  const BuildOptions options = TRY(build_options(session, arguments));
  const auto builds = TRY(plan_builds(project, dependencies ? std::vector<std::string>() : named, options));
  if (builds.empty()) {
    session.warn("No services to build");
    return 0;
  }
  if (arguments.on("print")) {
    session.out.write(bake_json(project, builds));
    return 0;
  }
  if (arguments.given("progress")) session.globals().progress = arguments.text("progress");
  ProgressStyle style = TRY(session.progress_style("build"));
  if (options.quiet) style.mode = ProgressMode::quiet;
  OperationView drawing(style, session);
  TRY(run_builds(session, builds, drawing.view(), style.mode, options));
  if (options.check) {
    drawing.view().finish();
    session.out.write("Check complete, no warnings found.\n");
    return 0;
  }
  if (!arguments.on("push")) return 0;
  const auto failures = TRY(push_images(session, names_to_push(project, builds), drawing.view()));
  drawing.view().finish();
  for (const auto& [reference, error] : failures) session.fail(error.message());
  return failures.empty() ? 0 : 1;
}

struct PullChoice {
  bool pull = false;
  std::string reason;  // why not, for the row
};

PullChoice choose(const compose::Service& service, const Arguments& arguments, bool present) {
  if (service.build && service.image.empty()) return {.reason = "No image to be pulled"};
  if (service.build && arguments.on("ignore-buildable")) return {.reason = "Image can be built"};
  const std::string policy = arguments.text("policy", service.pull_policy);
  if (policy == "never" || policy == "build") return {.reason = "pull_policy is " + policy};
  const bool only_missing = policy == "missing" || policy == "if_not_present";
  if (only_missing && present && !service.image.ends_with(":latest")) {
    return {.reason = "Image is already present locally"};
  }
  return {.pull = true};
}

// The images to pull, each once, with the platform of the first service that wants it; rows for the others.
Result<std::map<std::string, std::string>> images_to_pull(Session& session, const compose::Project& project,
                                                          const Arguments& arguments, ProgressView& view) {
  client::ApiClient* api = TRY(session.api());
  std::map<std::string, std::string> images;
  for (const auto& [name, service] : project.services) {
    const std::string image = image_name(project, service);
    const bool present = TRY(api->request("GET", image_path(image, "json"))).status == 200;
    const PullChoice choice = choose(service, arguments, present);
    if (choice.pull) {
      images.try_emplace(image, service.platform);
    } else {
      view.show({.resource = compose::Progress::Resource::image,
                 .name = image,
                 .status = compose::Progress::Status::done,
                 .text = "Skipped",
                 .details = choice.reason});
    }
  }
  return images;
}

// A service that can be built is no failure, but has to be said.
Result<int> report_failures(Session& session, const compose::Project& project, const Arguments& arguments,
                            const std::map<std::string, Error>& failures) {
  std::vector<std::string> buildable;
  std::vector<std::string> others;
  for (const auto& [image, error] : failures) {
    bool can_build = false;
    for (const auto& [name, service] : project.services) {
      if (image_name(project, service) != image || !service.build) continue;
      buildable.push_back(name);
      can_build = true;
    }
    if (!can_build) others.push_back(error.message());
  }
  if (!buildable.empty()) {
    session.warn("Some service image(s) must be built from source by running:\n    " + session.program + " build " +
                 join(buildable, " "));
  }
  for (const std::string& message : others) session.fail(message);
  return arguments.on("ignore-pull-failures") ? 0 : 1;
}

Result<int> pull(Session& session, const Arguments& arguments) {
  const std::string policy = arguments.text("policy");
  if (arguments.given("policy") && policy != "missing" && policy != "always") {
    return invalid("invalid --policy option " + gantry::quoted(policy) + ": give missing or always");
  }
  const auto project = TRY(session.load_project(arguments.positional(), arguments.on("include-deps")));
  ProgressStyle style = TRY(session.progress_style("pull"));
  if (arguments.on("quiet")) style.mode = ProgressMode::quiet;
  TRY(session.api());
  OperationView drawing(style, session);
  const auto images = TRY(images_to_pull(session, project, arguments, drawing.view()));
  const auto failures = TRY(pull_images(session, images, drawing.view()));
  drawing.view().finish();
  if (failures.empty()) return 0;
  return report_failures(session, project, arguments, failures);
}

}  // namespace

const Command kBuild{
    .syntax = {.name = "build", .arguments = "[SERVICE...]", .summary = "Build images", .flags = kBuildFlags},
    .run = build};
const Command kPull{
    .syntax = {.name = "pull", .arguments = "[SERVICE...]", .summary = "Pull images", .flags = kPullFlags},
    .run = pull};

}  // namespace gantry::cli
