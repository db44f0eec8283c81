// Short syntax of ports: [[IP:][HOST]:]CONTAINER[/PROTOCOL] (compose-file.md section 4.8).
#include <arpa/inet.h>

#include "base/result.h"
#include "base/strings.h"
#include "compose/canonical.h"
#include "compose/values.h"

namespace gantry::compose::canonical {
namespace {

struct Range {
  uint32_t first = 0;
  uint32_t last = 0;
  uint32_t count() const { return last - first + 1; }
};

Result<Range> parse_range(std::string_view text, const char* what) {
  auto wrong = [&](const char* why) {
    return invalid("Invalid " + std::string(what) + ": " + std::string(text) + why);
  };
  size_t dash = text.find('-');
  auto first = parse_unsigned(text.substr(0, dash));
  auto last = dash == std::string_view::npos ? first : parse_unsigned(text.substr(dash + 1));
  if (!first || !last) return wrong("; write a port or a range like 8000-8010");
  if (*first > 65535 || *last > 65535) return wrong("; ports end at 65535");
  if (*first > *last) return wrong("; the range ends before it begins");
  return Range{static_cast<uint32_t>(*first), static_cast<uint32_t>(*last)};
}

struct ShortPort {
  std::string ip;
  std::string host;
  std::string container;
  std::string protocol = "tcp";
};

Result<ShortPort> take_apart(std::string_view text) {
  ShortPort port;
  std::string_view rest = text;
  if (size_t slash = rest.find('/'); slash != std::string_view::npos) {
    std::string_view protocol = rest.substr(slash + 1);
    port.protocol = to_lower(protocol.substr(0, protocol.find('/')));
    rest = rest.substr(0, slash);
    if (port.protocol != "tcp" && port.protocol != "udp" && port.protocol != "sctp") {
      return invalid("Invalid proto: " + port.protocol + "; known are tcp, udp, sctp");
    }
  }
  size_t colon = rest.rfind(':');
  port.container = rest.substr(colon == std::string_view::npos ? 0 : colon + 1);
  if (port.container.empty()) return invalid("No port specified: " + std::string(text) + "<empty>");
  if (colon == std::string_view::npos) return port;
  rest = rest.substr(0, colon);
  colon = rest.rfind(':');
  port.host = rest.substr(colon == std::string_view::npos ? 0 : colon + 1);
  if (colon == std::string_view::npos) return port;
  std::string_view ip = rest.substr(0, colon);
  if (ip.starts_with('[') && ip.ends_with(']')) ip = ip.substr(1, ip.size() - 2);
  port.ip = ip;
  if (!port.ip.empty() && !is_ip_address(port.ip)) return invalid("Invalid ip address: " + port.ip);
  return port;
}

Node long_port(const ShortPort& port, uint32_t target, std::string published, Place place) {
  Node map = Node::mapping(place);
  map.entries.reserve(5);
  Node mode = Node::string("ingress", place);
  mode.tag = Node::Tag::implied;
  map.set("mode", std::move(mode));
  if (!port.ip.empty()) map.set("host_ip", Node::string(port.ip, place));
  map.set("target", Node::integer(target, place));
  if (!published.empty()) map.set("published", Node::string(std::move(published), place));
  map.set("protocol", Node::string(port.protocol, place));
  return map;
}

Result<std::vector<Node>> expand(std::string_view text, Place place, Report& report) {
  ShortPort port = TRY(take_apart(text));
  Range target = TRY(parse_range(port.container, "containerPort"));
  if (target.first == 0) return invalid("service ports " + std::string(text) + " is missing a target port");
  if (!report.may_expand(target.count())) return invalid("the project's ranges hold too many ports");
  std::vector<Node> out;
  if (port.host.empty()) {
    for (uint32_t i = 0; i < target.count(); ++i) out.push_back(long_port(port, target.first + i, "", place));
    return out;
  }
  Range host = TRY(parse_range(port.host, "hostPort"));
  if (target.count() == 1) {
    std::string published = std::to_string(host.first);
    if (host.count() > 1) published += "-" + std::to_string(host.last);
    else published = port.host;
    out.push_back(long_port(port, target.first, std::move(published), place));
    return out;
  }
  if (host.count() != target.count()) {
    return invalid("Invalid ranges specified for container and host Ports: " + port.container + " and " + port.host);
  }
  for (uint32_t i = 0; i < target.count(); ++i) {
    out.push_back(long_port(port, target.first + i, std::to_string(host.first + i), place));
  }
  // The order of the reference: by the container port's text.
  std::stable_sort(out.begin(), out.end(), [](const Node& a, const Node& b) {
    return a.text_of("target") < b.text_of("target");
  });
  return out;
}

void complete_port(Node& item, const Path& path, Report& report) {
  const Node* target = item.find("target");
  if (target == nullptr) return report.error(item.place, path, "the port is missing a target port");
  if (const Node* ip = item.find("host_ip"); ip != nullptr && ip->is_string() && !is_ip_address(ip->text)) {
    report.error(ip->place, path / "host_ip", "invalid ip address: " + ip->text);
  }
  if (Node* published = item.find("published"); published != nullptr && published->is_scalar()) {
    published->kind = Node::Kind::string;
    if (!published->text.empty()) {
      auto range = parse_range(published->text, "hostPort");
      if (!range.ok()) report.error(published->place, path / "published", range.error().message());
    }
  }
  if (Node* protocol = item.find("protocol")) {
    protocol->text = to_lower(protocol->text);
    if (protocol->text != "tcp" && protocol->text != "udp" && protocol->text != "sctp") {
      report.error(protocol->place, path / "protocol", "Invalid proto: " + protocol->text + "; known are tcp, udp, sctp");
    }
  } else {
    item.set("protocol", Node::string("tcp", item.place));
  }
  if (!item.has("mode")) item.set("mode", Node::string("ingress", item.place));
}

}  // namespace

void ports(Node& node, const Path& path, Report& report) {
  Node list = Node::sequence(node.place);
  list.items.reserve(node.items.size());
  for (size_t i = 0; i < node.items.size(); ++i) {
    Node& item = node.items[i];
    Path child = path[static_cast<int>(i)];
    if (item.is_map()) {
      complete_port(item, child, report);
      list.items.push_back(std::move(item));
    } else if (report.is_raw(item.text)) {
      list.items.push_back(std::move(item));
    } else if (item.is_string() || item.kind == Node::Kind::integer) {
      auto expanded = expand(item.text, item.place, report);
      if (!expanded.ok()) {
        report.error(item.place, child, expanded.error().message());
        continue;
      }
      for (Node& port : *expanded) list.items.push_back(std::move(port));
    } else {
      report.error(item.place, child, std::string("invalid type for a port: ") + to_string(item.kind),
                   "put it in quotes");
    }
  }
  node = std::move(list);
}

}  // namespace gantry::compose::canonical
