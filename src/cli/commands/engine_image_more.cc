// gantry tag, history, save, image prune and builder prune.
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <nlohmann/json.hpp>

#include "base/fd.h"
#include "base/strings.h"
#include "cli/commands/commands.h"
#include "cli/commands/engine_helpers.h"
#include "compose/values.h"

namespace gantry::cli {

namespace {

using K = FlagKind;

constexpr Flag kHistoryFlags[] = {
    {.name = "format", .kind = K::text, .value_name = "FORMAT", .help = "table, json, or a template"},
    {.name = "human", .letter = 'H', .help = "Sizes and times for people (default true)"},
    {.name = "no-trunc", .help = "Don't cut commands"},
    {.name = "quiet", .letter = 'q', .help = "Print ids only"},
};
constexpr Flag kSaveFlags[] = {
    {.name = "output", .letter = 'o', .kind = K::text, .value_name = "FILE", .help = "Write to a file, not to standard output"},
    {.name = "platform", .kind = K::text, .value_name = "OS/ARCH", .help = "Only this platform"},
};
constexpr Flag kImagePruneFlags[] = {
    {.name = "all", .letter = 'a', .help = "All that no container uses, not only those without a name"},
    {.name = "filter", .kind = K::list, .value_name = "KEY=VALUE", .help = "Only what matches"},
    {.name = "force", .letter = 'f', .help = "Don't ask"},
};

constexpr Flag kBuilderPruneFlags[] = {
    {.name = "all", .letter = 'a', .help = "The same: all that nobody uses"},
    {.name = "filter", .kind = K::list, .value_name = "until=TIME", .help = "Only steps that nobody has used since"},
    {.name = "keep-storage", .kind = K::text, .value_name = "BYTES", .help = "Keep so much of what was used last"},
    {.name = "force", .letter = 'f', .help = "Don't ask"},
};

constexpr Column kHistoryColumns[] = {{"Comment", "COMMENT"}, {"CreatedAt", "CREATED AT"}, {"CreatedBy", "CREATED BY"},
                                      {"CreatedSince", "CREATED"}, {"ID", "IMAGE"}, {"Size", "SIZE"}};
constexpr size_t kHistoryCommandWidth = 45;

// "a/b:tag": the last colon behind the last slash.
std::pair<std::string, std::string> split_tag(const std::string& name) {
  const size_t colon = name.rfind(':');
  if (colon == std::string::npos || name.find('/', colon) != std::string::npos) return {name, ""};
  return {name.substr(0, colon), name.substr(colon + 1)};
}

Result<int> tag(Session& session, const Arguments& arguments) {
  const auto [repository, name] = split_tag(arguments.positional()[1]);
  TRY(post(*TRY(session.api()), image_path(arguments.positional()[0], "tag") +
                                    query_of({{"repo", client::url_encode(repository)}, {"tag", client::url_encode(name)}})));
  return 0;
}

Result<int> history(Session& session, const Arguments& arguments) {
  const Value entries = TRY(api_json(session, "GET", image_path(arguments.positional()[0], "history")));
  const bool whole = arguments.on("no-trunc");
  const bool human = !arguments.given("human") || arguments.on("human");
  std::vector<Value> rows;
  for (const Value& entry : entries) {
    std::string id = text_of(entry, "Id");
    if (!whole && id.starts_with("sha256:")) id = id.substr(7, 12);
    std::string command = text_of(entry, "CreatedBy");
    std::replace(command.begin(), command.end(), '\t', ' ');
    const int64_t created = number_of(entry, "Created");
    const auto size = static_cast<uint64_t>(number_of(entry, "Size"));
    rows.push_back(make_row({{"Comment", text_of(entry, "Comment")},
                             {"CreatedAt", format_rfc3339(WallTime(std::chrono::seconds(created)))},
                             {"CreatedBy", whole ? command : shorten(command, kHistoryCommandWidth)},
                             {"CreatedSince", human ? age_text(session, created) : format_rfc3339(WallTime(std::chrono::seconds(created)))},
                             {"ID", id},
                             {"Size", human ? human_size(size) : std::to_string(size)}}));
  }
  if (arguments.on("quiet")) {
    for (const Value& row : rows) session.out.write(row["ID"].get<std::string>() + "\n");
    return 0;
  }
  session.out.write(TRY(format_list({kHistoryColumns, "{{.ID}}\t{{.CreatedSince}}\t{{.CreatedBy}}\t{{.Size}}\t{{.Comment}}"},
                                    arguments.text("format"), rows)));
  return 0;
}

Result<int> save(Session& session, const Arguments& arguments) {
  const std::string output = arguments.text("output");
  if (output.empty() && session.out.is_terminal()) {
    return invalid("cowardly refusing to save to a terminal. Use the -o flag or redirect");
  }
  std::string path = "/images/get?";
  for (const std::string& name : arguments.positional()) path += (path.ends_with('?') ? "" : "&") + std::string("names=") + client::url_encode(name);
  if (arguments.given("platform")) path += "&platform=" + client::url_encode(arguments.text("platform"));
  TRY(save_stream(session, path, output));
  return 0;
}

Result<int> prune_images(Session& session, const Arguments& arguments) {
  const char* what = arguments.on("all") ? "WARNING! This will remove all images without at least one container associated to them."
                                         : "WARNING! This will remove all dangling images.";
  if (!arguments.on("force") && !confirmed(session, std::string(what) + "\nAre you sure you want to continue?")) return 0;
  std::map<std::string, std::vector<std::string>> filters = {{"dangling", {arguments.on("all") ? "false" : "true"}}};
  for (const std::string& filter : arguments.list("filter")) {
    const size_t equals = filter.find('=');
    if (equals == std::string::npos) return invalid("invalid filter '" + filter + "'");
    filters[filter.substr(0, equals)].push_back(filter.substr(equals + 1));
  }
  const Value answer = TRY(api_json(session, "POST", "/images/prune?filters=" + filters_query(filters)));
  const Value& deleted = member_of(answer, "ImagesDeleted");
  if (deleted.is_array() && !deleted.empty()) {
    session.out.write("Deleted Images:\n");
    for (const Value& item : deleted) {
      if (const std::string text = text_of(item, "Untagged"); !text.empty()) session.out.write("untagged: " + text + "\n");
      if (const std::string text = text_of(item, "Deleted"); !text.empty()) session.out.write("deleted: " + text + "\n");
    }
    session.out.write("\n");
  }
  session.out.write("Total reclaimed space: " + human_size(static_cast<uint64_t>(number_of(answer, "SpaceReclaimed"))) + "\n");
  return 0;
}

Result<int> prune_builder(Session& session, const Arguments& arguments) {
  const char* question =
      "WARNING! This will remove all build cache that nobody uses.\nAre you sure you want to continue?";
  if (!arguments.on("force") && !confirmed(session, question)) return 0;
  std::string keep;
  if (arguments.given("keep-storage")) {
    keep = std::to_string(TRY(compose::parse_bytes(arguments.text("keep-storage")).within("--keep-storage")));
  }
  const std::string filters = TRY(filters_of(arguments));
  const std::string query = query_of({{"filters", filters}, {"keep-storage", keep}});
  const Value answer = TRY(api_json(session, "POST", "/build/prune" + query));
  session.out.write("Total:\t" + human_size(static_cast<uint64_t>(number_of(answer, "SpaceReclaimed"))) + "\n");
  return 0;
}

}  // namespace

const Command kEngineTag{.syntax = {.name = "tag", .arguments = "IMAGE NAME[:TAG]", .summary = "Give an image another name", .flags = {}, .least_arguments = 2, .most_arguments = 2}, .run = tag};
const Command kEngineHistory{.syntax = {.name = "history", .arguments = "IMAGE", .summary = "Show how an image was made", .flags = kHistoryFlags, .least_arguments = 1, .most_arguments = 1}, .run = history};
const Command kEngineSave{.syntax = {.name = "save", .arguments = "IMAGE [IMAGE...]", .summary = "Write images to an archive", .flags = kSaveFlags, .least_arguments = 1}, .run = save};
const Command kEngineImagePrune{.syntax = {.name = "image prune", .arguments = "", .summary = "Remove images that nobody uses", .flags = kImagePruneFlags, .most_arguments = 0}, .run = prune_images};
const Command kEngineBuilderPrune{.syntax = {.name = "builder prune", .arguments = "", .summary = "Remove build cache", .flags = kBuilderPruneFlags, .most_arguments = 0}, .run = prune_builder};

}  // namespace gantry::cli
