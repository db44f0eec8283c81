// gantry cp: files between this machine and a container.
#include <nlohmann/json.hpp>

#include "cli/commands/commands.h"
#include "cli/commands/engine_helpers.h"
#include "cli/commands/container_copy.h"
#include "cli/copy_paths.h"
#include "cli/text.h"

namespace gantry::cli {

namespace {

constexpr Flag kEngineCopyFlags[] = {
    {.name = "archive", .letter = 'a', .help = "Keep owner and group"},
    {.name = "follow-link", .letter = 'L', .help = "Follow symbolic links in the source"},
    {.name = "quiet", .letter = 'q', .help = "Say nothing about what was copied"},
};

Result<int> copy_with_container(Session& session, const Arguments& arguments) {
  const CopyPlace from = parse_copy_place(arguments.positional()[0]);
  const CopyPlace to = parse_copy_place(arguments.positional()[1]);
  const bool out = to.service.empty();
  if (!from.service.empty() && !out) return unsupported("copying between containers is not supported");
  if (from.service.empty() && out) return invalid("must specify at least one container source");
  const CopyRules rules{.keep_owner = arguments.on("archive"), .follow_link = arguments.on("follow-link")};
  const std::string& name = out ? from.service : to.service;
  const std::string id = text_of(TRY(api_json(session, "GET", container_path(name, "json"))), "Id");
  const CopyContainer container{.id = id, .name = name};
  client::ApiClient* api = TRY(session.api());
  const CopiedBytes copied = TRY(out ? copy_out(session, *api, container, from.path, to.path, rules)
                                     : copy_in(session, *api, container, from.path, to.path, rules));
  // As Docker's: only people at a terminal are told.
  const bool is_stream = to.path == "-" || from.path == "-";
  if (is_stream || arguments.on("quiet") || !session.out.is_terminal()) return 0;
  session.err.write("Successfully copied " + human_size(copied) + " to " + (out ? "" : name + ":") + to.path + "\n");
  return 0;
}

}  // namespace

const Command kEngineCopy{.syntax = {.name = "cp",
                                     .arguments = "CONTAINER:SRC_PATH DEST_PATH|- | SRC_PATH|- CONTAINER:DEST_PATH",
                                     .summary = "Copy files between this machine and a container",
                                     .flags = kEngineCopyFlags,
                                     .least_arguments = 2,
                                     .most_arguments = 2},
                          .run = copy_with_container};

}  // namespace gantry::cli
