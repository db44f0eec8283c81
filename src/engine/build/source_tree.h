// Where COPY and ADD read from: the build context without what .dockerignore leaves out, or the files of a stage or
// an image. Symlinks never lead out of it.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/ignore_patterns.h"
#include "base/result.h"
#include "engine/image/layer_view.h"

namespace gantry::engine {

inline constexpr int kDeepestTree = 1000;  // directories in each other

class SourceTree {
 public:
  // `hold` keeps the layers alive.
  SourceTree(LayerView view, IgnorePatterns ignored, std::shared_ptr<void> hold = nullptr)
      : view_(std::move(view)), ignored_(std::move(ignored)), hold_(std::move(hold)) {}

  struct Match {
    std::string path;  // "/src/a", symlinks resolved
    std::string name;  // as written: what a file is called in a directory
    bool is_directory = false;
    std::string parents = {};  // COPY --parents: directories of the source that are kept, "a/b"
  };
  // A name, which must exist (Code::not_found otherwise), or a pattern of filepath.Match, which may match nothing.
  Result<std::vector<Match>> find(const std::string& pattern) const;

  // Visits what a match stands for, parents first, names sorted: a file itself with the path "", a directory's content
  // with paths relative to it (and the directory itself with ""). Left-out directories are visited if something
  // below is not left out.
  using Visitor = std::function<Result<>(const LayerView::Node& node, const std::string& path)>;
  Result<> walk(const Match& match, const Visitor& visit) const;

  // How much of a node is not left out: itself (and what is below it and not left out), at most something below it.
  enum class Share { all, below, nothing };
  Share share_of(const LayerView::Node& node) const;

  const LayerView& view() const { return view_; }
  bool leaves_out() const { return !ignored_.empty(); }

 private:
  bool is_left_out(const std::string& path) const;
  Result<std::vector<std::string>> expand_pattern(const std::string& pattern) const;
  // A directory on the way down, until it has been visited.
  struct Pending {
    std::optional<LayerView::Node> node;
    std::string path;
  };
  Result<> walk_node(const LayerView::Node& node, const std::string& path, const Visitor& visit,
                     std::vector<Pending>& pending, int depth) const;

  LayerView view_;
  IgnorePatterns ignored_;
  std::shared_ptr<void> hold_;
};

}  // namespace gantry::engine
