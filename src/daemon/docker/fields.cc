#include "daemon/docker/fields.h"

#include <nlohmann/json.hpp>

#include "base/strings.h"

namespace gantry::daemon::docker {

using nlohmann::json;

namespace {
const json kNothing = json::object();
}  // namespace

Fields::Fields(const json& object, std::string path, Trouble& trouble)
    : object_(&object), path_(std::move(path)), trouble_(&trouble) {
  if (!object.is_object() && !object.is_null()) {
    refuse(invalid("invalid JSON: " + path_ + ": expected an object"));
    object_ = &kNothing;
  }
}

std::string Fields::full(std::string_view name) const {
  return path_.empty() ? std::string(name) : path_ + "." + std::string(name);
}

void Fields::refuse(Error error) const {
  if (!*trouble_) *trouble_ = std::move(error);
}

void Fields::complain(std::string_view name, std::string_view what) const {
  refuse(invalid("invalid JSON: " + full(name) + ": " + std::string(what)));
}

// An exact name wins over one that differs in case, as in Go.
const json* Fields::find(std::string_view name) const {
  if (!object_->is_object()) return nullptr;
  if (const auto at = object_->find(std::string(name)); at != object_->end()) return at->is_null() ? nullptr : &*at;
  for (const auto& [key, value] : object_->items()) {
    if (equals_ignoring_case(key, name)) return value.is_null() ? nullptr : &value;
  }
  return nullptr;
}

bool Fields::has(std::string_view name) const { return find(name) != nullptr; }

std::optional<std::string> Fields::optional_text(std::string_view name) const {
  const json* value = find(name);
  if (value == nullptr) return std::nullopt;
  if (value->is_string()) return value->get<std::string>();
  complain(name, "expected a string");
  return std::nullopt;
}

std::string Fields::text(std::string_view name) const { return optional_text(name).value_or(""); }

std::optional<int64_t> Fields::optional_integer(std::string_view name) const {
  const json* value = find(name);
  if (value == nullptr) return std::nullopt;
  const bool fits = value->is_number_integer() &&
                    (!value->is_number_unsigned() || value->get<uint64_t>() <= static_cast<uint64_t>(INT64_MAX));
  if (fits) return value->get<int64_t>();
  complain(name, "expected a whole number");
  return std::nullopt;
}

int64_t Fields::integer(std::string_view name) const { return optional_integer(name).value_or(0); }

std::vector<int64_t> Fields::integers(std::string_view name) const {
  std::vector<int64_t> numbers;
  const json* value = find(name);
  if (value == nullptr) return numbers;
  if (!value->is_array()) {
    complain(name, "expected a list of whole numbers");
    return numbers;
  }
  for (const json& item : *value) {
    if (item.is_number_integer()) {
      numbers.push_back(item.get<int64_t>());
    } else {
      complain(name, "expected a list of whole numbers");
    }
  }
  return numbers;
}

std::optional<bool> Fields::optional_flag(std::string_view name) const {
  const json* value = find(name);
  if (value == nullptr) return std::nullopt;
  if (value->is_boolean()) return value->get<bool>();
  complain(name, "expected true or false");
  return std::nullopt;
}

bool Fields::flag(std::string_view name) const { return optional_flag(name).value_or(false); }

std::optional<std::vector<std::string>> Fields::optional_texts(std::string_view name) const {
  const json* value = find(name);
  if (value == nullptr) return std::nullopt;
  std::vector<std::string> texts;
  if (!value->is_array()) {
    complain(name, "expected a list of strings");
    return texts;
  }
  for (const json& item : *value) {
    if (item.is_string()) {
      texts.push_back(item.get<std::string>());
    } else {
      complain(name, "expected a list of strings");
    }
  }
  return texts;
}

std::vector<std::string> Fields::texts(std::string_view name) const {
  return optional_texts(name).value_or(std::vector<std::string>());
}

std::optional<std::vector<std::string>> Fields::text_or_texts(std::string_view name) const {
  const json* value = find(name);
  if (value != nullptr && value->is_string()) return std::vector<std::string>{value->get<std::string>()};
  return optional_texts(name);
}

std::vector<std::vector<std::string>> Fields::text_lists(std::string_view name) const {
  std::vector<std::vector<std::string>> lists;
  const json* value = find(name);
  if (value == nullptr) return lists;
  if (!value->is_array()) complain(name, "expected a list of lists of strings");
  for (const json& list : *value) {
    lists.emplace_back();
    if (!list.is_array()) complain(name, "expected a list of lists of strings");
    for (const json& item : list) {
      if (item.is_string()) {
        lists.back().push_back(item.get<std::string>());
      } else {
        complain(name, "expected a list of lists of strings");
      }
    }
  }
  return lists;
}

std::map<std::string, std::string> Fields::text_map(std::string_view name) const {
  std::map<std::string, std::string> map;
  const json* value = find(name);
  if (value == nullptr) return map;
  if (!value->is_object()) complain(name, "expected an object of strings");
  for (const auto& [key, item] : value->items()) {
    if (item.is_string()) {
      map[key] = item.get<std::string>();
    } else if (!item.is_null()) {
      complain(name, "expected an object of strings");
    } else {
      map[key] = "";
    }
  }
  return map;
}

std::vector<std::string> Fields::keys(std::string_view name) const {
  std::vector<std::string> keys;
  const json* value = find(name);
  if (value == nullptr) return keys;
  if (!value->is_object()) {
    complain(name, "expected an object");
    return keys;
  }
  for (const auto& item : value->items()) keys.push_back(item.key());
  return keys;
}

Fields Fields::object(std::string_view name) const {
  const json* value = find(name);
  return {value == nullptr ? kNothing : *value, full(name), *trouble_};
}

std::vector<Fields> Fields::objects(std::string_view name) const {
  std::vector<Fields> list;
  const json* value = find(name);
  if (value == nullptr) return list;
  if (!value->is_array()) {
    complain(name, "expected a list");
    return list;
  }
  for (size_t i = 0; i < value->size(); ++i) {
    list.emplace_back((*value)[i], full(name) + "[" + std::to_string(i) + "]", *trouble_);
  }
  return list;
}

std::map<std::string, Fields> Fields::members(std::string_view name) const {
  std::map<std::string, Fields> map;
  const json* value = find(name);
  for (const std::string& key : keys(name)) map.emplace(key, Fields((*value)[key], full(name) + "." + key, *trouble_));
  return map;
}

std::map<std::string, std::vector<Fields>> Fields::member_lists(std::string_view name) const {
  std::map<std::string, std::vector<Fields>> map;
  const json* value = find(name);
  if (value == nullptr) return map;
  const Fields lists(*value, full(name), *trouble_);
  for (const std::string& key : keys(name)) map.emplace(key, lists.objects(key));
  return map;
}

}  // namespace gantry::daemon::docker
