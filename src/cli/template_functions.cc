#include "cli/template_functions.h"

#include <cstdio>
#include <map>
#include <nlohmann/json.hpp>

#include "base/strings.h"
#include "cli/text.h"

namespace gantry::cli {
namespace {

using Values = std::vector<Value>;
using Function = Result<Value> (*)(Values&);

Result<std::string> text_at(const Values& arguments, size_t index) {
  if (index >= arguments.size()) return invalid("wrong number of args");
  if (arguments[index].is_string()) return arguments[index].get<std::string>();
  if (arguments[index].is_null()) return std::string();
  return invalid("wrong type for value; expected string; got " + std::string(arguments[index].type_name()));
}

// Without what only methods see; Go sorts the keys of maps, but not of structs, whose order ours is.
Value shown(const Value& value) {
  if (!value.is_object()) return value;
  Value visible = Value::object();
  for (const auto& [key, item] : value.items()) {
    if (!key.starts_with(kHiddenMember)) visible[key] = item;
  }
  return visible;
}

// As Docker's: Go's encoder, told not to escape <, > and &.
std::string json_text(const Value& value) { return shown(value).dump(-1, ' ', false, Value::error_handler_t::replace); }

int compare(const Value& a, const Value& b) {
  if (a.is_number() && b.is_number()) return a < b ? -1 : b < a ? 1 : 0;
  const std::string x = printed(a), y = printed(b);
  return x < y ? -1 : y < x ? 1 : 0;
}

bool comparable(const Value& a, const Value& b) {
  return (a.is_number() && b.is_number()) || a.type() == b.type() || a.is_null() || b.is_null();
}

template <class Test>
Result<Value> ordered(const Values& arguments, Test test) {
  if (arguments.size() != 2) return invalid("wrong number of args: want 2 got " + std::to_string(arguments.size()));
  if (!comparable(arguments[0], arguments[1])) return invalid("incompatible types for comparison");
  return Value(test(compare(arguments[0], arguments[1])));
}

Result<Value> equal(Values& arguments) {
  if (arguments.size() < 2) return invalid("missing argument for comparison");
  for (size_t i = 1; i < arguments.size(); ++i) {
    if (!comparable(arguments[0], arguments[i])) return invalid("incompatible types for comparison");
    if (arguments[0] == arguments[i]) return Value(true);
  }
  return Value(false);
}

Result<Value> length(Values& arguments) {
  if (arguments.size() != 1) return invalid("wrong number of args for len: want 1 got " + std::to_string(arguments.size()));
  const Value& value = arguments[0];
  if (value.is_string()) return Value(value.get_ref<const std::string&>().size());
  if (value.is_array() || value.is_object()) return Value(value.size());
  if (value.is_null()) return Value(0);
  return invalid("len of type " + std::string(value.type_name()));
}

Result<Value> index_into(Values& arguments) {
  if (arguments.empty()) return invalid("wrong number of args for index");
  Value value = arguments[0];
  for (size_t i = 1; i < arguments.size(); ++i) {
    const Value& key = arguments[i];
    if (value.is_null()) return invalid("index of untyped nil");
    if (value.is_object()) {
      if (!key.is_string()) return invalid("value has type " + std::string(key.type_name()) + "; should be string");
      const auto found = value.find(key.get<std::string>());
      // Go gives the zero value of the map's type; texts are what maps of ours hold.
      Value next = found == value.end() ? Value("") : *found;
      value = std::move(next);
      continue;
    }
    if (!value.is_array()) return invalid("can't index item of type " + std::string(value.type_name()));
    if (!key.is_number_integer()) return invalid("cannot index slice/array with type " + std::string(key.type_name()));
    const auto at = key.get<int64_t>();
    if (at < 0 || static_cast<size_t>(at) >= value.size()) return invalid("index out of range: " + std::to_string(at));
    Value next = value[static_cast<size_t>(at)];
    value = std::move(next);
  }
  return value;
}

Result<Value> slice_of(Values& arguments) {
  if (arguments.empty() || arguments.size() > 3) return invalid("wrong number of args for slice");
  const Value& value = arguments[0];
  if (!value.is_string() && !value.is_array()) return invalid("can't slice item of type " + std::string(value.type_name()));
  const size_t size = value.is_string() ? value.get_ref<const std::string&>().size() : value.size();
  size_t bounds[2] = {0, size};
  for (size_t i = 1; i < arguments.size(); ++i) {
    if (!arguments[i].is_number_integer()) return invalid("cannot index slice/array with type " + std::string(arguments[i].type_name()));
    const auto at = arguments[i].get<int64_t>();
    if (at < 0 || static_cast<size_t>(at) > size) return invalid("index out of range: " + std::to_string(at));
    bounds[i - 1] = static_cast<size_t>(at);
  }
  if (bounds[0] > bounds[1]) return invalid("invalid slice index: " + std::to_string(bounds[0]) + " > " + std::to_string(bounds[1]));
  if (value.is_string()) return Value(value.get<std::string>().substr(bounds[0], bounds[1] - bounds[0]));
  return Value(std::vector<Value>(value.begin() + static_cast<ptrdiff_t>(bounds[0]), value.begin() + static_cast<ptrdiff_t>(bounds[1])));
}

// fmt.Print: a space between two neighbours neither of which is a text.
Result<Value> print(Values& arguments) {
  std::string text;
  for (size_t i = 0; i < arguments.size(); ++i) {
    if (i > 0 && !arguments[i].is_string() && !arguments[i - 1].is_string()) text += ' ';
    text += printed(arguments[i]);
  }
  return Value(text);
}

Result<Value> println(Values& arguments) {
  std::string text;
  for (size_t i = 0; i < arguments.size(); ++i) text += (i > 0 ? " " : "") + printed(arguments[i]);
  return Value(text + "\n");
}

// One directive "%-10.2f" with its argument.
std::string by_directive(const std::string& directive, char verb, const Value& value) {
  char buffer[512];
  const std::string head = directive.substr(0, directive.size() - 1);
  const auto fill = [&](const std::string& conversion, auto number) {
    std::snprintf(buffer, sizeof buffer, (head + conversion).c_str(), number);
    return std::string(buffer);
  };
  if (verb == 'd' || verb == 'x' || verb == 'X' || verb == 'o') {
    if (value.is_number()) return fill(std::string("ll") + verb, value.get<long long>());
  } else if (verb == 'f' || verb == 'g' || verb == 'e') {
    if (value.is_number()) return fill(std::string(1, verb), value.get<double>());
  } else {
    const std::string text = verb == 'q' ? gantry::quoted(printed(value)) : printed(value);
    if (head == "%") return text;
    return fill("s", text.c_str());
  }
  return std::string("%!") + verb + "(" + printed(value) + ")";
}

Result<Value> printf_(Values& arguments) {
  const std::string format = TRY(text_at(arguments, 0));
  std::string text;
  size_t next = 1;
  for (size_t i = 0; i < format.size(); ++i) {
    if (format[i] != '%') {
      text += format[i];
      continue;
    }
    size_t end = format.find_first_not_of("0123456789.-+ #", i + 1);
    if (end == std::string::npos || end - i > 12) return invalid("bad format " + gantry::quoted(format));
    const char verb = format[end];
    if (verb == '%') text += '%';
    else if (std::string_view("vsqdxXofget").find(verb) == std::string_view::npos) text += std::string("%!") + verb;
    else if (next >= arguments.size()) text += std::string("%!") + verb + "(MISSING)";
    else text += by_directive(format.substr(i, end - i + 1), verb, arguments[next++]);
    i = end;
  }
  return Value(text);
}

Result<Value> split_text(Values& arguments) {
  const std::string text = TRY(text_at(arguments, 0));
  const std::string separator = TRY(text_at(arguments, 1));
  Value list = Value::array();
  if (separator.empty()) {
    for (const char c : text) list.push_back(std::string(1, c));
    return list;
  }
  size_t at = 0;
  for (size_t end; (end = text.find(separator, at)) != std::string::npos; at = end + separator.size()) {
    list.push_back(text.substr(at, end - at));
  }
  list.push_back(text.substr(at));
  return list;
}

Result<Value> join_texts(Values& arguments) {
  if (arguments.size() != 2) return invalid("wrong number of args for join: want 2 got " + std::to_string(arguments.size()));
  const std::string separator = TRY(text_at(arguments, 1));
  std::string text;
  if (arguments[0].is_null()) return Value("");
  if (!arguments[0].is_array()) return invalid("wrong type for value; expected []string");
  for (size_t i = 0; i < arguments[0].size(); ++i) text += (i > 0 ? separator : "") + printed(arguments[0][i]);
  return Value(text);
}

template <class Change>
Result<Value> changed(const Values& arguments, Change change) {
  if (arguments.size() != 1) return invalid("wrong number of args: want 1 got " + std::to_string(arguments.size()));
  std::string text = TRY(text_at(arguments, 0));
  bool begins_word = true;
  for (char& c : text) {
    c = change(c, begins_word);
    begins_word = c == ' ' || c == '\t' || c == '\n';
  }
  return Value(text);
}
char upper_of(char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c; }
char lower_of(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

Result<int64_t> number_at(const Values& arguments, size_t index) {
  if (index >= arguments.size() || !arguments[index].is_number_integer()) return invalid("wrong type for value; expected int");
  return arguments[index].get<int64_t>();
}

const std::map<std::string_view, Function>& functions() {
  static const std::map<std::string_view, Function> kFunctions = {
      {"and", [](Values& a) -> Result<Value> { return a.empty() ? Value(true) : a.back(); }},
      {"or", [](Values& a) -> Result<Value> { return a.empty() ? Value(false) : a.back(); }},
      {"not",
       [](Values& a) -> Result<Value> {
         if (a.size() != 1) return invalid("wrong number of args for not");
         return Value(!is_truthy(a[0]));
       }},
      {"eq", equal},
      {"ne",
       [](Values& a) -> Result<Value> {
         if (a.size() != 2) return invalid("wrong number of args for ne");
         return Value(!TRY(equal(a)).get<bool>());
       }},
      {"lt", [](Values& a) { return ordered(a, [](int order) { return order < 0; }); }},
      {"le", [](Values& a) { return ordered(a, [](int order) { return order <= 0; }); }},
      {"gt", [](Values& a) { return ordered(a, [](int order) { return order > 0; }); }},
      {"ge", [](Values& a) { return ordered(a, [](int order) { return order >= 0; }); }},
      {"len", length},
      {"index", index_into},
      {"slice", slice_of},
      {"print", print},
      {"println", println},
      {"printf", printf_},
      {"json",
       [](Values& a) -> Result<Value> {
         if (a.size() != 1) return invalid("wrong number of args for json");
         return Value(json_text(a[0]));
       }},
      {"split", split_text},
      {"join", join_texts},
      {"upper", [](Values& a) { return changed(a, [](char c, bool) { return upper_of(c); }); }},
      {"lower", [](Values& a) { return changed(a, [](char c, bool) { return lower_of(c); }); }},
      {"title", [](Values& a) { return changed(a, [](char c, bool first) { return first ? upper_of(c) : c; }); }},
      {"pad",
       [](Values& a) -> Result<Value> {
         const std::string text = TRY(text_at(a, 0));
         if (text.empty()) return Value("");
         const auto width = [](int64_t n) { return static_cast<size_t>(std::clamp<int64_t>(n, 0, 1000)); };
         return Value(std::string(width(TRY(number_at(a, 1))), ' ') + text + std::string(width(TRY(number_at(a, 2))), ' '));
       }},
      {"truncate",
       [](Values& a) -> Result<Value> {
         const std::string text = TRY(text_at(a, 0));
         return Value(text.substr(0, static_cast<size_t>(std::max<int64_t>(TRY(number_at(a, 1)), 0))));
       }},
  };
  return kFunctions;
}

}  // namespace

bool is_template_function(std::string_view name) { return functions().contains(name); }

Result<Value> call_template_function(std::string_view name, std::vector<Value> arguments) {
  return functions().at(name)(arguments);
}

std::string printed(const Value& value) {
  switch (value.type()) {
    case Value::value_t::null:
    case Value::value_t::discarded:
      return "<no value>";
    case Value::value_t::string:
      return value.get<std::string>();
    case Value::value_t::object: {
      std::map<std::string, std::string> sorted;
      for (const auto& [key, item] : value.items()) {
        if (!key.starts_with(kHiddenMember)) sorted[key] = item.is_null() ? "<nil>" : printed(item);
      }
      std::string text = "map[";
      for (const auto& [key, item] : sorted) text += (text.size() > 4 ? " " : "") + key + ":" + item;
      return text + "]";
    }
    case Value::value_t::array: {
      std::string text = "[";
      for (const Value& item : value) text += (text.size() > 1 ? " " : "") + (item.is_null() ? "<nil>" : printed(item));
      return text + "]";
    }
    default:
      return value.dump();
  }
}

bool is_truthy(const Value& value) {
  switch (value.type()) {
    case Value::value_t::null:
    case Value::value_t::discarded:
      return false;
    case Value::value_t::boolean:
      return value.get<bool>();
    case Value::value_t::string:
      return !value.get_ref<const std::string&>().empty();
    case Value::value_t::object:
    case Value::value_t::array:
      return !value.empty();
    default:
      return value.get<double>() != 0;
  }
}

}  // namespace gantry::cli
