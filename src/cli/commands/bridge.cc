// bridge: the project for another platform, by an image that transforms it. The image finds the project's model as
// /in/compose.yaml and writes what it makes of it to /out.
#include <unistd.h>

#include <filesystem>
#include <utility>

#include "base/fd.h"
#include "base/random.h"
#include "base/scope_exit.h"
#include "base/strings.h"
#include "cli/api_extra.h"
#include "cli/build_request.h"
#include "cli/commands/commands.h"
#include "cli/image_pull.h"
#include "cli/operation.h"
#include "cli/stream_hub.h"
#include "cli/table.h"
#include "cli/tar_extract.h"
#include "cli/text.h"

namespace gantry::cli {

namespace {

namespace fs = std::filesystem;

constexpr const char* kDefaultTransformation = "docker/compose-bridge-kubernetes";
constexpr size_t kLargestTemplates = size_t{64} << 20;
constexpr const char* kTransformationLabel = "com.docker.compose.bridge";

constexpr Flag kConvertFlags[] = {
    {.name = "output", .letter = 'o', .kind = FlagKind::text, .value_name = "DIR", .help = "Where the files go (out)"},
    {.name = "templates", .kind = FlagKind::text, .value_name = "DIR", .help = "Templates instead of the image's own"},
    {.name = "transformation",
     .letter = 't',
     .kind = FlagKind::list,
     .value_name = "IMAGE",
     .help = "Image that transforms (docker/compose-bridge-kubernetes)"},
};
constexpr Flag kTransformerListFlags[] = {
    {.name = "format", .kind = FlagKind::text, .value_name = "FORMAT", .help = "table or json"},
    {.name = "quiet", .letter = 'q', .help = "Print ids alone"},
};
constexpr Flag kTransformerCreateFlags[] = {
    {.name = "from", .letter = 'f', .kind = FlagKind::text, .value_name = "IMAGE", .help = "Image to begin from"},
};

Result<> make_sure_of(Session& session, const std::string& image) {
  client::ApiClient* api = TRY(session.api());
  if (TRY(api->request("GET", image_path(image, "json"))).status == 200) return {};
  OperationView drawing(TRY(session.progress_style("pull")), session);
  TRY(pull_image(session, image, "", drawing.view()).within("transformation " + image));
  drawing.view().finish();
  return {};
}

// Runs the image with the directories mounted; what it prints is passed on.
Result<> transform(Session& session, const std::string& image, const fs::path& in, const fs::path& out,
                   const std::string& templates) {
  client::ApiClient* api = TRY(session.api());
  std::vector<std::string> binds = {in.string() + ":/in:ro", out.string() + ":/out"};
  if (!templates.empty()) binds.push_back(fs::absolute(templates).string() + ":/templates:ro");
  const std::string user = std::to_string(::getuid()) + ":" + std::to_string(::getgid());
  const std::string created =
      TRY(TRY(api->request("POST", "/containers/create", transformation_body(image, binds, user))).ok_body());
  const std::string id = TRY(parse_id(created));
  const ScopeExit remove([&] { (void)api->request("DELETE", container_path(id) + "?force=1&v=1"); });
  TRY(TRY(api->request("POST", container_path(id, "start"))).ok_body());
  const int code = TRY(parse_wait(TRY(TRY(api->request("POST", container_path(id, "wait"))).ok_body())));
  TRY(read_log(*api, id, false, {}, [&](StreamKind, std::string_view line) { session.err.write(std::string(line) + "\n"); }));
  if (code != 0) return internal_error("transformation " + image + " exited with code " + std::to_string(code));
  return {};
}

Result<int> convert(Session& session, const Arguments& arguments) {
  if (!daemon_is_local(session)) return unsupported("bridge convert needs a daemon on this machine: it mounts directories");
  compose::LoadOptions options = session.load_options();
  options.print_json = false;
  const auto loaded = TRY(session.load(options));
  auto images = arguments.list("transformation");
  if (images.empty()) images.emplace_back(kDefaultTransformation);
  const fs::path out = fs::absolute(arguments.text("output", "out"));
  if (session.globals().dry_run) {
    session.err.write("would run " + join(images, ", ") + " and write to " + out.string() + "\n");
    return 0;
  }
  SystemRandom random;
  const fs::path in = fs::temp_directory_path() / ("compose-bridge-" + random_hex(random, 8));
  std::error_code problem;
  fs::create_directories(in, problem);
  fs::create_directories(out, problem);
  if (problem) return invalid("cannot make " + out.string() + ": " + problem.message());
  const ScopeExit clean([&in] {
    std::error_code ignored;
    fs::remove_all(in, ignored);
  });
  TRY(write_file(in / "compose.yaml", loaded.canonical_yaml));
  for (const std::string& image : images) {
    TRY(make_sure_of(session, image));
    TRY(transform(session, image, in, out, arguments.text("templates")));
  }
  return 0;
}

Result<int> list_transformers(Session& session, const Arguments& arguments) {
  client::ApiClient* api = TRY(session.api());
  const std::string filters = filters_query({{"label", {std::string(kTransformationLabel) + "=transformation"}}});
  const auto rows = TRY(parse_images(TRY(TRY(api->request("GET", "/images/json?filters=" + filters)).ok_body())));
  const std::string format = arguments.text("format", "table");
  if (format != "table" && format != "json") return invalid("unsupported format " + gantry::quoted(format));
  if (arguments.on("quiet")) {
    for (const ImageRow& row : rows) session.out.write(row.id + "\n");
    return 0;
  }
  if (format == "json") {
    session.out.write(transformations_json(rows));
    return 0;
  }
  Table table({"IMAGE ID", "REPO", "TAGS", "SIZE"});
  for (const ImageRow& row : rows) {
    const std::string name = row.tags.empty() ? "<none>" : row.tags.front();
    const size_t colon = name.rfind(':');
    std::vector<std::string> tags;
    for (const std::string& tag : row.tags) tags.push_back(tag.substr(tag.rfind(':') + 1));
    table.add({row.id.substr(row.id.find(':') + 1, 12), name.substr(0, colon), join(tags, ","), human_size(row.size)});
  }
  session.out.write(table.text());
  return 0;
}

// A directory to make a transformation of one's own from: the templates of an image, and a Dockerfile on top of it.
Result<int> create_transformer(Session& session, const Arguments& arguments) {
  const std::string from = arguments.text("from", kDefaultTransformation);
  const fs::path directory = fs::absolute(arguments.positional().front());
  std::error_code problem;
  if (fs::exists(directory, problem)) return conflict("cannot create " + directory.string() + ": it exists");
  if (session.globals().dry_run) return 0;
  TRY(make_sure_of(session, from));
  client::ApiClient* api = TRY(session.api());
  const std::string created =
      TRY(TRY(api->request("POST", "/containers/create", transformation_body(from, {}, ""))).ok_body());
  const std::string id = TRY(parse_id(created));
  const ScopeExit remove([&] { (void)api->request("DELETE", container_path(id) + "?force=1&v=1"); });
  fs::create_directories(directory, problem);
  if (problem) return invalid("cannot make " + directory.string() + ": " + problem.message());
  std::string archive;
  TRY(api->stream_bytes("GET", container_path(id, "archive") + "?path=/templates", "", [&archive](std::string_view bytes) {
    archive += bytes;
    return archive.size() <= kLargestTemplates;
  }));
  TRY(extract_tar(directory, {.root_name = "templates"}, [&archive] { return Result(std::exchange(archive, "")); }));
  TRY(write_file(directory / "Dockerfile", "FROM " + from + "\nLABEL " + kTransformationLabel +
                                               "=transformation\nCOPY templates /templates\n"));
  return 0;
}

}  // namespace

const Command kBridgeConvert{.syntax = {.name = "bridge convert",
                                        .summary = "Convert the project for another platform by a transformation image",
                                        .flags = kConvertFlags,
                                        .most_arguments = 0},
                             .run = convert};
const Command kBridgeList{.syntax = {.name = "bridge transformations list",
                                     .summary = "List the transformation images that are here",
                                     .flags = kTransformerListFlags,
                                     .most_arguments = 0},
                          .run = list_transformers};
const Command kBridgeLs{.syntax = {.name = "bridge transformations ls",
                                   .summary = "The same as list",
                                   .flags = kTransformerListFlags,
                                   .most_arguments = 0},
                        .run = list_transformers};
const Command kBridgeCreate{.syntax = {.name = "bridge transformations create",
                                       .arguments = "PATH",
                                       .summary = "Make the files of a transformation of one's own",
                                       .flags = kTransformerCreateFlags,
                                       .least_arguments = 1,
                                       .most_arguments = 1},
                            .run = create_transformer};

}  // namespace gantry::cli
