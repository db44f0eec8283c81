#include "compose/canonical.h"

#include "base/strings.h"
#include "compose/scalar.h"
#include "compose/values.h"

namespace gantry::compose::canonical {
namespace {

// "key=value" → its two halves; no `=`: the value is null.
std::pair<std::string, Node> split_pair(const Node& item) {
  size_t equals = item.text.find('=');
  if (equals == std::string::npos) return {item.text, Node::null(item.place)};
  return {item.text.substr(0, equals), Node::string(item.text.substr(equals + 1), item.place)};
}

void to_mapping(Node& node, const Path& path, Report& report, bool null_is_empty) {
  if (node.is_list()) {
    Node map = Node::mapping(node.place);
    map.entries.reserve(node.items.size());
    for (size_t i = 0; i < node.items.size(); ++i) {
      Node& item = node.items[i];
      if (!item.is_string()) {
        report.error(item.place, path[static_cast<int>(i)],
                     std::string("must be a string like NAME=value, is ") + to_string(item.kind));
        continue;
      }
      auto [key, value] = split_pair(item);
      if (!key.empty() && (key.back() == ' ' || key.back() == '\t')) {
        report.error(item.place, path[static_cast<int>(i)],
                     "environment variable " + key + " is declared with a trailing space");
        continue;
      }
      map.set(key, std::move(value));
    }
    node = std::move(map);
  }
  if (!node.is_map()) return;
  for (Entry& entry : node.entries) {
    if (entry.value.is_null()) {
      entry.value.place = entry.place;
      if (null_is_empty) entry.value = Node::string("", entry.place);
    }
  }
}

}  // namespace

void string_list(Node& node, const Path&, Report&) {
  if (!node.is_string()) return;
  Node list = Node::sequence(node.place);
  list.items.push_back(std::move(node));
  node = std::move(list);
}

void text_list(Node& node, const Path&, Report&) {
  for (Node& item : node.items) {
    if (item.kind == Node::Kind::integer) item.kind = Node::Kind::string;
  }
}

void labels(Node& node, const Path& path, Report& report) { to_mapping(node, path, report, true); }
void environment(Node& node, const Path& path, Report& report) { to_mapping(node, path, report, false); }

void key_values(Node& node, const Path& path, Report& report) {
  for (size_t i = 0; i < node.items.size(); ++i) {
    if (node.items[i].is_string() && node.items[i].text.find('=') == std::string::npos) {
      report.error(node.items[i].place, path[static_cast<int>(i)],
                   "invalid value " + node.items[i].text + ", expected key=value");
    }
  }
  to_mapping(node, path, report, true);
}

void ssh(Node& node, const Path& path, Report& report) {
  Node list = Node::sequence(node.place);
  for (Entry& entry : node.entries) {
    std::string text = entry.key;
    if (!entry.value.text.empty()) text += "=" + entry.value.text;
    list.items.push_back(Node::string(std::move(text), entry.place));
  }
  if (node.is_map()) node = std::move(list);
  for (size_t i = 0; i < node.items.size(); ++i) {
    const Node& item = node.items[i];
    if (item.is_string() && item.text != "default" && item.text.find('=') == std::string::npos) {
      report.error(item.place, path[static_cast<int>(i)], "invalid ssh key " + gantry::quoted(item.text),
                   "write default, or id=path");
    }
  }
}

void build(Node& node, const Path&, Report&) {
  if (!node.is_string()) return;
  Node map = Node::mapping(node.place);
  map.set("context", std::move(node));
  node = std::move(map);
}

void command(Node& node, const Path& path, Report& report) {
  if (!node.is_string()) return;
  auto words = split_command(node.text);
  if (!words.ok()) return report.error(node.place, path, words.error().message());
  Node list = Node::sequence(node.place);
  for (std::string& word : *words) list.items.push_back(Node::string(std::move(word), node.place));
  node = std::move(list);
}

void health_test(Node& node, const Path&, Report&) {
  if (!node.is_string()) return;
  Node list = Node::sequence(node.place);
  list.items.push_back(Node::string("CMD-SHELL", node.place));
  list.items.push_back(std::move(node));
  node = std::move(list);
}

void depends_on(Node& node, const Path& path, Report& report) {
  if (node.is_list()) {
    Node map = Node::mapping(node.place);
    map.entries.reserve(node.items.size());
    for (size_t i = 0; i < node.items.size(); ++i) {
      Node& item = node.items[i];
      if (!item.is_string()) {
        report.error(item.place, path[static_cast<int>(i)], "must be the name of a service");
        continue;
      }
      if (map.has(item.text)) {
        report.error(item.place, path[static_cast<int>(i)], "service " + gantry::quoted(item.text) + " is listed twice: items are equal");
        continue;
      }
      Node dependency = Node::mapping(item.place);
      dependency.entries.reserve(2);
      dependency.set("condition", Node::string("service_started", item.place));
      dependency.set("required", Node::boolean(true, item.place));
      map.entries.push_back({item.text, item.place, std::move(dependency)});
    }
    node = std::move(map);
  }
}

void null_map(Node& node, const Path& path, Report& report) {
  if (!node.is_list()) return;
  Node map = Node::mapping(node.place);
  for (size_t i = 0; i < node.items.size(); ++i) {
    Node& item = node.items[i];
    if (!item.is_string()) {
      report.error(item.place, path[static_cast<int>(i)], std::string("must be a name, is ") + to_string(item.kind));
      continue;
    }
    if (map.has(item.text)) {
      report.error(item.place, path[static_cast<int>(i)], gantry::quoted(item.text) + " is listed twice: items are equal");
      continue;
    }
    map.entries.push_back({item.text, item.place, Node::null(item.place)});
  }
  node = std::move(map);
}

void devices(Node& node, const Path& path, Report& report) {
  for (size_t i = 0; i < node.items.size(); ++i) {
    Node& item = node.items[i];
    if (item.is_string()) {
      if (report.is_raw(item.text)) continue;
      auto parts = split(item.text, ':');
      if (parts.size() > 3 || parts[0].empty()) {
        report.error(item.place, path[static_cast<int>(i)],
                     "confusing device mapping, please use long syntax: " + item.text,
                     "write SOURCE[:TARGET[:PERMISSIONS]]");
        item.mark_broken();
        continue;
      }
      Node map = Node::mapping(item.place);
      map.set("source", Node::string(parts[0], item.place));
      map.set("target", Node::string(parts.size() > 1 ? parts[1] : parts[0], item.place));
      map.set("permissions", Node::string(parts.size() > 2 ? parts[2] : "rwm", item.place));
      item = std::move(map);
    } else if (item.is_map() && !item.has("target") && item.has("source")) {
      item.set("target", Node::string(item.text_of("source"), item.find("source")->place));
    }
  }
}

void env_files(Node& node, const Path& path, Report& report) {
  string_list(node, path, report);
  for (Node& item : node.items) {
    if (!item.is_string()) continue;
    Node map = Node::mapping(item.place);
    map.set("path", std::move(item));
    item = std::move(map);
  }
}

void gpus(Node& node, const Path& path, Report& report) {
  if (!node.is_string()) return;
  if (node.text != "all") return report.error(node.place, path, "value must be 'all' or a list of device requests");
  Node request = Node::mapping(node.place);
  request.set("count", Node::integer(-1, node.place));
  Node list = Node::sequence(node.place);
  list.items.push_back(std::move(request));
  node = std::move(list);
}

void device_request(Node& node, const Path& path, Report& report) {
  Node* count = node.find("count");
  if (count != nullptr && node.has("device_ids")) {
    return report.error(count->place, path, "\"count\" and \"device_ids\" attributes are exclusive");
  }
  if (count == nullptr && !node.has("device_ids")) {
    node.set("count", Node::integer(-1, node.place));
    return;
  }
  if (count == nullptr || !count->is_string()) return;
  if (count->text == "all") *count = Node::integer(-1, count->place);
  else if (!parse_integer(count->text)) {
    report.error(count->place, path / "count", "the only value allowed is 'all' or a number");
    count->mark_broken();
  }
}

void file_references(Node& node, const Path&, Report&) {
  for (Node& item : node.items) {
    if (!item.is_string()) continue;
    Node map = Node::mapping(item.place);
    map.set("source", std::move(item));
    item = std::move(map);
  }
}

void external(Node& node, const Path& path, Report& report) {
  Entry* entry = node.is_map() ? node.find_entry("external") : nullptr;
  if (entry == nullptr || !entry->value.is_map()) return;
  Place at = entry->place;
  Node* old_name = entry->value.find("name");
  if (old_name != nullptr) {
    report.warning(at, path / "external", "external.name is deprecated. Please set name and external: true");
    Node name = *old_name;
    const Node* own = node.find("name");
    if (own != nullptr && own->text != name.text) {
      return report.error(at, path / "name", "name and external.name conflict; only use name");
    }
    entry->value = Node::boolean(true, at);
    node.set("name", std::move(name));
    return;
  }
  entry->value = Node::boolean(true, at);
}

void provider_options(Node& node, const Path&, Report&) {
  if (!node.is_scalar()) return;
  Node list = Node::sequence(node.place);
  list.items.push_back(std::move(node));
  node = std::move(list);
}

// ---- extra_hosts

namespace {

std::string without_brackets(std::string_view address) {
  if (!address.starts_with('[') || !address.ends_with(']')) return std::string(address);
  const std::string_view inside = address.substr(1, address.size() - 2);
  return std::string(inside.find_first_of("[]") == std::string_view::npos ? inside : address);
}

void add_hosts(Node& list, const std::string& host, std::string_view addresses, const Node& from, const Path& path,
               Report& report) {
  if (host.empty() || host.find_first_of(":=") != std::string::npos) {
    return report.error(from.place, path, "bad host name '" + host + "'");
  }
  for (const std::string& address : split(addresses, ',')) {
    list.items.push_back(Node::string(host + "=" + std::string(trim(without_brackets(trim(address)))), from.place));
  }
}

}  // namespace

void extra_hosts(Node& node, const Path& path, Report& report) {
  Node list = Node::sequence(node.place);
  if (node.is_map()) {
    for (Entry& entry : node.entries) {
      Path child = path / entry.key;
      if (entry.value.is_string()) {
        add_hosts(list, entry.key, entry.value.text, entry.value, child, report);
      } else if (entry.value.is_list()) {
        for (const Node& item : entry.value.items) add_hosts(list, entry.key, item.text, item, child, report);
      } else {
        report.error(entry.value.place, child, "must be an address or a list of addresses");
      }
    }
  } else {
    for (size_t i = 0; i < node.items.size(); ++i) {
      const Node& item = node.items[i];
      size_t at = item.text.find('=');
      if (at == std::string::npos) at = item.text.find(':');
      if (!item.is_string() || at == std::string::npos) {
        report.error(item.place, path[static_cast<int>(i)], "invalid additional host, missing IP: " + item.text,
                     "write HOST=IP");
        continue;
      }
      add_hosts(list, item.text.substr(0, at), std::string_view(item.text).substr(at + 1), item,
                path[static_cast<int>(i)], report);
    }
  }
  std::stable_sort(list.items.begin(), list.items.end(), [](const Node& a, const Node& b) { return a.text < b.text; });
  node = std::move(list);
}

// ---- identities

std::string item_text(const Node& item) { return item.text; }
std::string before_equals(const Node& item) { return item.text.substr(0, item.text.find('=')); }
std::string before_colon(const Node& item) { return item.text.substr(0, item.text.find(':')); }
std::string mount_target(const Node& item) { return item.text_of("target"); }
std::string file_path(const Node& item) { return item.text_of("path"); }

std::string secret_target(const Node& item) {
  const std::string& target = item.text_of("target");
  return target.empty() ? "/run/secrets/" + item.text_of("source") : target;
}

std::string config_target(const Node& item) {
  const std::string& target = item.text_of("target");
  return target.empty() ? "/" + item.text_of("source") : target;
}

std::string port_identity(const Node& item) {
  std::string ip = item.text_of("host_ip");
  if (ip == "0.0.0.0") ip.clear();
  const std::string& protocol = item.text_of("protocol");
  return ip + ":" + item.text_of("published") + ":" + item.text_of("target") + "/" +
         (protocol.empty() ? "tcp" : protocol);
}

}  // namespace gantry::compose::canonical
