// push: the images that the project builds, to their registries.
#include <algorithm>

#include "cli/commands/commands.h"
#include "cli/image_build.h"
#include "cli/image_push.h"
#include "cli/operation.h"

namespace gantry::cli {

namespace {

constexpr Flag kPushFlags[] = {
    {.name = "ignore-push-failures", .help = "Go on, and succeed, when an image cannot be pushed"},
    {.name = "include-deps", .help = "Push the images of dependencies, too"},
    {.name = "quiet", .letter = 'q', .help = "Don't show progress"},
};

// What a service's build made, if it has a name that a registry can know.
std::vector<std::string> references_of(const compose::Service& service) {
  if (!service.build || service.image.empty()) return {};
  std::vector<std::string> references{service.image};
  references.insert(references.end(), service.build->tags.begin(), service.build->tags.end());
  return references;
}

Result<int> push(Session& session, const Arguments& arguments) {
  const auto project = TRY(session.load_project(arguments.positional(), arguments.on("include-deps")));
  ProgressStyle style = TRY(session.progress_style("push"));
  if (arguments.on("quiet")) style.mode = ProgressMode::quiet;
  OperationView drawing(style, session);
  std::vector<std::string> references;
  for (const auto& [name, service] : project.services) {
    const auto own = references_of(service);
    if (own.empty()) {
      drawing.view().show({.resource = compose::Progress::Resource::service,
                           .name = name,
                           .status = compose::Progress::Status::done,
                           .text = "Skipped"});
    }
    for (const std::string& reference : own) {
      if (std::find(references.begin(), references.end(), reference) == references.end()) references.push_back(reference);
    }
  }
  const auto failures = TRY(push_images(session, references, drawing.view()));
  drawing.view().finish();
  for (const auto& [reference, error] : failures) session.fail(error.message());
  return failures.empty() || arguments.on("ignore-push-failures") ? 0 : 1;
}

}  // namespace

const Command kPush{.syntax = {.name = "push",
                               .arguments = "[SERVICE...]",
                               .summary = "Push the images of services that are built",
                               .flags = kPushFlags},
                    .run = push};

}  // namespace gantry::cli
