// `include`: other compose files as models of their own, put below the including document (compose-file.md section
// 5.3).
#include <sys/stat.h>

#include "base/strings.h"
#include "compose/canonical.h"
#include "compose/merge.h"
#include "compose/model.h"
#include "compose/schema.h"

namespace gantry::compose {
namespace {

struct Include {
  std::vector<Node> paths;
  std::vector<Node> env_files;
  bool env_files_given = false;
  std::string project_directory;  // "" = the first path's
  Place place;
};

bool take_texts(const Node& node, const Path& path, Report& report, std::vector<Node>& out) {
  if (node.is_string()) {
    out.push_back(node);
    return true;
  }
  bool good = node.is_list();
  for (const Node& item : node.items) {
    good = good && item.is_string();
    out.push_back(item);
  }
  if (!good) report.error(node.place, path, "must be a string or a list of strings");
  return good;
}

std::optional<Include> read_entry(const Node& node, const Path& path, Report& report) {
  Include include{.place = node.place};
  if (node.is_string()) {
    include.paths.push_back(node);
    return include;
  }
  if (!node.is_map()) {
    report.error(node.place, path, std::string("must be a string or a mapping, is ") + to_string(node.kind));
    return std::nullopt;
  }
  bool good = true;
  for (const Entry& entry : node.entries) {
    Path child = path / entry.key;
    if (entry.key == "path") {
      good = take_texts(entry.value, child, report, include.paths) && good;
    } else if (entry.key == "env_file") {
      include.env_files_given = true;
      good = take_texts(entry.value, child, report, include.env_files) && good;
    } else if (entry.key == "project_directory" && entry.value.is_string()) {
      include.project_directory = entry.value.text;
    } else if (!entry.key.starts_with("x-")) {
      report.error(entry.place, child, "additional properties '" + entry.key + "' not allowed",
                   "known are path, project_directory, env_file");
      good = false;
    }
  }
  if (good && include.paths.empty()) {
    report.error(node.place, path, "missing property 'path'");
    good = false;
  }
  return good ? std::optional(std::move(include)) : std::nullopt;
}

bool exists(const std::string& path) {
  struct stat status {};
  return ::stat(path.c_str(), &status) == 0 && !S_ISDIR(status.st_mode);
}

// The including model's variables win over the env files.
void read_variables(const Include& include, const ModelContext& outer, const Path& path, Loading& loading,
                    ModelContext& inner) {
  FileVariables collected;
  Lookup lookup = lookup_in(outer.environment);
  auto read = [&](const std::string& file, Place place) {
    size_t errors = loading.report.errors();
    auto one = read_env_file(file, shown_path(loading.working_dir, file), lookup, collected.values, loading.report);
    if (!one.ok() && loading.report.errors() > errors) return;  // told with its place
    if (!one.ok()) return loading.report.error(place, path / "env_file", one.error().message());
    collected.override_with(std::move(*one));
  };
  std::string default_file = inner.directory + "/.env";
  if (!include.env_files_given && exists(default_file)) read(default_file, include.place);
  for (const Node& file : include.env_files) {
    if (file.text != "/dev/null") read(absolute_path(outer.directory, file.text), file.place);
  }
  inner.environment = outer.environment;
  inner.origins = outer.origins;
  collected.add_to(inner.environment, inner.origins);
}

std::optional<Node> load_include(const Include& include, const ModelContext& context, const Path& path,
                                 Loading& loading) {
  Report& report = loading.report;
  std::vector<InputFile> files;
  ModelContext inner{.directory = {}, .environment = {}, .origins = {}, .including = context.including};
  for (const Node& name : include.paths) {
    if (std::string why = why_not_a_path(name.text); !why.empty()) {
      report.error(name.place, path, why);
      return std::nullopt;
    }
    std::string absolute = absolute_path(context.directory, name.text);
    for (const std::string& outer : context.including) {
      if (outer != absolute) continue;
      std::string chain;
      for (const std::string& file : context.including) {
        chain += (chain.empty() ? "" : "\n include ") + shown_path(loading.working_dir, file);
      }
      report.error(name.place, path, "include cycle detected:\n" + chain + "\n include " +
                                         shown_path(loading.working_dir, absolute));
      return std::nullopt;
    }
    auto text = read_text_file(absolute);
    if (!text.ok()) {
      report.error(name.place, path, text.error().message());
      return std::nullopt;
    }
    if (inner.directory.empty()) inner.directory = directory_of(absolute);
    inner.including.push_back(absolute);
    files.push_back({shown_path(loading.working_dir, absolute), absolute, std::move(*text)});
  }
  if (!include.project_directory.empty()) {
    inner.directory = absolute_path(context.directory, include.project_directory);
  }
  read_variables(include, context, path, loading, inner);
  Node model = load_model(files, inner, loading);
  if (model.is_map()) {
    set_defaults(model);
    resolve_paths(model, inner.directory, inner.environment, report);
    resolve_bare_values(model, inner.environment, inner.origins, report);
    std::erase_if(model.entries, [](const Entry& e) { return e.key == "name" || e.key.starts_with("x-"); });
  }
  return model;
}

}  // namespace

void import_includes(Node& document, const std::vector<TaggedPath>& tags, const ModelContext& context,
                     Loading& loading) {
  const Node* found = document.find("include");
  if (found == nullptr) return;
  Node list = *found;
  document.erase("include");
  Path path = Path::root() / "include";
  if (list.is_null()) return;
  if (!list.is_list()) {
    loading.report.error(list.place, path, std::string("`include` must be a list, is ") + to_string(list.kind));
    return;
  }
  for (size_t i = 0; i < list.items.size(); ++i) {
    Path child = path[static_cast<int>(i)];
    auto include = read_entry(list.items[i], child, loading.report);
    loading.incomplete = loading.incomplete || !include;
    if (!include) continue;
    auto model = load_include(*include, context, child, loading);
    loading.incomplete = loading.incomplete || !model;
    if (!model || !model->is_map()) continue;
    apply_tags(*model, tags, loading.report);
    merge(*model, std::move(document), project_shape(), Path::root(), loading.report);
    document = std::move(*model);
  }
}

}  // namespace gantry::compose
