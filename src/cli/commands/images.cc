// images and port: what the project's containers are made from, and where a port of theirs is reached.
#include <algorithm>

#include "base/strings.h"
#include "cli/commands/commands.h"
#include "cli/table.h"

namespace gantry::cli {

namespace {

constexpr Flag kImagesFlags[] = {
    {.name = "quiet", .letter = 'q', .help = "Print ids only"},
    {.name = "format", .kind = FlagKind::text, .value_name = "FORMAT", .help = "table or json"},
};
constexpr Flag kPortFlags[] = {
    {.name = "protocol", .kind = FlagKind::text, .value_name = "PROTOCOL", .help = "tcp (if not given) or udp"},
    {.name = "index", .kind = FlagKind::number, .value_name = "N", .help = "The N-th container of the service"},
};

std::string without_algorithm(const std::string& id) {
  const size_t colon = id.find(':');
  return colon == std::string::npos ? id : id.substr(colon + 1);
}

Result<ImageListRow> image_list_row(client::ApiClient& api, const ContainerRow& container) {
  const auto name = split_reference(container.image);
  ImageListRow row{.id = container.image_id,
                   .container = container.name,
                   .repository = name.repository.empty() ? "<none>" : name.repository,
                   .tag = name.tag,
                   .platform = "N/A"};
  const auto answer = TRY(api.request("GET", image_path(container.image_id, "json")));
  if (answer.status == 404) return row;  // removed by force: the container goes on, and is listed
  const auto image = TRY(parse_image(TRY(client::Response(answer).ok_body()), row.platform));
  row.size = image.size;
  row.created = format_rfc3339(WallTime(std::chrono::seconds(image.created)));
  return row;
}

std::string table_text(const std::vector<ImageListRow>& rows, const Clock& clock) {
  Table table({"CONTAINER", "REPOSITORY", "TAG", "PLATFORM", "IMAGE ID", "SIZE", "CREATED"});
  for (const ImageListRow& row : rows) {
    WallTime created;
    std::string age = "N/A";
    if (parse_rfc3339(row.created, created)) {
      age = human_duration(std::chrono::duration_cast<std::chrono::seconds>(clock.wall() - created)) + " ago";
    }
    table.add({row.container, row.repository, row.tag, row.platform, without_algorithm(row.id).substr(0, 12),
               human_size(row.size), age});
  }
  return table.text();
}

Result<int> images(Session& session, const Arguments& arguments) {
  const std::string format = arguments.text("format", "table");
  if (format != "table" && format != "json") return invalid("unsupported format " + gantry::quoted(format));
  client::ApiClient* api = TRY(session.api());
  std::vector<ImageListRow> rows;
  for (const ContainerRow& container : TRY(session.containers(TRY(session.project_name()), true))) {
    const auto& named = arguments.positional();
    const bool wanted = named.empty() || std::find(named.begin(), named.end(), container.service()) != named.end();
    if (wanted) rows.push_back(TRY(image_list_row(*api, container)));
  }
  if (arguments.on("quiet")) {
    std::set<std::string> ids;
    for (const ImageListRow& row : rows) ids.insert(without_algorithm(row.id));
    for (const std::string& id : ids) session.out.write(id + "\n");
  } else {
    session.out.write(format == "json" ? images_json(rows) : table_text(rows, session.clock()));
  }
  return 0;
}

Result<int> port(Session& session, const Arguments& arguments) {
  const std::string& service = arguments.positional()[0];
  const std::string& text = arguments.positional()[1];
  const auto number = parse_unsigned(text);
  if (!number || *number == 0 || *number > 65535) return invalid("invalid port " + gantry::quoted(text));
  const std::string protocol = to_lower(arguments.text("protocol", "tcp"));
  const int index = static_cast<int>(arguments.number("index").value_or(0));
  auto rows = TRY(session.containers(TRY(session.project_name()), false));
  std::erase_if(rows, [&](const ContainerRow& row) {
    return row.service() != service || row.one_off() || (index > 0 && row.number() != index);
  });
  if (rows.empty()) return not_found("no running container found for service " + gantry::quoted(service));
  const ContainerRow& container =
      *std::min_element(rows.begin(), rows.end(), [](const auto& a, const auto& b) { return a.number() < b.number(); });
  for (const PortBinding& binding : container.ports) {
    if (binding.target != *number || binding.protocol != protocol || binding.published == 0) continue;
    session.out.write(binding.ip + ":" + std::to_string(binding.published) + "\n");
    return 0;
  }
  return not_found("no port " + text + "/" + protocol + " for container " + container.name + ": " +
                   ports_text(container.ports));
}

}  // namespace

const Command kImages{.syntax = {.name = "images",
                                 .arguments = "[SERVICE...]",
                                 .summary = "List the images that containers are made from",
                                 .flags = kImagesFlags},
                      .run = images};
const Command kPort{.syntax = {.name = "port",
                               .arguments = "SERVICE PRIVATE_PORT",
                               .summary = "Print where a container's port is published",
                               .flags = kPortFlags,
                               .least_arguments = 2,
                               .most_arguments = 2},
                    .run = port};

}  // namespace gantry::cli
