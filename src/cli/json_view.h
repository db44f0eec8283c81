// JSON of the daemon and of files, read and written without exceptions. Only for .cc files that convert it: the header
// behind it is a heavy one.
#pragma once

#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "cli/api_types.h"

namespace gantry::cli {

using Json = nlohmann::json;
using OrderedJson = nlohmann::ordered_json;  // what is shown or sent keeps its order

// Read access that never throws: what is missing or of another type is empty.
class View {
 public:
  explicit View(const Json* value) : value_(value) {}

  View operator[](const char* key) const {
    if (value_ == nullptr || !value_->is_object()) return View(nullptr);
    const auto found = value_->find(key);
    return View(found != value_->end() ? &*found : nullptr);
  }
  std::string text() const {
    return value_ != nullptr && value_->is_string() ? value_->get_ref<const std::string&>() : "";
  }
  int64_t number() const { return value_ != nullptr && value_->is_number() ? value_->get<int64_t>() : 0; }
  double real() const { return value_ != nullptr && value_->is_number() ? value_->get<double>() : 0; }
  bool present() const { return value_ != nullptr && !value_->is_null(); }
  uint64_t size() const { return static_cast<uint64_t>(std::max<int64_t>(number(), 0)); }
  bool flag() const { return value_ != nullptr && value_->is_boolean() && value_->get<bool>(); }
  std::vector<View> items() const {
    std::vector<View> views;
    if (value_ != nullptr && value_->is_array()) {
      for (const Json& item : *value_) views.push_back(View(&item));
    }
    return views;
  }
  std::vector<std::string> texts() const {
    std::vector<std::string> values;
    for (const View& item : items()) values.push_back(item.text());
    return values;
  }
  StringMap text_map() const {
    StringMap values;
    if (value_ == nullptr || !value_->is_object()) return values;
    for (const auto& [key, value] : value_->items()) values[key] = View(&value).text();
    return values;
  }
  std::vector<std::string> keys() const {
    std::vector<std::string> names;
    if (value_ == nullptr || !value_->is_object()) return names;
    for (const auto& [key, value] : value_->items()) names.push_back(key);
    return names;
  }

 private:
  const Json* value_;
};

// The member's text; "" if it is missing or of another type, or the whole is no object.
template <class AnyJson>
std::string text_member(const AnyJson& object, const char* key) {
  if (!object.is_object()) return "";
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->template get<std::string>() : std::string();
}

// Bytes that are no UTF-8 are replaced.
inline std::string dumped(const OrderedJson& json) {
  return json.dump(-1, ' ', false, OrderedJson::error_handler_t::replace);
}

inline Error not_json(std::string_view text) {
  return internal_error("the daemon's answer is no JSON: " + quoted(text.substr(0, 200)));
}

inline Result<Json> parsed(std::string_view text) {
  Json value = Json::parse(text, nullptr, false);
  if (value.is_discarded()) return not_json(text);
  return value;
}

}  // namespace gantry::cli
