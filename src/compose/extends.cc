// `extends`: a service as the base of another, from the same document or another file (compose-file.md section 5.2).
#include <set>

#include "base/result.h"
#include "base/strings.h"
#include "compose/merge.h"
#include "compose/model.h"
#include "compose/schema.h"

namespace gantry::compose {
namespace {

struct Link {  // one step of the way: for cycles
  std::string file;
  std::string service;
};

struct Base {
  std::string service;
  std::string file;  // "" = the same
  Place service_place;
  Place file_place;
};

// One file as `extends` sees it: its services only.
struct SourceFile {
  std::string absolute;
  std::string directory;
  Node services;
};

void collect_places(const Node& node, std::set<Place>& places) {
  places.insert(node.place);
  for (const Entry& entry : node.entries) collect_places(entry.value, places);
  for (const Node& item : node.items) collect_places(item, places);
}

class Extender {
 public:
  Extender(const ModelContext& context, Loading& loading) : context_(context), loading_(loading) {}

  void run(Node& services, const std::vector<TaggedPath>& tags, const std::string& file) {
    tags_ = &tags;
    top_file_ = file;
    SourceFile self{.absolute = file, .directory = context_.directory, .services = {}};
    for (Entry& entry : services.entries) {
      std::vector<Link> way;
      resolve(entry, services, self, way);
    }
  }

 private:
  static std::string did_you_mean(const std::string& name, const Node& services) {
    std::vector<std::string> known;
    for (const Entry& entry : services.entries) known.push_back(entry.key);
    auto near = nearest(name, known);
    return near ? "did you mean " + gantry::quoted(*near) + "?" : "";
  }

  std::string shown(const std::string& file) const { return shown_path(loading_.working_dir, file); }

  // Makes `entry` whole. `services`: of the file that it is in.
  bool resolve(Entry& entry, Node& services, const SourceFile& file, std::vector<Link>& way) {
    if (!entry.value.is_map()) return true;
    const Node* extends = entry.value.find("extends");
    if (extends == nullptr) return true;
    std::string name = entry.key;
    Path path = services_ / name;
    auto base = read(*extends, path / "extends");
    if (!base || is_cycle(way, {file.absolute, name}, extends->place, path / "extends")) {
      entry.value.mark_broken();
      return false;
    }
    way.push_back({file.absolute, name});
    std::optional<Node> whole = base->file.empty() ? from_same(*base, name, services, file, way)
                                                   : from_file(*base, name, file, way);
    way.pop_back();
    if (!whole) {
      services.find_entry(name)->value.mark_broken();  // half a service would only give more errors
      return false;
    }
    if (loading_.report.history.whole) {
      loading_.report.history.extensions.push_back({name, base->service, base->service_place, {}});
      collect_places(*whole, loading_.report.history.extensions.back().inherited);
    }
    Entry* mine = services.find_entry(name);  // the list may have moved
    mine->value.erase("extends");
    if (file.absolute == top_file_) forget_tagged(*whole, name);
    merge(*whole, std::move(mine->value), service_shape(), path, loading_.report);
    mine->value = std::move(*whole);
    return true;
  }

  std::optional<Base> read(const Node& node, const Path& path) {
    Base base;
    if (node.is_string()) {
      base.service = node.text;
      base.service_place = node.place;
      return base;
    }
    if (!node.is_map()) {
      loading_.report.error(node.place, path, std::string("must be a string or a mapping, is ") + to_string(node.kind));
      return std::nullopt;
    }
    bool good = true;
    for (const Entry& entry : node.entries) {
      bool is_text = entry.value.is_string();
      if (entry.key == "service" && is_text) base.service = entry.value.text, base.service_place = entry.value.place;
      else if (entry.key == "file" && is_text) base.file = entry.value.text, base.file_place = entry.value.place;
      else if (entry.key == "file" && entry.value.is_null()) continue;
      else if (entry.key == "service" || entry.key == "file") {
        loading_.report.error(entry.value.place, path / entry.key, "must be a string");
        good = false;
      } else {
        loading_.report.error(entry.place, path / entry.key, "additional properties '" + entry.key + "' not allowed",
                              "known are service and file");
        good = false;
      }
    }
    if (good && base.service.empty()) {
      loading_.report.error(node.place, path, "service is required");
      good = false;
    }
    return good ? std::optional(base) : std::nullopt;
  }

  bool is_cycle(const std::vector<Link>& way, const Link& next, Place place, const Path& path) {
    bool seen = std::any_of(way.begin(), way.end(), [&](const Link& link) {
      return link.file == next.file && link.service == next.service;
    });
    if (!seen) return false;
    std::string text = "Circular reference:";
    bool first = true;
    for (const Link& link : way) {
      text += std::string("\n  ") + (first ? "" : "extends ") + link.service + " in " + shown(link.file);
      first = false;
    }
    loading_.report.error(place, path, text + "\n  extends " + next.service + " in " + shown(next.file));
    return true;
  }

  std::optional<Node> from_same(const Base& base, const std::string& name, Node& services, const SourceFile& file,
                                std::vector<Link>& way) {
    Entry* found = services.find_entry(base.service);
    if (found == nullptr) {
      Path mine = services_ / name;
      loading_.report.error(base.service_place, mine / "extends",
                            "cannot extend service " + gantry::quoted(name) + " in " + shown(file.absolute) + ": service " +
                                gantry::quoted(base.service) + " not found",
                            did_you_mean(base.service, services));
      return std::nullopt;
    }
    if (!resolve(*found, services, file, way)) return std::nullopt;
    return services.find(base.service)->is_map() ? std::optional(*services.find(base.service)) : std::nullopt;
  }

  std::optional<Node> from_file(const Base& base, const std::string& name, const SourceFile& from,
                                std::vector<Link>& way) {
    if (std::string why = why_not_a_path(base.file); !why.empty()) {
      Path extends = services_ / name;
      loading_.report.error(base.file_place, extends / "extends", why);
      return std::nullopt;
    }
    std::string absolute = absolute_path(from.directory, base.file);
    SourceFile* file = open(absolute, base, name, from);
    if (file == nullptr) return std::nullopt;
    Path mine = services_ / name;
    Path path = mine / "extends";
    Entry* found = file->services.find_entry(base.service);
    if (found == nullptr) {
      loading_.report.error(base.service_place, path,
                            "cannot extend service " + gantry::quoted(name) + " in " + shown(from.absolute) + ": service " +
                                gantry::quoted(base.service) + " not found in " + shown(absolute),
                            did_you_mean(base.service, file->services));
      return std::nullopt;
    }
    if (!resolve(*found, file->services, *file, way)) return std::nullopt;
    Node service = *file->services.find(base.service);
    if (!service.is_map()) return std::nullopt;
    // Relative paths count from the extended file's own directory; to find them the short forms must be gone.
    conform(service, service_shape(), mine, loading_.report);
    resolve_service_paths(service, file->directory, context_.environment, mine, loading_.report);
    return service;
  }

  SourceFile* open(const std::string& absolute, const Base& base, const std::string& name, const SourceFile& from) {
    auto [at, fresh] = files_.try_emplace(absolute);
    if (!fresh) return at->second.get();
    auto text = read_text_file(absolute);
    Path mine = services_ / name;
    Path extends = mine / "extends";
    Path path = extends / "file";
    if (!text.ok()) {
      loading_.report.error(base.file_place, path, text.error().message());
      return nullptr;
    }
    auto file = std::make_unique<SourceFile>();
    file->absolute = absolute;
    file->directory = directory_of(absolute);
    InputFile input{shown(absolute), absolute, std::move(*text)};
    Node merged = Node::null();
    for (Node& document : load_documents(input, context_, loading_)) {
      std::vector<TaggedPath> tags = take_tags(document);
      std::erase_if(document.entries, [](const Entry& entry) { return entry.key != "services"; });
      apply_tags(merged, tags, loading_.report);
      if (merged.is_null()) merged = std::move(document);
      else merge(merged, std::move(document), project_shape(), Path::root(), loading_.report);
    }
    Node* services = merged.find("services");
    if (services == nullptr || !services->is_map()) {
      loading_.report.error(base.file_place, path,
                            "cannot extend service " + gantry::quoted(name) + " in " + shown(from.absolute) + ": " +
                                shown(absolute) + (services == nullptr ? " has no services section"
                                                                       : ": services must be a mapping"));
      return nullptr;
    }
    file->services = std::move(*services);
    at->second = std::move(file);
    return at->second.get();
  }

  // What the document resets or overrides in the service is not inherited.
  void forget_tagged(Node& inherited, const std::string& name) {
    std::vector<TaggedPath> mine;
    for (const TaggedPath& tag : *tags_) {
      if (tag.keys.size() < 3 || tag.keys[0] != "services" || tag.keys[1] != name) continue;
      mine.push_back({{tag.keys.begin() + 2, tag.keys.end()}, tag.reset, tag.place});
    }
    apply_tags(inherited, mine, loading_.report, "services." + name);
  }

  const ModelContext& context_;
  Loading& loading_;
  const std::vector<TaggedPath>* tags_ = nullptr;
  std::string top_file_;
  Path services_ = Path::root() / "services";
  std::map<std::string, std::unique_ptr<SourceFile>> files_;
};

}  // namespace

void resolve_extends(Node& document, const std::vector<TaggedPath>& tags, const std::string& file,
                     const ModelContext& context, Loading& loading) {
  Node* services = document.find("services");
  if (services == nullptr || !services->is_map()) return;
  bool any = std::any_of(services->entries.begin(), services->entries.end(),
                         [](const Entry& entry) { return entry.value.is_map() && entry.value.has("extends"); });
  if (any) Extender(context, loading).run(*services, tags, file);
}

}  // namespace gantry::compose
