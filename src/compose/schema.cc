#include "compose/schema.h"

#include <array>
#include <charconv>
#include <cmath>
#include <unordered_map>
#include <unordered_set>

#include "base/strings.h"
#include "compose/scalar.h"
#include "compose/values.h"

namespace gantry::compose {
namespace {

unsigned bit_of(Node::Kind kind) {
  switch (kind) {
    case Node::Kind::null: return kNull;
    case Node::Kind::boolean: return kBoolean;
    case Node::Kind::integer: return kInteger;
    case Node::Kind::number: return kNumber;
    case Node::Kind::string: return kString;
    case Node::Kind::sequence: return kList;
    case Node::Kind::mapping: return kMapping;
  }
  return 0;
}

// "a string or a list"
std::string words(unsigned accepts) {
  constexpr std::array<std::pair<unsigned, const char*>, 6> kWords{{
      {kMapping, "a mapping"}, {kList, "a list"}, {kBoolean, "a boolean"},
      {kInteger, "an integer"}, {kNumber, "a number"}, {kString, "a string"}}};
  std::vector<std::string> parts;
  for (auto [bit, word] : kWords) {
    if (bit == kInteger && (accepts & kNumber) != 0) continue;
    if ((accepts & bit) != 0) parts.emplace_back(word);
  }
  std::string out;
  for (size_t i = 0; i < parts.size(); ++i) {
    if (i > 0) out += i + 1 == parts.size() ? " or " : ", ";
    out += parts[i];
  }
  return out;
}

std::string what_is_there(const Node& node) {
  if (!node.is_scalar()) return to_string(node.kind);
  return std::string(to_string(node.kind)) + ": " + (node.is_string() ? gantry::quoted(node.text) : node.text);
}

std::string hint_for_kind(const Node& node, const Shape& shape) {
  if (node.is_null()) return "the value is missing";
  if (!node.is_scalar()) return {};
  if (shape.format == Format::duration) return "write for example " + node.text + "s";
  if ((shape.accepts & kString) != 0) return "put it in quotes";
  if ((shape.accepts & kList) != 0) return "write it as a list: [" + gantry::quoted(node.text) + "]";
  return {};
}

void report_kind(Node& node, const Shape& shape, const Path& path, Report& report) {
  report.error(node.place, path, "must be " + words(shape.accepts) + (node.is_null() ? "" : ", is " + what_is_there(node)),
               hint_for_kind(node, shape));
  node.mark_broken();
}

void to_boolean(Node& node, const Path& path, Report& report) {
  if (node.kind == Node::Kind::boolean) return;
  auto value = parse_boolean(node.text);
  if (!value.ok()) return report.error(node.place, path, value.error().message());
  if (value->old_spelling) {
    report.warning(node.place, path, gantry::quoted(node.text) + " for boolean is not supported by YAML 1.2, please use `" +
                                         (value->value ? "true" : "false") + "`");
  }
  node.kind = Node::Kind::boolean;
  node.text = value->value ? "true" : "false";
}

void to_integer(Node& node, const Shape& shape, const Path& path, Report& report) {
  std::optional<int64_t> value = parse_integer(node.text);
  if (!value && (shape.accepts & kNumber) != 0) {
    if (auto number = parse_number(node.text); number && std::abs(*number) < 9e18) {
      value = static_cast<int64_t>(std::trunc(*number));
    }
  }
  if (!value) return report.error(node.place, path, "must be an integer, is " + gantry::quoted(node.text));
  if (*value < shape.minimum || *value > shape.maximum) {
    std::string range = shape.maximum == INT64_MAX
                            ? "must be greater than or equal to " + std::to_string(shape.minimum)
                            : "must be between " + std::to_string(shape.minimum) + " and " +
                                  std::to_string(shape.maximum);
    return report.error(node.place, path, range + ", is " + std::to_string(*value));
  }
  node.kind = Node::Kind::integer;
  node.text = std::to_string(*value);
}

void to_number(Node& node, Format format, const Path& path, Report& report) {
  auto value = parse_number(node.text);
  if (!value) return report.error(node.place, path, "must be a number, is " + gantry::quoted(node.text));
  node.kind = Node::Kind::number;
  if (format == Format::float32) {
    // The shortest digits that give the same 32-bit float: the format stores these as such.
    char buffer[64];
    auto end = std::to_chars(buffer, buffer + sizeof buffer, static_cast<float>(*value));
    std::string shortest(buffer, static_cast<size_t>(end.ptr - buffer));
    node.text = format_number(parse_number(shortest).value_or(*value), 21);
  } else {
    node.text = format_number(*value, 21);
  }
}

void to_bytes(Node& node, const Shape& shape, const Path& path, Report& report) {
  if (node.kind == Node::Kind::number) {
    return report.error(node.place, path, "a size must be a whole number of bytes, is " + node.text,
                        "write for example 512m or 1.5g");
  }
  auto value = parse_bytes(node.text);
  if (!value.ok()) return report.error(node.place, path, value.error().message());
  if (*value < shape.minimum) {
    return report.error(node.place, path, "must be greater than or equal to " + std::to_string(shape.minimum) +
                                              ", is " + node.text);
  }
  node.kind = Node::Kind::string;
  node.text = std::to_string(*value);
}

void to_duration(Node& node, const Path& path, Report& report) {
  auto value = parse_duration(node.text);
  if (!value.ok()) return report.error(node.place, path, value.error().message());
  node.text = format_duration(*value);
}

void to_mode(Node& node, Format format, const Path& path, Report& report) {
  uint64_t value = 0;
  if (node.is_string()) {
    std::string_view digits = node.text;
    if (digits.starts_with("0o") || digits.starts_with("0O")) digits.remove_prefix(2);
    auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value, 8);
    if (digits.empty() || error != std::errc() || end != digits.data() + digits.size()) {
      return report.error(node.place, path, "not an octal mode: " + gantry::quoted(node.text), "write for example 0440");
    }
  } else if (auto number = parse_number(node.text); number && *number >= 0 && *number <= 07777) {
    value = static_cast<uint64_t>(*number);
  } else {
    return report.error(node.place, path, "not a mode: " + node.text, "write for example 0440");
  }
  if (value > 07777) return report.error(node.place, path, "not a mode: " + node.text, "write for example 0440");
  if (format == Format::mode_number) {
    node = Node::integer(static_cast<int64_t>(value), node.place);
    return;
  }
  char octal[16];
  std::snprintf(octal, sizeof octal, "0%llo", static_cast<unsigned long long>(value));
  node.kind = Node::Kind::string;
  node.text = octal;
}

void conform_scalar(Node& node, const Shape& shape, const Path& path, Report& report) {
  switch (shape.format) {
    case Format::as_is: break;
    case Format::text: node.kind = Node::Kind::string; break;
    case Format::boolean: to_boolean(node, path, report); break;
    case Format::integer: to_integer(node, shape, path, report); break;
    case Format::number:
    case Format::float32: to_number(node, shape.format, path, report); break;
    case Format::bytes: to_bytes(node, shape, path, report); break;
    case Format::duration: to_duration(node, path, report); break;
    case Format::octal_mode:
    case Format::mode_number: to_mode(node, shape.format, path, report); break;
  }
  if (!shape.one_of.empty()) {
    std::vector<std::string> words(shape.one_of.begin(), shape.one_of.end());
    if (std::find(words.begin(), words.end(), node.text) == words.end()) {
      auto near = nearest(node.text, words);
      report.error(node.place, path, "must be one of " + join(words, ", ") + ", is " + gantry::quoted(node.text),
                   near ? "did you mean " + gantry::quoted(*near) + "?" : "");
    }
  }
  if (shape.matches != nullptr && !shape.matches(node.text)) {
    report.error(node.place, path, gantry::quoted(node.text) + " does not match the pattern: " + shape.pattern);
  }
}

bool is_extension(std::string_view key) { return key.starts_with("x-"); }

void unknown_attribute(Entry& entry, const Shape& shape, const Path& path, Report& report) {
  entry.value.mark_broken();
  std::vector<std::string> known;
  for (const Field& field : shape.fields) known.emplace_back(field.name);
  auto near = nearest(entry.key, known);
  report.error(entry.place, path / entry.key, "additional properties '" + entry.key + "' not allowed",
               near ? "did you mean " + gantry::quoted(*near) + "?" : "there is no such attribute here");
}

void conform_mapping(Node& node, const Shape& shape, const Path& path, Report& report) {
  for (Entry& entry : node.entries) {
    if (shape.values != nullptr) {
      Path child = path / entry.key;
      if (shape.matches != nullptr && !shape.matches(entry.key)) {
        report.error(entry.place, child, "additional properties '" + entry.key + "' not allowed: a name is made of " +
                                             shape.pattern);
      }
      // An empty value has no place of its own worth showing: point at its key.
      if (entry.value.is_null()) entry.value.place = entry.place;
      conform(entry.value, *shape.values, child, report);
      continue;
    }
    if (shape.extensions && is_extension(entry.key)) continue;
    const Field* field = find_field(shape, entry.key);
    if (field == nullptr) {
      unknown_attribute(entry, shape, path, report);
      continue;
    }
    if (entry.value.is_null()) entry.value.place = entry.place;
    conform(entry.value, *field->shape, path / entry.key, report);
  }
  for (const Field& field : shape.fields) {
    if (field.required && !node.has(field.name)) {
      report.error(node.place, path, "missing property '" + std::string(field.name) + "'");
    }
  }
}

// Before the canonical form: repetitions written in one list, where the format forbids them.
void check_repetitions(const Node& node, const Path& path, Report& report) {
  std::unordered_map<std::string_view, size_t> seen;
  for (size_t i = 0; i < node.items.size(); ++i) {
    if (!node.items[i].is_scalar()) continue;
    if (report.full()) return;
    auto [first, fresh] = seen.try_emplace(node.items[i].text, i);
    if (!fresh) {
      report.error(node.items[i].place, path[static_cast<int>(i)],
                   "items at " + std::to_string(first->second) + " and " + std::to_string(i) + " are equal");
    }
  }
}

}  // namespace

const Field* find_field(const Shape& shape, std::string_view name) {
  if (name.empty()) return nullptr;
  if (shape.index != nullptr) {
    const uint8_t position = shape.index->positions[FieldIndex::hash(name)];
    if (position == 0) return nullptr;
    if (const Field& field = shape.fields[position - 1u]; field.name == name) return &field;
  }
  for (const Field& field : shape.fields) {
    // The first letter and the length tell nearly all apart: the comparison proper is seldom needed.
    if (field.name[0] == name[0] && field.name.size() == name.size() && field.name == name) return &field;
  }
  return nullptr;
}

const Shape* child_shape(const Shape& shape, std::string_view name) {
  if (shape.values != nullptr) return shape.values;
  const Field* field = find_field(shape, name);
  return field == nullptr ? nullptr : field->shape;
}

void conform(Node& node, const Shape& shape, const Path& path, Report& report) {
  if (node.is_broken() || report.full() || (node.is_string() && report.is_raw(node.text))) return;
  if ((shape.accepts & bit_of(node.kind)) == 0) return report_kind(node, shape, path, report);
  if (node.is_null()) {
    if (shape.null_is_empty) node = Node::string("", node.place);
    return;
  }
  if (shape.unique_items && node.is_list()) check_repetitions(node, path, report);
  size_t errors = report.errors();
  if (shape.canonical != nullptr) shape.canonical(node, path, report);
  if (node.is_map()) {
    conform_mapping(node, shape, path, report);
  } else if (node.is_list()) {
    if (shape.items == nullptr) return;
    for (size_t i = 0; i < node.items.size(); ++i) {
      conform(node.items[i], *shape.items, path[static_cast<int>(i)], report);
    }
  } else if (report.errors() > errors) {
    node.mark_broken();
  } else if (!node.is_null()) {
    conform_scalar(node, shape, path, report);
    if (report.errors() > errors) node.mark_broken();
  }
}

}  // namespace gantry::compose
