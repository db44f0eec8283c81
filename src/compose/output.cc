#include "compose/output.h"

#include <cstdio>

#include "base/strings.h"
#include "compose/scalar.h"
#include "compose/yaml_quoting.h"

namespace gantry::compose {
namespace {

bool letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || static_cast<unsigned char>(c) >= 0x80; }

bool is_zero(const Node& node, const Shape& shape) {
  switch (node.kind) {
    case Node::Kind::null: return true;
    case Node::Kind::boolean: return node.text == "false";
    case Node::Kind::integer:
    case Node::Kind::number: return node.text == "0";
    case Node::Kind::string: return node.text.empty() || (shape.format == Format::bytes && node.text == "0");
    case Node::Kind::sequence: return node.items.empty();
    case Node::Kind::mapping: return node.entries.empty();
  }
  return false;
}

bool is_left_out(const Node& node, const Shape& shape) {
  if (node.is_null()) return true;
  return !shape.printed_when_zero && is_zero(node, shape);
}

struct Printed {
  const std::string* key;
  const Node* value;
  const Shape* shape;   // nullptr: free form
  size_t position = 0;  // of a known attribute among those of its mapping; all others come after them
};

enum class Order { bytes, natural };

// The entries of a mapping that are printed, in their order.
std::vector<Printed> printed(const Node& map, const Shape* shape, Order order, bool extensions) {
  std::vector<Printed> out;
  out.reserve(map.entries.size());
  const bool free_form = shape == nullptr || shape->fields.empty();
  for (const Entry& entry : map.entries) {
    const Field* field = free_form ? nullptr : find_field(*shape, entry.key);
    if (free_form) {
      out.push_back({&entry.key, &entry.value, shape == nullptr ? nullptr : shape->values});
    } else if (field != nullptr) {
      const auto position = static_cast<size_t>(field - shape->fields.data());
      if (!is_left_out(entry.value, *field->shape)) out.push_back({&entry.key, &entry.value, field->shape, position});
    } else if (extensions) {
      out.push_back({&entry.key, &entry.value, nullptr, shape->fields.size()});
    }
  }
  std::sort(out.begin(), out.end(), [order](const Printed& a, const Printed& b) {
    if (a.position != b.position) return a.position < b.position;
    return order == Order::natural ? natural_less(*a.key, *b.key) : *a.key < *b.key;
  });
  return out;
}

// ---- JSON

class JsonWriter {
 public:
  JsonWriter(bool pretty, bool double_dollars, bool extensions)
      : pretty_(pretty), double_dollars_(double_dollars), extensions_(extensions) {}

  std::string take() { return std::move(out_); }

  void value(const Node& node, const Shape* shape, int depth) {
    switch (node.kind) {
      case Node::Kind::null: out_ += "null"; break;
      case Node::Kind::boolean:
      case Node::Kind::integer: out_ += node.text; break;
      case Node::Kind::number: number(node); break;
      case Node::Kind::string: string(node.text); break;
      case Node::Kind::sequence: list(node, shape, depth); break;
      case Node::Kind::mapping: mapping(node, shape, depth); break;
    }
  }

  void mapping(const Node& node, const Shape* shape, int depth) {
    std::vector<Printed> entries = printed(node, shape, Order::bytes, extensions_);
    add_always_present(entries, shape);
    if (shape == &project_shape()) {
      std::sort(entries.begin(), entries.end(), [](const Printed& a, const Printed& b) { return *a.key < *b.key; });
    }
    if (entries.empty()) {
      out_ += "{}";
      return;
    }
    out_ += '{';
    for (size_t i = 0; i < entries.size(); ++i) {
      if (i > 0) out_ += ',';
      line(depth + 1);
      string(*entries[i].key);
      out_ += pretty_ ? ": " : ":";
      value(*entries[i].value, entries[i].shape, depth + 1);
    }
    line(depth);
    out_ += '}';
  }

 private:
  // The format's JSON has these even when they are unset; hashes depend on them.
  static void add_always_present(std::vector<Printed>& entries, const Shape* shape) {
    static const Node kNull = Node::null();
    static const Node kEmpty = Node::mapping();
    static const std::string kCommand = "command", kEntrypoint = "entrypoint", kIpam = "ipam",
                             kResources = "resources", kPlacement = "placement";
    static const Shape* const kDeploy = find_field(service_shape(), "deploy")->shape;
    auto ensure = [&](const std::string& name, const Node& node) {
      size_t order = static_cast<size_t>(find_field(*shape, name) - shape->fields.data());
      auto at = entries.begin();
      for (; at != entries.end(); ++at) {
        const Field* field = find_field(*shape, *at->key);
        if (field == nullptr) break;
        size_t other = static_cast<size_t>(field - shape->fields.data());
        if (other == order) return;
        if (other > order) break;
      }
      entries.insert(at, {&name, &node, nullptr, order});
    };
    if (shape == &service_shape()) {
      ensure(kCommand, kNull);
      ensure(kEntrypoint, kNull);
    } else if (shape == &network_shape()) {
      ensure(kIpam, kEmpty);
    } else if (shape == kDeploy) {
      ensure(kResources, kEmpty);
      ensure(kPlacement, kEmpty);
    }
  }

  void list(const Node& node, const Shape* shape, int depth) {
    if (node.items.empty()) {
      out_ += "[]";
      return;
    }
    out_ += '[';
    for (size_t i = 0; i < node.items.size(); ++i) {
      if (i > 0) out_ += ',';
      line(depth + 1);
      value(node.items[i], shape == nullptr ? nullptr : shape->items, depth + 1);
    }
    line(depth);
    out_ += ']';
  }

  void line(int depth) {
    if (!pretty_) return;
    out_ += '\n';
    out_.append(static_cast<size_t>(depth) * 2, ' ');
  }

  void number(const Node& node) {
    if (node.text.ends_with("Inf") || node.text == "NaN") string(node.text);  // JSON has no such numbers
    else out_ += node.text;
  }

  static bool is_special(char c) {
    unsigned char byte = static_cast<unsigned char>(c);
    return byte < 0x20 || c == '"' || c == '\\' || c == '$' || c == '<' || c == '>' || c == '&' || byte == 0xE2;
  }

  void string(std::string_view text) {
    out_ += '"';
    for (size_t i = 0; i < text.size();) {
      size_t run = i;
      while (run < text.size() && !is_special(text[run])) ++run;
      out_.append(text, i, run - i);
      i = run;
      if (i < text.size()) i += special(text.substr(i));
    }
    out_ += '"';
  }

  // Writes the character that needs care at the beginning of `text`; returns how many bytes it is.
  size_t special(std::string_view text) {
    constexpr char kHex[] = "0123456789abcdef";
    char c = text[0];
    unsigned char byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out_ += '\\', out_ += c;
    } else if (c == '\n') {
      out_ += "\\n";
    } else if (c == '\r') {
      out_ += "\\r";
    } else if (c == '\t') {
      out_ += "\\t";
    } else if (c == '$') {
      out_ += double_dollars_ ? "$$" : "$";
    } else if (byte == 0xE2) {
      bool separator = text.starts_with("\xE2\x80\xA8") || text.starts_with("\xE2\x80\xA9");
      if (!separator) return out_ += c, 1;
      out_ += text[2] == '\xA8' ? "\\u2028" : "\\u2029";
      return 3;
    } else {
      out_ += "\\u00";
      out_ += kHex[byte >> 4];
      out_ += kHex[byte & 15];
    }
    return 1;
  }

  std::string out_;
  bool pretty_;
  bool double_dollars_;
  bool extensions_;
};

// ---- YAML

class YamlWriter {
 public:
  explicit YamlWriter(const OutputStyle& style) : style_(style) {}

  std::string take() { return std::move(out_); }

  void mapping(const Node& node, const Shape* shape, int depth) {
    entries(printed(node, shape, Order::natural, true), depth, false);
  }

 private:
  void entries(const std::vector<Printed>& entries, int depth, bool first_inline) {
    for (size_t i = 0; i < entries.size(); ++i) {
      if (i > 0 || !first_inline) indent(depth);
      key_text(*entries[i].key, depth);
      out_ += ':';
      child(*entries[i].value, entries[i].shape, depth);
    }
  }

  void child(const Node& node, const Shape* shape, int depth) {
    std::vector<Printed> inside;
    if (node.is_map()) inside = printed(node, shape, Order::natural, true);
    if (!inside.empty()) {
      out_ += '\n';
      entries(inside, depth + 1, false);
    } else if (node.is_list() && !node.items.empty()) {
      out_ += '\n';
      list(node, shape, depth + 1);
    } else {
      out_ += ' ';
      leaf(node, depth);
    }
  }

  void list(const Node& node, const Shape* shape, int depth) {
    const Shape* item_shape = shape == nullptr ? nullptr : shape->items;
    for (const Node& item : node.items) {
      indent(depth);
      out_ += "- ";
      std::vector<Printed> inside;
      if (item.is_map()) inside = printed(item, item_shape, Order::natural, true);
      if (!inside.empty()) {
        entries(inside, depth + 1, true);
      } else if (item.is_list() && !item.items.empty()) {
        out_.pop_back();
        out_ += '\n';
        list(item, item_shape, depth + 1);
      } else {
        leaf(item, depth);
      }
    }
  }

  void leaf(const Node& node, int depth) {
    switch (node.kind) {
      case Node::Kind::null: out_ += "null\n"; break;
      case Node::Kind::boolean:
      case Node::Kind::integer: out_ += node.text, out_ += '\n'; break;
      case Node::Kind::number: number(node.text); break;
      case Node::Kind::string: scalar_text(node.text, depth, false), out_ += '\n'; break;
      case Node::Kind::sequence: out_ += "[]\n"; break;
      case Node::Kind::mapping: out_ += "{}\n"; break;
    }
  }

  void number(const std::string& text) {
    if (text == "NaN") out_ += ".nan";
    else if (text == "+Inf") out_ += ".inf";
    else if (text == "-Inf") out_ += "-.inf";
    else out_ += format_number(parse_number(text).value_or(0), 6);
    out_ += '\n';
  }

  void indent(int depth) { out_.append(static_cast<size_t>(depth) * 2, ' '); }

  void character(char c) {
    if (c == '$' && double_dollars_) out_ += '$';
    out_ += c;
  }

  void run(std::string_view text) {
    for (size_t dollar; double_dollars_ && (dollar = text.find('$')) != std::string_view::npos;) {
      out_.append(text, 0, dollar).append("$$");
      text.remove_prefix(dollar + 1);
    }
    out_ += text;
  }

  // Where the reference's printer does, not only where a key is longer than YAML allows before a colon.
  void key_text(std::string_view text, int depth) {
    constexpr size_t kLongestSimpleKey = 128;
    const bool simple = text.size() <= kLongestSimpleKey;
    if (!simple) out_ += "? ";
    scalar_text(text, depth, true);
    if (simple) return;
    out_ += '\n';
    indent(depth);
  }

  void scalar_text(std::string_view text, int depth, bool key) {
    double_dollars_ = style_.double_dollars && !key;  // variables are not replaced in keys
    switch (quoting_of(text, key)) {
      case Quoting::plain: run(text); break;
      case Quoting::single_:
        out_ += '\'';
        for (char c : text) {
          if (c == '\'') out_ += '\'';
          character(c);
        }
        out_ += '\'';
        break;
      case Quoting::double_: double_quoted(text); break;
      case Quoting::literal: literal(text, depth); break;
    }
  }

  void double_quoted(std::string_view text) {
    out_ += '"';
    for (size_t i = 0; i < text.size(); ++i) {
      const char c = text[i];
      const unsigned char byte = static_cast<unsigned char>(c);
      if (c == '"' || c == '\\') out_ += '\\', out_ += c;
      else if (c == '\n') out_ += "\\n";
      else if (c == '\t') out_ += "\\t";
      else if (c == '\r') out_ += "\\r";
      else if (byte < 0x20 || byte == 0x7f) code(byte);
      else if (const Escape* known = escape_at(text.substr(i))) {
        out_ += known->escape;
        i += known->character.size() - 1;
      } else if (is_c1_control(text.substr(i))) {
        code(static_cast<unsigned char>(text[++i]));
      } else {
        character(c);
      }
    }
    out_ += '"';
  }

  void code(unsigned char character) {
    char escape[8];
    std::snprintf(escape, sizeof escape, "\\x%02X", character);
    out_ += escape;
  }

  // The caller adds the last line's end.
  void literal(std::string_view text, int depth) {
    out_ += '|';
    if (text.front() == ' ' || text.front() == '\n') out_ += '2';
    size_t trailing = text.size() - (text.find_last_not_of('\n') + 1);
    const bool only_line_feeds = trailing == text.size();
    if (trailing == 0) out_ += '-';
    if (trailing > 1 || only_line_feeds) out_ += '+';
    std::string_view body = text;
    if (trailing > 0) body.remove_suffix(1);
    for (size_t at = 0; at <= body.size();) {
      size_t end = std::min(body.find('\n', at), body.size());
      out_ += '\n';
      if (end > at) indent(depth + 1);
      run(body.substr(at, end - at));
      at = end + 1;
    }
  }

  std::string out_;
  bool double_dollars_ = false;  // for the scalar that is being written
  const OutputStyle& style_;
};

}  // namespace

bool natural_less(std::string_view a, std::string_view b) {
  size_t i = 0, j = 0;
  bool after_digits = false;
  while (i < a.size() && j < b.size()) {
    if (is_digit(a[i]) && is_digit(b[j])) {
      size_t ai = i, bj = j;
      while (ai < a.size() && a[ai] == '0') ++ai;
      while (bj < b.size() && b[bj] == '0') ++bj;
      size_t ae = ai, be = bj;
      while (ae < a.size() && is_digit(a[ae])) ++ae;
      while (be < b.size() && is_digit(b[be])) ++be;
      if (ae - ai != be - bj) return ae - ai < be - bj;
      if (int order = a.substr(ai, ae - ai).compare(b.substr(bj, be - bj)); order != 0) return order < 0;
      if (ae - i != be - j) return ae - i < be - j;
      i = ae, j = be;
      after_digits = true;
      continue;
    }
    if (a[i] != b[j]) {
      bool la = letter(a[i]), lb = letter(b[j]);
      if (la != lb) return after_digits ? la : lb;
      return static_cast<unsigned char>(a[i]) < static_cast<unsigned char>(b[j]);
    }
    after_digits = false;
    ++i, ++j;
  }
  return a.size() - i < b.size() - j;
}

std::string to_yaml(const Node& project, const OutputStyle& style) {
  YamlWriter writer(style);
  writer.mapping(project, style.canonical ? &project_shape() : nullptr, 0);
  return writer.take();
}

std::string to_json(const Node& project, const OutputStyle& style) {
  JsonWriter writer(true, style.double_dollars, true);
  writer.mapping(project, style.canonical ? &project_shape() : nullptr, 0);
  return writer.take() + "\n";
}

std::string to_hashed_json(const Node& node, const Shape& shape) {
  JsonWriter writer(false, false, false);
  writer.mapping(node, &shape, 0);
  return writer.take();
}

}  // namespace gantry::compose
