// The half of yaml_tree.h that reads: events → Nodes. Aliases are replayed from the events of what they name, so that
// nothing is shared and nothing is copied twice.
#include <cstring>
#include <unordered_map>

#include "base/result.h"
#include "base/strings.h"
#include "compose/scalar.h"
#include "compose/yaml_events.h"
#include "compose/yaml_tree.h"

namespace gantry::compose {
namespace {

using yaml::Event;

constexpr size_t kMostAliased = 100'000;     // nodes of one document that aliases make (the format's own limit)

// The keys that a mapping has so far. Few are searched, many are hashed.
class Keys {
 public:
  // nullptr: `key` is new, and known from now on; else the entry that has it.
  const Entry* add(const std::vector<Entry>& entries, std::string_view key) {
    if (entries.size() < kFew) {
      for (const Entry& entry : entries) {
        if (entry.key == key) return &entry;
      }
      return nullptr;
    }
    if (seen_.empty()) {
      for (size_t i = 0; i < entries.size(); ++i) seen_.emplace(entries[i].key, i);
    }
    auto [at, fresh] = seen_.try_emplace(std::string(key), entries.size());
    return fresh ? nullptr : &entries[at->second];
  }

 private:
  static constexpr size_t kFew = 16;
  std::unordered_map<std::string, size_t> seen_;
};

// Builds one document.
class Builder {
 public:
  Builder(const yaml::Document& document, int file, Report& report)
      : events_(document.events), file_(file), report_(report), replaying_(document.events.size(), false) {}

  // False: a limit was hit, or an alias is inside of what it names.
  bool run(Node& root) { return node(0, root, Path::root(), 0); }

 private:
  Place place(const Event& event) const { return {file_, event.line, event.column}; }

  // False: a limit stops everything.
  bool node(uint32_t at, Node& out, const Path& path, size_t depth) {
    const Event& event = events_[at];
    if (in_alias_ > 0 && ++aliased_ > kMostAliased) {
      report_.error_at(place(event), path.str(),
                       "the file exceeds the maximum node visit limit (" + std::to_string(kMostAliased) +
                           "): excessive aliasing");
      return false;
    }
    switch (event.kind) {
      case Event::Kind::scalar: scalar(event, out, path); return true;
      case Event::Kind::alias: return alias(event, out, path, depth);
      case Event::Kind::sequence: return sequence(at, out, path, depth);
      case Event::Kind::mapping: return mapping(at, out, path, depth);
    }
    return true;
  }

  bool alias(const Event& event, Node& out, const Path& path, size_t depth) {
    if (replaying_[event.anchor]) {
      report_.error_at(place(event), path.str(), "cycle detected: the alias is inside of what its anchor names");
      return false;
    }
    if (depth > yaml::Limits().depth) {
      report_.error_at(place(event), path.str(), "exceeded max depth of " + std::to_string(yaml::Limits().depth));
      return false;
    }
    ++in_alias_;
    bool good = node(event.anchor, out, path, depth);
    --in_alias_;
    return good;
  }

  bool sequence(uint32_t at, Node& out, const Path& path, size_t depth) {
    const Event& event = events_[at];
    start(event, Node::Kind::sequence, out);
    out.items.reserve(event.children);
    replaying_[at] = true;
    for (uint32_t child = at + 1; child < event.next; child = events_[child].next) {
      Node& item = out.items.emplace_back();
      if (!node(child, item, path[static_cast<int>(out.items.size()) - 1], depth + 1)) return false;
      if (item.tag == Node::Tag::reset) out.items.pop_back();
    }
    replaying_[at] = false;
    return true;
  }

  bool mapping(uint32_t at, Node& out, const Path& path, size_t depth) {
    const Event& event = events_[at];
    start(event, Node::Kind::mapping, out);
    out.entries.reserve(event.children / 2);
    replaying_[at] = true;
    Keys keys;
    std::vector<Node> merges;
    for (uint32_t child = at + 1; child < event.next;) {
      const Event& key = events_[child];
      uint32_t value = key.next;
      child = events_[value].next;
      if (key.plain && key.text == "<<") {
        if (!merge_source(key, value, merges, path, depth)) return false;
        continue;
      }
      std::string text;
      if (!key_text(key, text, path) || !is_new(keys, out, key, text, path)) {
        Node ignored;
        if (!node(value, ignored, path / "?", depth + 1)) return false;
        continue;
      }
      Entry& entry = out.entries.emplace_back();
      entry.key = std::move(text);
      entry.place = place(key);
      if (!node(value, entry.value, path / entry.key, depth + 1)) return false;
    }
    replaying_[at] = false;
    for (Node& source : merges) merge(source, out, keys, path);
    return true;
  }

  void start(const Event& event, Node::Kind kind, Node& out) {
    out.kind = kind;
    out.place = place(event);
    set_tag(event, out);
  }

  static void set_tag(const Event& event, Node& out) {
    if (event.tag == "!reset") out.tag = Node::Tag::reset;
    if (event.tag == "!override") out.tag = Node::Tag::override_;
  }

  // ---- keys

  bool key_text(const Event& key, std::string& text, const Path& path) {
    if (key.kind == Event::Kind::scalar && key.plain && is_plainly_text(key.text)) {
      text = key.text;
      return true;
    }
    Node node;
    const Event& real = key.kind == Event::Kind::alias ? events_[key.anchor] : key;
    if (real.kind != Event::Kind::scalar) {
      report_.error_at(place(key), path.str(), std::string("non-string key: ") +
                                                   (real.kind == Event::Kind::mapping ? "a mapping" : "a list"),
                       "is a text with braces or brackets meant? put it in quotes");
      return false;
    }
    scalar(real, node, path);
    if (node.is_string()) {
      text = std::move(node.text);
      return true;
    }
    std::string what = node.is_null() ? "null" : std::string(real.text);
    report_.error_at(place(key), path.str(), "non-string key: " + what, "put it in quotes");
    return false;
  }

  bool is_new(Keys& keys, const Node& map, const Event& key, const std::string& text, const Path& path) {
    const Entry* before = keys.add(map.entries, text);
    if (before == nullptr) return true;
    report_.error_at(place(key), (path / text).str(),
                     "mapping key " + gantry::quoted(text) + " already defined at line " +
                         std::to_string(before->place.line),
                     "remove one of them");
    return false;
  }

  // ---- `<<`: explicit keys win wherever it stands; of several mappings the earlier one wins; values are taken whole

  bool merge_source(const Event& key, uint32_t value, std::vector<Node>& merges, const Path& path, size_t depth) {
    if (!merges.empty()) {
      report_.error_at(place(key), path.str(), "mapping key \"<<\" already defined",
                       "write <<: [*first, *second] to merge several");
    }
    Node source;
    if (!node(value, source, path / "<<", depth + 1)) return false;
    if (source.is_map()) {
      merges.push_back(std::move(source));
    } else if (source.is_list()) {
      for (Node& item : source.items) {
        if (item.is_map()) merges.push_back(std::move(item));
        else wrong_merge(item.place.line > 0 ? item.place : place(events_[value]), path);
      }
    } else {
      wrong_merge(place(events_[value]), path);
    }
    return true;
  }

  void wrong_merge(const Place& at, const Path& path) {
    report_.error_at(at, path.str(), "map merge requires map or sequence of maps as the value",
                     "write <<: *anchor, the anchor being on a mapping");
  }

  void merge(Node& source, Node& map, Keys& keys, const Path&) {
    for (Entry& entry : source.entries) {
      if (keys.add(map.entries, entry.key) == nullptr) map.entries.push_back(std::move(entry));
    }
  }

  // ---- scalars

  void scalar(const Event& event, Node& out, const Path& path) {
    out.place = place(event);
    if (event.plain) {
      if (is_plainly_text(event.text)) {
        out.kind = Node::Kind::string;
        out.text = event.text;
        return;
      }
      Scalar value = resolve_plain(event.text);
      out.kind = value.kind;
      out.text = std::move(value.text);
      return;
    }
    constexpr std::string_view kStandard = "tag:yaml.org,2002:";
    set_tag(event, out);
    if (event.tag == "!reset") {
      out.kind = Node::Kind::null;
    } else if (event.tag == "!override") {
      Scalar value = resolve_plain(event.text);
      out.kind = value.kind;
      out.text = std::move(value.text);
    } else if (event.tag.starts_with(kStandard)) {
      standard(event, event.tag.substr(kStandard.size()), out, path);
    } else {
      out.kind = Node::Kind::string;
      out.text = event.text;
    }
  }

  // !!str, !!int …: the value must be of the kind that the tag says.
  void standard(const Event& event, std::string_view type, Node& out, const Path& path) {
    out.kind = Node::Kind::string;
    out.text = event.text;
    if (type == "str") return;
    if (type == "binary") {
      if (auto bytes = base64_decode(event.text)) {
        out.text = std::move(*bytes);
        return;
      }
    }
    Scalar resolved = resolve_plain(event.text);
    bool fits = (type == "int" && resolved.kind == Node::Kind::integer) ||
                (type == "bool" && resolved.kind == Node::Kind::boolean) ||
                (type == "null" && resolved.kind == Node::Kind::null) ||
                (type == "float" && (resolved.kind == Node::Kind::number || resolved.kind == Node::Kind::integer)) ||
                type == "timestamp";
    if (!fits) {
      report_.error_at(place(event), path.str(),
                       "cannot construct " + gantry::quoted(event.text) + " as a !!" + std::string(type));
      return out.mark_broken();
    }
    out.kind = resolved.kind;
    out.text = std::move(resolved.text);
  }

  const std::vector<Event>& events_;
  int file_;
  Report& report_;
  std::vector<bool> replaying_;  // collections that are being built: an alias to one of them is a cycle
  size_t in_alias_ = 0;
  size_t aliased_ = 0;
};

// ---- characters

size_t sequence_length(unsigned char first) {
  return first < 0x80 ? 1 : (first >> 5) == 6 ? 2 : (first >> 4) == 14 ? 3 : (first >> 3) == 30 ? 4 : 0;
}

// The code point that begins at `at`; -1: not UTF-8 (overlong and surrogates included).
int32_t code_point(std::string_view text, size_t at, size_t& length) {
  auto byte = [&](size_t i) { return static_cast<unsigned char>(text[at + i]); };
  length = sequence_length(byte(0));
  if (length == 0 || at + length > text.size()) return -1;
  if (length == 1) return byte(0);
  int32_t value = byte(0) & (0x7F >> length);
  for (size_t i = 1; i < length; ++i) {
    if ((byte(i) >> 6) != 2) return -1;
    value = value << 6 | (byte(i) & 0x3F);
  }
  constexpr int32_t kLeast[] = {0, 0, 0x80, 0x800, 0x10000};
  bool surrogate = value >= 0xD800 && value < 0xE000;
  return value < kLeast[length] || surrogate || value > 0x10FFFF ? -1 : value;
}

// Whether the eight bytes are printable ASCII, each: the common case, at once.
bool are_printable(const char* bytes) {
  constexpr uint64_t kOnes = ~uint64_t{0} / 255, kHigh = kOnes * 0x80;
  uint64_t word;
  std::memcpy(&word, bytes, sizeof word);
  // 0x80 in the bytes that are less than a space; then in those that are 0x7f or more.
  return (((word - kOnes * ' ') | word | (word + kOnes)) & kHigh) == 0;
}

bool is_plain_byte(char c) { return (c >= 0x20 && c < 0x7f) || c == '\n' || c == '\t' || c == '\r'; }

// The format knows text only: no bytes that are not UTF-8, no control characters.
bool check_characters(std::string_view text, int file, Report& report) {
  for (size_t i = 0; i < text.size();) {
    if (i + 8 <= text.size() && are_printable(text.data() + i)) {
      i += 8;
      continue;
    }
    if (is_plain_byte(text[i])) {
      ++i;
      continue;
    }
    size_t length = 0;
    int32_t c = code_point(text, i, length);
    bool control = c >= 0 && (c < 0x20 || (c >= 0x7f && c < 0xa0 && c != 0x85) || c == 0xFFFE || c == 0xFFFF);
    if (c >= 0 && !control) {
      i += length;
      continue;
    }
    std::string_view before = text.substr(0, i);
    size_t newline = before.rfind('\n');
    size_t line_start = newline == std::string_view::npos ? 0 : newline + 1;
    auto bytes = before.substr(line_start);
    auto column = std::count_if(bytes.begin(), bytes.end(), [](char b) { return (static_cast<unsigned char>(b) >> 6) != 2; });
    Place place{file, static_cast<int>(std::count(before.begin(), before.end(), '\n')) + 1, static_cast<int>(column) + 1};
    if (control) report.error_at(place, "", "yaml: control characters are not allowed", "in double quotes write \\x and its number");
    else report.error_at(place, "", "yaml: invalid leading UTF-8 octet", "save the file as UTF-8");
    return false;
  }
  return true;
}

}  // namespace

std::optional<std::vector<Node>> parse_yaml(const std::string& text, int file, Report& report) {
  if (text.size() > kLargestFile) {
    report.error_at({file, 0, 0}, "", "the file is larger than 64 MiB");
    return std::nullopt;
  }
  if (!check_characters(text, file, report)) return std::nullopt;
  std::vector<yaml::Document> documents;
  yaml::Failure failure;
  if (!yaml::read_documents(text, yaml::Limits(), documents, failure)) {
    report.error_at({file, failure.line, failure.column}, "",
                    "yaml: line " + std::to_string(failure.line) + ": " + failure.message, failure.hint);
    return std::nullopt;
  }
  std::vector<Node> nodes;
  for (const yaml::Document& document : documents) {
    if (document.events.empty()) nodes.push_back(Node::null({file, document.line, 1}));
    else if (!Builder(document, file, report).run(nodes.emplace_back())) return std::nullopt;
  }
  return nodes;
}

}  // namespace gantry::compose
