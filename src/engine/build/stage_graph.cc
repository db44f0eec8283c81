#include "engine/build/stage_graph.h"

#include <algorithm>

#include "base/strings.h"

namespace gantry::engine {
namespace {

// BuildKit's ^[a-z][a-z0-9-_.]*$
bool is_stage_name(const std::string& name) {
  if (name.empty() || name.front() < 'a' || name.front() > 'z') return false;
  return std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.';
  });
}

class GraphMaker {
 public:
  GraphMaker(const Dockerfile& file, const StageOptions& options) : file_(file), options_(options) {}

  Result<StageGraph> make() {
    for (const Instruction& instruction : file_.instructions) {
      if (instruction.keyword == "FROM") {
        TRY(begin_stage(instruction));
      } else if (!graph_.stages.empty()) {
        graph_.stages.back().instructions.push_back(&instruction);
      } else if (instruction.keyword == "ARG") {
        TRY(global_argument(instruction));
      } else {
        return dockerfile_error(instruction.line, "no build stage in current context");
      }
    }
    if (graph_.stages.empty()) return invalid("no build stage in current context");
    need(TRY(target()));
    return std::move(graph_);
  }

 private:
  VariableLookup lookup() const {
    return [this](const std::string& name) -> std::optional<std::string> {
      if (const auto found = graph_.global_arguments.find(name); found != graph_.global_arguments.end()) {
        return found->second;
      }
      const auto platform = options_.platform_args.find(name);
      if (platform != options_.platform_args.end()) return platform->second;
      return std::nullopt;
    };
  }

  Result<std::string> expanded(std::string_view text, const Instruction& instruction) const {
    Result<std::string> result = expand(text, file_.escape, lookup());
    if (!result.ok()) return dockerfile_error(instruction.line, result.error().message());
    return result;
  }

  Result<> global_argument(const Instruction& instruction) {
    for (const std::string& word : split_words(instruction.arguments, file_.escape)) {
      const size_t equals = word.find('=');
      const std::string name = word.substr(0, equals);
      graph_.consumed.insert(name);
      const auto given = options_.build_args.find(name);
      if (given != options_.build_args.end() && given->second.has_value()) {
        graph_.global_arguments[name] = *given->second;
      } else if (equals != std::string::npos) {
        graph_.global_arguments[name] = TRY(expanded(std::string_view(word).substr(equals + 1), instruction));
      }
    }
    return {};
  }

  Result<> begin_stage(const Instruction& from) {
    Stage stage{.name = {}, .base = {}, .platform = {}, .base_stage = {}, .from = &from, .instructions = {}};
    for (const InstructionFlag& flag : from.flags) {
      if (flag.name != "platform") {
        return dockerfile_error(from.line, unknown_flag(flag.name, known_flags("FROM")).message());
      }
      stage.platform = TRY(expanded(flag.value, from));
    }
    const std::vector<std::string> words = split_words(from.arguments, file_.escape);
    if (words.size() != 1 && !(words.size() == 3 && equals_ignoring_case(words[1], "as"))) {
      return dockerfile_error(from.line, "FROM requires either one or three arguments");
    }
    stage.base = TRY(expanded(words[0], from));
    if (stage.base.empty()) {
      return dockerfile_error(from.line, "base name (" + words[0] + ") should not be blank");
    }
    if (words.size() == 3) {
      stage.name = to_lower(words[2]);
      if (!is_stage_name(stage.name)) {
        return dockerfile_error(from.line, "invalid name for build stage: " + gantry::quoted(words[2]) +
                                               ", name can't start with a number or contain symbols");
      }
    }
    if (!options_.contexts.contains(to_lower(stage.base))) {
      stage.base_stage = graph_.find(stage.base, graph_.stages.size());
    }
    if (stage.base_stage) stage.base = to_lower(stage.base);
    graph_.stages.push_back(std::move(stage));
    return {};
  }

  Result<size_t> target() const {
    if (options_.target.empty()) return graph_.stages.size() - 1;
    if (const auto named = graph_.find(options_.target, graph_.stages.size())) return *named;
    const std::optional<uint64_t> index = parse_unsigned(options_.target);
    if (index && *index < graph_.stages.size()) return static_cast<size_t>(*index);
    return invalid("target stage " + gantry::quoted(options_.target) + " could not be found");
  }

  // What a stage reads from, then the stage. Only earlier stages can be meant: going backwards meets each stage after
  // all that want it, and there are no cycles.
  void need(size_t target) {
    std::vector<bool> wanted(graph_.stages.size());
    wanted[target] = true;
    for (size_t index = target + 1; index-- > 0;) {
      if (!wanted[index]) continue;
      const Stage& stage = graph_.stages[index];
      if (stage.base_stage) wanted[*stage.base_stage] = true;
      for (const Instruction* instruction : stage.instructions) {
        for (const std::string& source : sources_of(*instruction)) {
          if (const auto found = find_source(source, index)) wanted[*found] = true;
        }
      }
    }
    for (size_t index = 0; index <= target; ++index) {
      if (wanted[index]) graph_.needed.push_back(index);
    }
  }

  std::optional<size_t> find_source(const std::string& source, size_t before) const {
    if (options_.contexts.contains(to_lower(source))) return std::nullopt;
    if (const auto named = graph_.find(source, before)) return named;
    const std::optional<uint64_t> index = parse_unsigned(source);
    if (index && *index < before) return static_cast<size_t>(*index);
    return std::nullopt;
  }

  const Dockerfile& file_;
  const StageOptions& options_;
  StageGraph graph_;
};

}  // namespace

std::optional<size_t> StageGraph::find(const std::string& name, size_t before) const {
  const std::string lower = to_lower(name);
  for (size_t index = std::min(before, stages.size()); index-- > 0;) {
    if (!stages[index].name.empty() && stages[index].name == lower) return index;
  }
  return std::nullopt;
}

Result<StageGraph> make_stage_graph(const Dockerfile& file, const StageOptions& options) {
  return GraphMaker(file, options).make();
}

std::vector<std::string> sources_of(const Instruction& instruction) {
  std::vector<std::string> sources;
  for (const InstructionFlag& flag : instruction.flags) {
    if (flag.name == "from" && (instruction.keyword == "COPY" || instruction.keyword == "ADD")) {
      sources.push_back(flag.value);
    }
    if (flag.name != "mount" || instruction.keyword != "RUN") continue;
    for (const std::string& part : split(flag.value, ',')) {
      if (part.starts_with("from=")) sources.push_back(part.substr(5));
    }
  }
  return sources;
}

}  // namespace gantry::engine
