#include "engine/build/source_tree.h"

#include "base/glob.h"
#include "base/strings.h"

namespace gantry::engine {
namespace {

std::string joined(const std::string& directory, const std::string& name) {
  if (directory.empty()) return name;
  return directory.ends_with('/') ? directory + name : directory + "/" + name;
}

std::vector<std::string> components(const std::string& path) {
  std::vector<std::string> parts;
  for (std::string& part : split(path, '/')) {
    if (!part.empty() && part != ".") parts.push_back(std::move(part));
  }
  return parts;
}

std::string last_name(const std::string& path) {
  const std::vector<std::string> parts = components(path);
  return parts.empty() ? std::string() : parts.back();
}

}  // namespace

bool SourceTree::is_left_out(const std::string& path) const {
  return path.size() > 1 && ignored_.matches(std::string_view(path).substr(1));
}

Result<std::vector<std::string>> SourceTree::expand_pattern(const std::string& pattern) const {
  std::vector<std::string> paths = {"/"};
  for (const std::string& part : components(pattern)) {
    std::vector<std::string> next;
    for (const std::string& path : paths) {
      if (!Glob::has_wildcards(part)) {
        next.push_back(joined(path, part));
        continue;
      }
      const Glob glob = TRY(Glob::compile(part, Glob::Stars::single));
      const std::optional<LayerView::Node> directory = TRY(view_.find(path));
      if (!directory.has_value() || !directory->is_directory()) continue;
      for (const std::string& name : TRY(view_.names(*directory))) {
        if (glob.matches(name)) next.push_back(joined(path, name));
      }
    }
    paths = std::move(next);
  }
  return paths;
}

Result<std::vector<SourceTree::Match>> SourceTree::find(const std::string& pattern) const {
  const bool is_pattern = Glob::has_wildcards(pattern);
  std::vector<Match> matches;
  const std::vector<std::string> paths =
      is_pattern ? TRY(expand_pattern(pattern)) : std::vector<std::string>{pattern};
  for (const std::string& path : paths) {
    const std::optional<LayerView::Node> node = TRY(view_.find(path));
    if (node.has_value() && share_of(*node) != Share::nothing) {
      matches.push_back({.path = node->path(), .name = last_name(path), .is_directory = node->is_directory()});
    } else if (!is_pattern) {
      return not_found("stat " + pattern + ": file does not exist");
    }
  }
  return matches;
}

Result<> SourceTree::walk(const Match& match, const Visitor& visit) const {
  std::optional<LayerView::Node> node = TRY(view_.find(match.path, LayerView::LastLink::keep));
  if (!node.has_value()) return not_found("stat " + match.path + ": file does not exist");
  std::vector<Pending> pending;
  return walk_node(*node, "", visit, pending, 0);
}

SourceTree::Share SourceTree::share_of(const LayerView::Node& node) const {
  if (!is_left_out(node.path())) return Share::all;
  const bool may_hold_more = node.is_directory() && !ignored_.can_skip(std::string_view(node.path()).substr(1));
  return may_hold_more ? Share::below : Share::nothing;
}

Result<> SourceTree::walk_node(const LayerView::Node& node, const std::string& path, const Visitor& visit,
                               std::vector<Pending>& pending, int depth) const {
  if (depth > kDeepestTree) return invalid("directories are nested too deeply: " + node.path());
  const Share share = share_of(node);
  if (share == Share::nothing) return {};
  const auto visit_pending = [&]() -> Result<> {
    for (Pending& item : pending) {
      if (item.node.has_value()) TRY(visit(*item.node, item.path));
      item.node.reset();
    }
    return {};
  };
  if (!node.is_directory()) {
    TRY(visit_pending());
    return visit(node, path);
  }
  pending.push_back({.node = node, .path = path});
  if (share == Share::all) TRY(visit_pending());
  for (const std::string& name : TRY(view_.names(node))) {
    const std::optional<LayerView::Node> child = TRY(view_.child(node, name));
    if (child.has_value()) TRY(walk_node(*child, joined(path, name), visit, pending, depth + 1));
  }
  pending.pop_back();
  return {};
}

}  // namespace gantry::engine
