// Relative paths → absolute ones (compose-file.md section 5.6). Works on the canonical form.
#include <cstdlib>

#include "compose/files.h"
#include "compose/model.h"
#include "compose/values.h"

namespace gantry::compose {
namespace {

bool is_remote(std::string_view context) {
  if (context.find("://") != std::string_view::npos) return true;
  for (const char* prefix : {"service:", "github.com/", "git@"}) {
    if (context.starts_with(prefix)) return true;
  }
  return false;
}

bool is_windows_absolute(std::string_view path) {
  bool drive = path.size() > 2 && path[1] == ':' && (path[2] == '\\' || path[2] == '/');
  return drive || path.starts_with("\\\\");
}

class Resolver {
 public:
  Resolver(const std::string& directory, const Environment& environment, Report& report)
      : directory_(directory), report_(report) {
    auto home = environment.find("HOME");
    if (home != environment.end()) home_ = home->second;
  }

  void file(Node* node, const Path& path) {
    if (node == nullptr || !node->is_string() || is_windows_absolute(node->text)) return;
    std::string& text = node->text;
    if (text == "~" || text.starts_with("~/")) {
      text = clean_path(home_ + text.substr(1));
    } else if (text.starts_with('~')) {
      report_.warning(node->place, path, "the home directory of another user is not looked up: " + text);
    } else {
      text = absolute_path(directory_, text);
    }
  }

  void context(Node* node, const Path& path) {
    if (node != nullptr && node->is_string() && !is_remote(node->text)) file(node, path);
  }

  void service(Node& service, const Path& path) {
    if (Node* build = service.find("build"); build != nullptr && build->is_map()) build_paths(*build, path / "build");
    each(service.find("env_file"), [&](Node& item) { file(item.find("path"), path / "env_file"); });
    each(service.find("label_file"), [&](Node& item) { file(&item, path / "label_file"); });
    each(service.find("volumes"), [&](Node& item) {
      if (item.text_of("type") == "bind") file(item.find("source"), path / "volumes");
    });
    if (Node* develop = service.find("develop")) {
      each(develop->find("watch"), [&](Node& item) {
        file(item.find("path"), path / "develop");
        resolve_links(item.find("path"));
      });
    }
  }

  void source(Node& resource, const Path& path) { file(resource.find("file"), path / "file"); }

  void volume(Node& volume, const Path& path) {
    Node* options = volume.find("driver_opts");
    if (options == nullptr || volume.text_of("driver") != "local" || options->text_of("o") != "bind") return;
    file(options->find("device"), path / "driver_opts");
  }

 private:
  // Changes are reported for the real place.
  static void resolve_links(Node* node) {
    if (node == nullptr || !node->is_string()) return;
    std::unique_ptr<char, decltype(&std::free)> real(::realpath(node->text.c_str(), nullptr), &std::free);
    if (real) node->text = real.get();
  }

  template <class F>
  static void each(Node* list, F f) {
    if (list == nullptr) return;
    for (Node& item : list->items) f(item);
  }

  void build_paths(Node& build, const Path& path) {
    context(build.find("context"), path / "context");
    if (Node* contexts = build.find("additional_contexts")) {
      for (Entry& entry : contexts->entries) context(&entry.value, path / "additional_contexts");
    }
    each(build.find("ssh"), [&](Node& item) {
      size_t equals = item.text.find('=');
      if (equals == std::string::npos) return;
      Node key_file = Node::string(item.text.substr(equals + 1), item.place);
      file(&key_file, path / "ssh");
      item.text.replace(equals + 1, std::string::npos, key_file.text);
    });
  }

  const std::string& directory_;
  Report& report_;
  std::string home_;
};

template <class F>
void each_in(Node& project, const char* section, F f) {
  Node* found = project.find(section);
  if (found == nullptr) return;
  Path path = Path::root() / section;
  for (Entry& entry : found->entries) {
    if (entry.value.is_map()) f(entry.value, path / entry.key);
  }
}

}  // namespace

void resolve_service_paths(Node& service, const std::string& directory, const Environment& environment,
                           const Path& path, Report& report) {
  Resolver(directory, environment, report).service(service, path);
}

void resolve_paths(Node& project, const std::string& directory, const Environment& environment, Report& report) {
  Resolver resolver(directory, environment, report);
  each_in(project, "services", [&](Node& node, const Path& path) { resolver.service(node, path); });
  each_in(project, "secrets", [&](Node& node, const Path& path) { resolver.source(node, path); });
  each_in(project, "configs", [&](Node& node, const Path& path) { resolver.source(node, path); });
  each_in(project, "volumes", [&](Node& node, const Path& path) { resolver.volume(node, path); });
}

namespace {

struct Filler {
  const Environment& environment;
  const Origins& origins;
  Report& report;

  void fill(Node* map) {
    if (map == nullptr || !map->is_map()) return;
    for (Entry& entry : map->entries) {
      if (!entry.value.is_null() || entry.value.is_broken()) continue;
      auto found = environment.find(entry.key);
      if (found == environment.end()) continue;
      Place place = entry.value.place.line > 0 ? entry.value.place : entry.place;
      entry.value = Node::string(found->second, place);
      report.history.interpolations[place] = {entry.key, describe_variable(entry.key, environment, origins)};
    }
  }
};

}  // namespace

void resolve_bare_values(Node& project, const Environment& environment, const Origins& origins, Report& report) {
  Filler filler{environment, origins, report};
  each_in(project, "services", [&](Node& service, const Path&) {
    filler.fill(service.find("environment"));
    if (Node* build = service.find("build")) filler.fill(build->find("args"));
    for (const char* hooks : {"pre_start", "post_start", "pre_stop"}) {
      Node* list = service.find(hooks);
      if (list == nullptr) continue;
      for (Node& hook : list->items) filler.fill(hook.find("environment"));
    }
  });
}

}  // namespace gantry::compose
