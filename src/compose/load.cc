#include "compose/load.h"

#include "base/strings.h"
#include "compose/bind.h"
#include "compose/defaults.h"
#include "compose/env_files.h"
#include "compose/explain.h"
#include "compose/files.h"
#include "compose/model.h"
#include "compose/output.h"
#include "compose/schema.h"
#include "compose/selection.h"
#include "compose/traps.h"
#include "compose/validate.h"
#include "compose/values.h"
#include "compose/yaml_tree.h"

namespace gantry::compose {
namespace {

// `name:` of the last document that has one, interpolated; "" = none.
std::string name_in_documents(const std::vector<Node>& documents, const Environment& environment, bool interpolated) {
  std::string name;
  for (const Node& document : documents) {
    const Node* found = document.is_map() ? document.find("name") : nullptr;
    if (found == nullptr || !found->is_string()) continue;
    name = found->text;
    if (!interpolated) continue;
    auto value = substitute(name, lookup_in(environment));
    if (value.ok()) name = value->text;  // else the load proper reports it
  }
  return name;
}

// Reads all files as YAML: what is wrong with the text of one does not hide what is wrong with another.
void parse_ahead(const Inputs& inputs, Loading& loading) {
  for (const InputFile& file : inputs.files) {
    if (!loading.parsed.contains(file.absolute)) loading.parsed[file.absolute] = parse_file(file, loading);
  }
}

// By the rules of section 5.1. The files have been parsed ahead.
Result<std::string> choose_project_name(const Inputs& inputs, const Loading& loading) {
  if (!inputs.given_name.empty()) return inputs.given_name;
  std::string name;
  for (const InputFile& file : inputs.files) {
    std::string own = name_in_documents(loading.parsed.at(file.absolute), inputs.environment, loading.interpolate);
    if (!own.empty()) name = own;
  }
  if (name.empty()) name = inputs.project_dir.substr(inputs.project_dir.rfind('/') + 1);
  name = normalized_project_name(name);
  if (name.empty()) return invalid("project name must not be empty; give one with -p, or `name:` in the file");
  return name;
}

class Load {
 public:
  explicit Load(const LoadOptions& options)
      : options_(options),
        loading_{.report = report_,
                 .working_dir = {},
                 .interpolate = options.interpolate && !options.list_variables,
                 .resolve_paths = options.resolve_paths,
                 .known_files = {},
                 .parsed = {}} {
    report_.history.whole = !options.explain.empty();
    report_.raw = !loading_.interpolate;
  }

  LoadResult run() {
    auto inputs = find_inputs(options_, report_);
    if (!inputs.ok()) return report_.failed() ? finish() : fail(inputs.error());
    inputs_ = std::move(*inputs);
    loading_.working_dir = inputs_.working_dir;
    parse_ahead(inputs_, loading_);
    if (loading_.incomplete) return finish();
    auto name = choose_project_name(inputs_, loading_);
    if (!name.ok()) return fail(name.error());
    name_ = std::move(*name);
    inputs_.environment["COMPOSE_PROJECT_NAME"] = name_;
    result_.environment.insert(inputs_.environment.begin(), inputs_.environment.end());

    if (!read_model()) return finish();
    if (options_.list_variables) return list_variables();
    complete();
    if (!select()) return finish();
    read_env_files();
    if (report_.failed()) return finish();
    if (!explain_value()) return finish();
    print();
    if (const Node* models = tree_.find("models")) {
      for (const Entry& entry : models->entries) result_.models.push_back(entry.key);
    }
    if (options_.bind) result_.project = bind();
    else result_.project.emplace();
    return finish();
  }

 private:
  LoadResult fail(const Error& error) {
    report_.error_at({}, "", error.message());
    return finish();
  }

  LoadResult finish() {
    bool failed = report_.failed();
    result_.texts = report_.texts();
    result_.diagnostics = report_.take();
    if (failed) result_.project.reset();
    result_.model = std::make_shared<Node>(std::move(tree_));
    return std::move(result_);
  }

  Path services_path() const { return Path::root() / "services"; }

  bool read_model() {
    ModelContext context{.directory = inputs_.project_dir, .environment = inputs_.environment,
                         .origins = inputs_.origins, .including = {}};
    for (const InputFile& file : inputs_.files) context.including.push_back(file.absolute);
    tree_ = load_model(inputs_.files, context, loading_);
    if (!report_.failed() && !tree_.is_map()) report_.error_at({}, "", "empty compose file");
    return tree_.is_map();
  }

  // Defaults, paths, names: the model as it is meant. Goes on after errors: what is broken is marked as such.
  void complete() {
    tree_.set("name", Node::string(name_));
    if (!tree_.has("services")) tree_.set("services", Node::mapping());
    set_defaults(tree_);
    check_semantics(tree_, report_);
    if (options_.resolve_paths) resolve_paths(tree_, inputs_.project_dir, inputs_.environment, report_);
    resolve_bare_values(tree_, inputs_.environment, inputs_.origins, report_);
    if (options_.normalize) normalize(tree_, name_);
  }

  bool select() {
    Node& services = *tree_.find("services");
    std::set<std::string> active;
    for (const Entry& entry : services.entries) {
      if (is_active(entry.value, inputs_.profiles)) active.insert(entry.key);
    }
    // Of a model that misses whole files, parts would be missed that are there.
    if (options_.check_consistency && !loading_.incomplete) check_consistency(tree_, active, report_);
    if (report_.failed()) return false;
    if (options_.check_consistency) warn_of_traps(tree_, active, report_);
    std::set<std::string> chosen =
        select_services(services, options_.services, inputs_.profiles, options_.with_dependencies, report_);
    if (report_.failed()) return false;
    for (const Entry& entry : services.entries) {
      if (!chosen.contains(entry.key)) disabled_.push_back(entry.key);
    }
    std::erase_if(services.entries, [&](const Entry& entry) { return !chosen.contains(entry.key); });
    if (!options_.services.empty()) drop_absent_dependencies(tree_);
    if (!options_.all_resources) drop_unused_resources(tree_);
    return true;
  }

  void read_env_files() {
    if (!options_.resolve_environment) return;
    Path path = services_path();
    EnvFileTexts texts{.working_dir = inputs_.working_dir};
    for (Entry& entry : tree_.find("services")->entries) {
      read_service_files(entry.value, inputs_.environment, texts, path / entry.key, report_);
    }
  }

  void print() {
    OutputStyle style{.double_dollars = options_.interpolate, .canonical = options_.interpolate};
    if (options_.print_yaml) result_.canonical_yaml = to_yaml(tree_, style);
    if (options_.print_json) result_.canonical_json = to_json(tree_, style);
  }

  bool explain_value() {
    if (options_.explain.empty()) return true;
    auto answer = explain(tree_, options_.explain, report_);
    if (answer.ok()) result_.explanation = std::move(*answer);
    else report_.error_at({}, "", answer.error().message());
    return answer.ok();
  }

  // Every name once; what any place says of it.
  LoadResult list_variables() {
    std::map<std::string, VariableUse> all;
    collect_variables(tree_, all);
    for (auto& [name, use] : all) result_.variables.push_back(std::move(use));
    if (!report_.failed()) result_.project.emplace();
    return finish();
  }

  static void collect_variables(const Node& node, std::map<std::string, VariableUse>& all) {
    for (const Entry& entry : node.entries) collect_variables(entry.value, all);
    for (const Node& item : node.items) collect_variables(item, all);
    if (!node.is_string()) return;
    for (VariableUse& use : variables_in(node.text)) {
      VariableUse& known = all[use.name];
      known.name = use.name;
      known.required = known.required || use.required;
      if (known.default_value.empty()) known.default_value = std::move(use.default_value);
      if (known.alternative.empty()) known.alternative = std::move(use.alternative);
    }
  }

  Project bind() {
    Project project = bind_project(tree_, inputs_.environment, report_);
    project.name = name_;
    project.working_dir = inputs_.project_dir;
    for (const InputFile& file : inputs_.files) project.config_files.push_back(file.absolute);
    project.environment_files = inputs_.env_files;
    project.disabled_services = disabled_;
    return project;
  }

  const LoadOptions& options_;
  Report report_;
  Loading loading_;
  Inputs inputs_;
  std::string name_;
  Node tree_;
  std::vector<std::string> disabled_;
  LoadResult result_;
};

}  // namespace

LoadResult load(const LoadOptions& options) { return Load(options).run(); }

Result<std::string> project_name(const LoadOptions& options) {
  if (!options.project_name.empty()) {
    if (!is_project_name(options.project_name)) return bad_project_name(options.project_name);
    return options.project_name;
  }
  Report report = Report::silent();
  Inputs inputs = TRY(find_inputs(options, report));
  Report unread = Report::silent();
  Loading loading{.report = unread, .working_dir = inputs.working_dir, .interpolate = options.interpolate,
                  .known_files = {}, .parsed = {}};
  if (inputs.given_name.empty()) parse_ahead(inputs, loading);
  return choose_project_name(inputs, loading);
}

}  // namespace gantry::compose
