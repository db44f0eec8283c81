// viz and generate: a project as a picture, and a project from containers.
#include <algorithm>

#include "base/strings.h"
#include "cli/commands/commands.h"
#include "cli/generate.h"
#include "cli/image_build.h"

namespace gantry::cli {

namespace {

constexpr Flag kVizFlags[] = {
    {.name = "image", .help = "Show the images"},
    {.name = "indentation-size", .kind = FlagKind::number, .value_name = "N", .help = "Width of one step (1)"},
    {.name = "networks", .help = "Show the networks"},
    {.name = "ports", .help = "Show the published ports"},
    {.name = "spaces", .help = "Indent by spaces instead of tabs"},
};

constexpr Flag kGenerateFlags[] = {
    {.name = "format", .kind = FlagKind::text, .value_name = "FORMAT", .help = "yaml or json"},
    {.name = "name", .kind = FlagKind::text, .value_name = "NAME", .help = "Name of the project"},
    {.name = "project-dir", .kind = FlagKind::text, .value_name = "DIR", .help = "Write compose.yaml into this directory"},
};

std::string html(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '&') out += "&amp;";
    else if (c == '<') out += "&lt;";
    else if (c == '>') out += "&gt;";
    else if (c == '"') out += "&quot;";
    else out += c;
  }
  return out;
}

// The label of a service's node: an HTML table's cell, as graphviz reads it.
std::string node_label(const compose::Project& project, const compose::Service& service, const Arguments& arguments) {
  std::string text = "<b>" + html(service.name) + "</b>";
  const auto part = [&text](const std::string& title, const std::vector<std::string>& lines) {
    if (lines.empty()) return;
    text += "<br/><br/><b>" + title + ":</b>";
    for (const std::string& line : lines) text += "<br/>" + html(line);
  };
  std::vector<std::string> ports;
  for (const compose::Port& port : service.ports) {
    const std::string published = port.published.empty() ? "" : port.published + ":";
    ports.push_back((port.host_ip.empty() ? "" : port.host_ip + ":") + published + std::to_string(port.target) + "/" +
                    port.protocol);
  }
  std::vector<std::string> networks;
  for (const auto& [name, network] : service.networks) networks.push_back(name);
  if (arguments.on("ports")) part("ports", ports);
  if (arguments.on("networks")) part("networks", networks);
  if (arguments.on("image")) part("image", {image_name(project, service)});
  return text;
}

Result<int> viz(Session& session, const Arguments& arguments) {
  const int64_t size = arguments.number("indentation-size").value_or(1);
  if (size < 0 || size > 64) return invalid("--indentation-size must be between 0 and 64");
  const auto project = TRY(session.load_project());
  session.err.write("viz command is EXPERIMENTAL\n");
  const std::string indent(static_cast<size_t>(size), arguments.on("spaces") ? ' ' : '\t');
  std::string text = "digraph " + gantry::quoted(project.name) + " {\n" + indent + "layout=dot;\n";
  for (const auto& [name, service] : project.services) {
    text += indent + gantry::quoted(name) + " [style=\"filled\" label=<<font point-size=\"15\">" +
            node_label(project, service, arguments) + "</font>>];\n";
  }
  for (const auto& [name, service] : project.services) {
    for (const auto& [needed, how] : service.depends_on) {
      text += indent + gantry::quoted(name) + " -> " + gantry::quoted(needed) + ";\n";
    }
  }
  session.out.write(text + "}\n");
  return 0;
}

Result<int> generate(Session& session, const Arguments& arguments) {
  const std::string format = arguments.text("format", "yaml");
  if (format != "yaml" && format != "json") return invalid("unsupported format " + gantry::quoted(format));
  client::ApiClient* api = TRY(session.api());
  std::vector<std::string> containers;
  for (const std::string& name : arguments.positional()) {
    containers.push_back(TRY(TRY(api->request("GET", container_path(name, "json"))).ok_body()));
  }
  const std::string text = TRY(compose_file_of(containers, arguments.text("name"), format == "json"));
  if (!arguments.given("project-dir")) {
    session.out.write(text);
  } else if (!session.globals().dry_run) {
    TRY(write_file(arguments.text("project-dir") + "/compose." + format, text));
  }
  return 0;
}

}  // namespace

const Command kViz{.syntax = {.name = "viz",
                              .summary = "Draw the services and their dependencies as a graphviz graph",
                              .flags = kVizFlags,
                              .most_arguments = 0},
                   .run = viz};
const Command kGenerate{.syntax = {.name = "generate",
                                   .arguments = "CONTAINER...",
                                   .summary = "Make a compose file from containers",
                                   .flags = kGenerateFlags,
                                   .least_arguments = 1},
                        .run = generate};

}  // namespace gantry::cli
