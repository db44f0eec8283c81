// What needs what: services, networks, volumes, images, secrets and configs as nodes; depends_on, links, shared
// namespaces, mounts as edges. Pure values; any thread. All walks are iterative and linear in nodes and edges.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "compose/project.h"

namespace gantry::compose {

// Service → what it depends on, and how.
using ServiceDependencies = std::map<std::string, std::map<std::string, Dependency>>;

struct GraphNode {
  enum class Kind { network, volume, secret, config, image, service };
  Kind kind = Kind::service;
  std::string name;  // key in the model; images: the reference
  friend auto operator<=>(const GraphNode&, const GraphNode&) = default;
};
std::string to_string(const GraphNode& node);  // "service web"

class Graph {
 public:
  using Index = size_t;

  // The node's index; adding one that is there already changes nothing.
  Index add(GraphNode node);
  // `from` needs `to`.
  void connect(Index from, Index to);

  std::optional<Index> find(const GraphNode& node) const;
  const GraphNode& node(Index index) const { return nodes_[index]; }
  size_t size() const { return nodes_.size(); }
  const std::vector<Index>& needs(Index index) const { return needs_[index]; }
  const std::vector<Index>& needed_by(Index index) const { return needed_by_[index]; }

  // Fails with Code::invalid, naming the whole cycle: "dependency cycle detected: a -> b -> a", beginning at its
  // smallest name.
  Result<> check_acyclic() const;
  // Every node of one level needs nodes of lower levels only. Call it on acyclic graphs.
  std::vector<std::vector<Index>> levels() const;

 private:
  std::string describe_cycle(std::vector<Index> cycle) const;

  std::map<GraphNode, Index> index_;
  std::vector<GraphNode> nodes_;
  std::vector<std::vector<Index>> needs_;
  std::vector<std::vector<Index>> needed_by_;
};

// Errors, each with its mark: a cycle; a required dependency that is undefined or disabled.
Result<Graph> build_graph(const Project& project);

// `services` and all that they need, or all that needs them, directly or not. Unknown names stay in.
std::vector<std::string> with_dependencies(const ServiceDependencies& dependencies, std::vector<std::string> services);
std::vector<std::string> with_dependants(const ServiceDependencies& dependencies, std::vector<std::string> services);
// Turned around: service → who depends on it.
std::map<std::string, std::vector<std::string>> dependants_of(const ServiceDependencies& dependencies);

ServiceDependencies dependencies_of(const Project& project);
// The label com.docker.compose.depends_on: "db:service_healthy:false,…". Pieces that do not fit are left out: labels
// are anybody's.
std::string depends_on_label(const std::map<std::string, Dependency>& dependencies);
std::map<std::string, Dependency> parse_depends_on_label(const std::string& label);

// "compose.yaml:12:7 (services.web.ports)" on an indented line of its own; "" when no mark is known.
std::string mark_line(const Project& project, const std::string& path);

}  // namespace gantry::compose
