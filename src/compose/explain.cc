#include "compose/explain.h"

#include <set>

#include "base/strings.h"

namespace gantry::compose {
namespace {

struct Found {
  const Node* node = nullptr;
  Place key;         // of the entry that has it
  std::string path;  // as we write it
};

std::string shown(const Node& node) {
  if (node.is_string()) return gantry::quoted(node.text);
  if (node.is_list()) return node.items.empty() ? "an empty list" : "a list";
  if (node.is_map()) return node.entries.empty() ? "an empty mapping" : "a mapping";
  return node.is_null() ? "null" : node.text;
}

// Follows a path whose keys may contain dots: of the keys that fit, the longest.
class Walker {
 public:
  explicit Walker(std::string_view path) : rest_(path), whole_(path) {}

  Result<Found> walk(const Node& tree) {
    Found found{.node = &tree, .key = tree.place, .path = {}};
    while (!rest_.empty()) {
      if (rest_[0] == '[') TRY(item(found));
      else TRY(entry(found));
    }
    return found;
  }

 private:
  Result<> item(Found& found) {
    size_t close = rest_.find(']');
    auto index = parse_unsigned(rest_.substr(1, close == std::string_view::npos ? 0 : close - 1));
    if (!index) return invalid("not a path: " + gantry::quoted(whole_) + "; write for example services.web.ports[0]");
    if (*index >= found.node->items.size()) {
      return not_found(found.path + " has " + std::to_string(found.node->items.size()) + " items: there is no [" +
                       std::to_string(*index) + "]");
    }
    found.node = &found.node->items[*index];
    found.key = found.node->place;
    found.path += "[" + std::to_string(*index) + "]";
    rest_.remove_prefix(close + 1);
    return {};
  }

  Result<> entry(Found& found) {
    if (rest_[0] == '.') rest_.remove_prefix(1);
    const Entry* best = nullptr;
    size_t taken = 0;
    for (const Entry& entry : found.node->entries) {
      for (const std::string& spelling : {entry.key, "\"" + entry.key + "\""}) {
        if (!rest_.starts_with(spelling) || spelling.size() <= taken) continue;
        char after = rest_.size() > spelling.size() ? rest_[spelling.size()] : '.';
        if (after == '.' || after == '[') best = &entry, taken = spelling.size();
      }
    }
    if (best == nullptr) return nothing_there(found);
    Path parent = Path::root();
    std::string key = (parent / best->key).str();
    found.path += (found.path.empty() ? "" : ".") + key;
    found.node = &best->value;
    found.key = best->place;
    rest_.remove_prefix(taken);
    return {};
  }

  Error nothing_there(const Found& found) const {
    std::string key(rest_.substr(0, rest_.find_first_of(".[")));
    std::vector<std::string> known;
    for (const Entry& entry : found.node->entries) known.push_back(entry.key);
    auto near = nearest(key, known);
    std::string where = found.path.empty() ? "the project" : found.path;
    std::string text = where + " has no " + gantry::quoted(key);
    if (near) text += "; did you mean " + gantry::quoted(*near) + "?";
    else if (!known.empty() && known.size() <= 12) text += "; it has " + join(known, ", ");
    return not_found(text);
  }

  std::string_view rest_;
  std::string whole_;
};

// In one line: {target: 80, published: "8080"}.
std::string in_a_line(const Node& node) {
  std::string out;
  for (const Entry& entry : node.entries) out += (out.empty() ? "" : ", ") + entry.key + ": " + in_a_line(entry.value);
  if (!node.entries.empty()) return "{" + out + "}";
  for (const Node& item : node.items) out += (out.empty() ? "" : ", ") + in_a_line(item);
  return node.items.empty() ? shown(node) : "[" + out + "]";
}

bool stands_at(const Node& node, const Place& place) {
  if (node.place != place || place.line == 0) return false;
  for (const Entry& entry : node.entries) {
    if (!stands_at(entry.value, place)) return false;
  }
  return std::all_of(node.items.begin(), node.items.end(), [&](const Node& item) { return stands_at(item, place); });
}

class Explainer {
 public:
  explicit Explainer(const Report& report) : report_(report) {}

  void all(const Node& node, const Place& key, const std::string& path) {
    // What a short form was made into is told as one.
    bool whole = node.is_map() && !node.entries.empty() && stands_at(node, node.place);
    if (whole || (node.entries.empty() && node.items.empty())) return one(node, key, path);
    for (const Entry& entry : node.entries) {
      Path parent = Path::root();
      all(entry.value, entry.place, path + "." + (parent / entry.key).str());
    }
    for (size_t i = 0; i < node.items.size(); ++i) {
      all(node.items[i], node.items[i].place, path + "[" + std::to_string(i) + "]");
    }
    // What a whole list or mapping took the place of.
    replaced(node.place, path);
  }

  std::vector<Diagnostic> take() { return std::move(out_); }

 private:
  void one(const Node& node, const Place& key, const std::string& path) {
    Place place = node.place.line > 0 ? node.place : key;
    std::string message = "is " + in_a_line(node);
    if (node.tag == Node::Tag::implied || place.line == 0) {
      out_.push_back({.severity = Severity::error, .path = path, .message = message + ": not written, the format implies it"});
      return;
    }
    say(place, path, message);
    inheritance(path, place);
    replaced(place, path);
  }

  void say(const Place& place, const std::string& path, std::string message) {
    std::string note;
    if (auto found = report_.history.interpolations.find(place); found != report_.history.interpolations.end()) {
      note = "written as " + gantry::quoted(found->second.written) + "\n" + found->second.variables;
    }
    out_.push_back({.severity = Severity::error, .mark = report_.mark(place), .path = path, .message = std::move(message),
                    .note = std::move(note)});
  }

  // "services.web.…" → the attribute's path within the service, and the service; "" = it is no service's.
  static std::pair<std::string, std::string> take_apart(const std::string& path) {
    constexpr std::string_view kServices = "services.";
    if (!path.starts_with(kServices)) return {};
    size_t dot = path.find('.', kServices.size());
    if (dot == std::string::npos) return {};
    return {path.substr(kServices.size(), dot - kServices.size()), path.substr(dot + 1)};
  }

  // A value of a service that extends others is inherited when a base service has it at the same place.
  void inheritance(const std::string& path, const Place& place) {
    auto [service, attribute] = take_apart(path);
    for (const History::Extension& step : report_.history.extensions) {
      if (service.empty() || step.service != service || !step.inherited.contains(place)) continue;
      out_.push_back({.severity = Severity::error,
                      .mark = report_.mark(step.place),
                      .path = "services." + service + ".extends",
                      .message = "inherited from service " + gantry::quoted(step.base)});
    }
  }

  // The services whose attributes may have become those of `service`.
  std::set<std::string> ancestors(const std::string& service) const {
    std::set<std::string> out{service};
    for (size_t before = 0; before != out.size();) {
      before = out.size();
      for (const History::Extension& step : report_.history.extensions) {
        if (out.contains(step.service)) out.insert(step.base);
      }
    }
    return out;
  }

  // What stood at `path` before; then what stood there before that.
  void replaced(const Place& by, const std::string& path) {
    auto [service, attribute] = take_apart(path);
    std::set<std::string> services = service.empty() ? std::set<std::string>() : ancestors(service);
    std::set<Place> seen{by};
    Place last = by;
    for (bool found = true; found;) {
      found = false;
      for (const History::Replacement& step : report_.history.replacements) {
        if (step.by != last || seen.contains(step.what) || !same_attribute(step.path, path, attribute, services)) continue;
        say(step.what, path, "was " + step.text + ", until it was " + step.how);
        seen.insert(step.what);
        last = step.what;
        found = true;
        break;
      }
    }
  }

  static bool same_attribute(const std::string& told, const std::string& path, const std::string& attribute,
                             const std::set<std::string>& services) {
    if (told == path) return true;
    auto [service, inner] = take_apart(told);
    if (service.empty() || !services.contains(service)) return false;
    // Positions in lists shift while files merge.
    return inner == attribute || (inner.ends_with(']') && attribute.starts_with(inner.substr(0, inner.rfind('['))));
  }

  const Report& report_;
  std::vector<Diagnostic> out_;
};

}  // namespace

Result<std::vector<Diagnostic>> explain(const Node& tree, const std::string& path, const Report& report) {
  Found found = TRY(Walker(path).walk(tree));
  Explainer explainer(report);
  explainer.all(*found.node, found.key, found.path);
  return explainer.take();
}

}  // namespace gantry::compose
