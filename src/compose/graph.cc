#include "compose/graph.h"

#include <algorithm>
#include <set>

#include "base/strings.h"

namespace gantry::compose {
namespace {

const char* word_of(GraphNode::Kind kind) {
  switch (kind) {
    case GraphNode::Kind::network: return "network";
    case GraphNode::Kind::volume: return "volume";
    case GraphNode::Kind::secret: return "secret";
    case GraphNode::Kind::config: return "config";
    case GraphNode::Kind::image: return "image";
    case GraphNode::Kind::service: return "service";
  }
  return "node";
}

Result<> connect_dependencies(const Project& project, const Service& service, Graph& graph, Graph::Index from) {
  for (const auto& [name, dependency] : service.depends_on) {
    if (project.services.contains(name)) {
      graph.connect(from, graph.add({GraphNode::Kind::service, name}));
      continue;
    }
    if (!dependency.required) continue;
    const auto& disabled = project.disabled_services;
    // Selecting services with --no-deps, or profiles, disables the others: that is what was asked for. The loader
    // refuses what profiles make impossible; a name nobody knows is an error here, too.
    if (std::find(disabled.begin(), disabled.end(), name) != disabled.end()) continue;
    std::string path = "services." + service.name + ".depends_on." + name;
    return invalid("service " + gantry::quoted(service.name) + " depends on undefined service " +
                   gantry::quoted(name) + mark_line(project, path));
  }
  return {};
}

void connect_resources(const Project& project, const Service& service, Graph& graph, Graph::Index from) {
  for (const auto& [key, attachment] : service.networks) {
    if (project.networks.contains(key)) graph.connect(from, graph.add({GraphNode::Kind::network, key}));
  }
  for (const VolumeMount& mount : service.volumes) {
    bool named = mount.type == "volume" && project.volumes.contains(mount.source);
    if (named) graph.connect(from, graph.add({GraphNode::Kind::volume, mount.source}));
  }
  for (const FileReference& secret : service.secrets) {
    graph.connect(from, graph.add({GraphNode::Kind::secret, secret.source}));
  }
  for (const FileReference& config : service.configs) {
    graph.connect(from, graph.add({GraphNode::Kind::config, config.source}));
  }
  if (!service.image.empty()) graph.connect(from, graph.add({GraphNode::Kind::image, service.image}));
}

std::vector<std::string> reachable(const std::map<std::string, std::vector<std::string>>& edges,
                                   std::vector<std::string> start) {
  std::set<std::string> seen(start.begin(), start.end());
  std::vector<std::string> open(seen.begin(), seen.end());
  while (!open.empty()) {
    std::string current = std::move(open.back());
    open.pop_back();
    auto found = edges.find(current);
    if (found == edges.end()) continue;
    for (const std::string& next : found->second) {
      if (seen.insert(next).second) open.push_back(next);
    }
  }
  return {seen.begin(), seen.end()};
}

}  // namespace

std::string to_string(const GraphNode& node) { return std::string(word_of(node.kind)) + " " + node.name; }

Graph::Index Graph::add(GraphNode node) {
  auto [place, added] = index_.try_emplace(node, nodes_.size());
  if (added) {
    nodes_.push_back(std::move(node));
    needs_.emplace_back();
    needed_by_.emplace_back();
  }
  return place->second;
}

void Graph::connect(Index from, Index to) {
  needs_[from].push_back(to);
  needed_by_[to].push_back(from);
}

std::optional<Graph::Index> Graph::find(const GraphNode& node) const {
  auto found = index_.find(node);
  if (found == index_.end()) return std::nullopt;
  return found->second;
}

// Depth first with an explicit stack: a hostile file may chain more services than a thread's stack can hold.
Result<> Graph::check_acyclic() const {
  enum class Colour : uint8_t { unseen, on_path, done };
  struct Frame {
    Index index;
    size_t next_edge = 0;
  };
  std::vector<Colour> colour(size(), Colour::unseen);
  std::vector<Frame> path;
  for (const auto& [node, root] : index_) {
    if (colour[root] != Colour::unseen) continue;
    path.push_back({root});
    colour[root] = Colour::on_path;
    while (!path.empty()) {
      Frame& frame = path.back();
      if (frame.next_edge == needs_[frame.index].size()) {
        colour[frame.index] = Colour::done;
        path.pop_back();
        continue;
      }
      Index next = needs_[frame.index][frame.next_edge++];
      if (colour[next] == Colour::on_path) {
        auto begin = std::find_if(path.begin(), path.end(), [next](const Frame& f) { return f.index == next; });
        std::vector<Index> cycle;
        for (auto it = begin; it != path.end(); ++it) cycle.push_back(it->index);
        return invalid("dependency cycle detected: " + describe_cycle(std::move(cycle)));
      }
      if (colour[next] == Colour::unseen) {
        colour[next] = Colour::on_path;
        path.push_back({next});
      }
    }
  }
  return {};
}

std::string Graph::describe_cycle(std::vector<Index> cycle) const {
  auto smallest = std::min_element(cycle.begin(), cycle.end(),
                                   [this](Index a, Index b) { return nodes_[a].name < nodes_[b].name; });
  std::rotate(cycle.begin(), smallest, cycle.end());
  std::string text;
  for (Index index : cycle) text += nodes_[index].name + " -> ";
  return text + nodes_[cycle.front()].name;
}

std::vector<std::vector<Graph::Index>> Graph::levels() const {
  std::vector<size_t> missing(size());
  std::vector<Index> current;
  for (const auto& [node, index] : index_) {
    missing[index] = needs_[index].size();
    if (missing[index] == 0) current.push_back(index);
  }
  std::vector<std::vector<Index>> levels;
  while (!current.empty()) {
    std::vector<Index> next;
    for (Index index : current) {
      for (Index waiting : needed_by_[index]) {
        if (--missing[waiting] == 0) next.push_back(waiting);
      }
    }
    std::sort(next.begin(), next.end(), [this](Index a, Index b) { return nodes_[a] < nodes_[b]; });
    levels.push_back(std::exchange(current, std::move(next)));
  }
  return levels;
}

Result<Graph> build_graph(const Project& project) {
  Graph graph;
  for (const auto& [name, service] : project.services) {
    Graph::Index from = graph.add({GraphNode::Kind::service, name});
    TRY(connect_dependencies(project, service, graph, from));
    connect_resources(project, service, graph, from);
  }
  TRY(graph.check_acyclic());
  return graph;
}

std::vector<std::string> with_dependencies(const ServiceDependencies& dependencies, std::vector<std::string> services) {
  std::map<std::string, std::vector<std::string>> edges;
  for (const auto& [service, needed] : dependencies) {
    for (const auto& [name, dependency] : needed) edges[service].push_back(name);
  }
  return reachable(edges, std::move(services));
}

std::vector<std::string> with_dependants(const ServiceDependencies& dependencies, std::vector<std::string> services) {
  return reachable(dependants_of(dependencies), std::move(services));
}

std::map<std::string, std::vector<std::string>> dependants_of(const ServiceDependencies& dependencies) {
  std::map<std::string, std::vector<std::string>> dependants;
  for (const auto& [service, needed] : dependencies) {
    for (const auto& [name, dependency] : needed) dependants[name].push_back(service);
  }
  return dependants;
}

ServiceDependencies dependencies_of(const Project& project) {
  ServiceDependencies dependencies;
  for (const auto& [name, service] : project.services) dependencies[name] = service.depends_on;
  return dependencies;
}

std::string depends_on_label(const std::map<std::string, Dependency>& dependencies) {
  std::vector<std::string> pieces;
  for (const auto& [name, dependency] : dependencies) {
    pieces.push_back(name + ":" + to_string(dependency.condition) + (dependency.restart ? ":true" : ":false"));
  }
  return join(pieces, ",");
}

std::map<std::string, Dependency> parse_depends_on_label(const std::string& label) {
  std::map<std::string, Dependency> dependencies;
  for (const std::string& piece : split(label, ',')) {
    std::vector<std::string> fields = split(piece, ':');
    if (fields[0].empty()) continue;
    Dependency dependency;
    if (fields.size() > 1) {
      if (fields[1] == "service_healthy") dependency.condition = DependencyCondition::healthy;
      if (fields[1] == "service_completed_successfully") {
        dependency.condition = DependencyCondition::completed_successfully;
      }
    }
    dependency.restart = fields.size() > 2 && fields[2] == "true";
    dependencies[fields[0]] = dependency;
  }
  return dependencies;
}

std::string mark_line(const Project& project, const std::string& path) {
  Mark mark = project.mark_of(path);
  if (mark.file.empty()) return "";
  return "\n  " + mark.to_string() + " (" + path + ")";
}

}  // namespace gantry::compose
