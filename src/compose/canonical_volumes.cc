// Short syntax of a service's volumes: [SOURCE:]TARGET[:OPTIONS] (compose-file.md section 4.9).
#include "base/strings.h"
#include "compose/canonical.h"
#include "compose/values.h"

namespace gantry::compose::canonical {
namespace {

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

// Splits at colons, but not after a single letter (a Windows drive: v:/data is one piece) and not inside `${…}`.
Result<std::vector<std::string>> pieces(std::string_view spec) {
  std::vector<std::string> out;
  out.reserve(3);
  size_t begin = 0;
  int braces = 0;
  for (size_t i = 0; i <= spec.size(); ++i) {
    const char c = i < spec.size() ? spec[i] : ':';
    if (c == '$' && spec.substr(i).starts_with("${")) ++braces;
    if (c == '}' && braces > 0) --braces;
    if (c != ':') continue;
    const bool at_end = i == spec.size();
    const bool drive = i - begin == 1 && is_letter(spec[begin]);
    if (!at_end && (braces > 0 || drive)) continue;
    if (i == begin) return invalid("invalid spec: " + std::string(spec) + ": empty section between colons");
    out.emplace_back(spec.substr(begin, i - begin));
    begin = i + 1;
  }
  if (out.size() > 3) return invalid("invalid spec: " + std::string(spec) + ": too many colons");
  return out;
}

bool is_path(std::string_view source) {
  return source.starts_with('.') || source.starts_with('/') || source.starts_with('~') || source.starts_with("\\\\") ||
         (source.size() > 1 && is_letter(source[0]) && source[1] == ':');
}

Node& part(Node& mount, const char* name) {
  Node* found = mount.find(name);
  return found != nullptr ? *found : mount.set(name, Node::mapping(mount.place));
}

void apply_option(Node& mount, const std::string& option, const Path& path, Report& report) {
  Place at = mount.place;
  if (option == "ro" || option == "rw") {
    mount.erase("read_only");
    if (option == "ro") mount.set("read_only", Node::boolean(true, at));
  } else if (option == "nocopy") {
    part(mount, "volume").set("nocopy", Node::boolean(true, at));
  } else if (option == "z" || option == "Z") {
    part(mount, "bind").set("selinux", Node::string(option, at));
  } else if (option == "private" || option == "rprivate" || option == "shared" || option == "rshared" ||
             option == "slave" || option == "rslave") {
    part(mount, "bind").set("propagation", Node::string(option, at));
  } else if (option != "cached" && option != "delegated" && option != "consistent") {
    report.warning(at, path, "unknown volume option " + gantry::quoted(option) + " is ignored");
  }
}

Result<Node> long_volume(const Node& item, const Path& path, Report& report) {
  const std::string& spec = item.text;
  if (spec.empty()) return invalid("invalid empty volume spec");
  std::vector<std::string> parts = spec.size() <= 2 ? std::vector{spec} : TRY(pieces(spec));
  Node mount = Node::mapping(item.place);
  mount.entries.reserve(4);
  std::string target = parts.size() == 1 ? parts[0] : parts[1];
  bool bind = parts.size() > 1 && is_path(parts[0]);
  mount.set("type", Node::string(bind ? "bind" : "volume", item.place));
  if (parts.size() > 1) mount.set("source", Node::string(parts[0], item.place));
  mount.set("target", Node::string(clean_path(target), item.place));
  if (parts.size() > 2) {
    for (const std::string& option : split(parts[2], ',')) apply_option(mount, option, path, report);
  }
  part(mount, bind ? "bind" : "volume");
  return mount;
}

void complete_volume(Node& item, const Path& path, Report& report) {
  Node* target = item.find("target");
  if (target == nullptr || target->text.empty()) {
    return report.error(item.place, path, "service volume is missing a mount target: missing property 'target'");
  }
  if (target->is_string()) target->text = clean_path(target->text);
  if (item.text_of("type") == "bind" && !item.has("source")) {
    report.error(item.place, path, "invalid mount config for type \"bind\": field Source must not be empty");
  }
}

}  // namespace

void volumes(Node& node, const Path& path, Report& report) {
  for (size_t i = 0; i < node.items.size(); ++i) {
    Node& item = node.items[i];
    Path child = path[static_cast<int>(i)];
    if (item.is_map()) {
      complete_volume(item, child, report);
    } else if (item.is_string() && !report.is_raw(item.text)) {
      auto mount = long_volume(item, child, report);
      if (mount.ok()) item = std::move(*mount);
      else report.error(item.place, child, mount.error().message()), item.mark_broken();
    }
  }
}

}  // namespace gantry::compose::canonical
