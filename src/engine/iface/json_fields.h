// A struct's JSON form from one list of its fields, for writing and reading alike: what is written is what is
// read back. Only for *_json.cc files, because it brings in the JSON library.
//
//   template <class Fields> void describe(Fields& fields, Ulimit*) {
//     fields("name", &Ulimit::name);
//     fields("soft", &Ulimit::soft);
//   }
//
// An enumeration needs `const char* enum_name(E)` with values from 0 on; nullptr after the last one.
#pragma once

#include <chrono>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "base/result.h"

namespace gantry::engine::json_fields {

using Json = nlohmann::json;
using Path = std::string;  // of a value in its document: "mounts[0].target"

constexpr size_t kMaximumSize = size_t{16} << 20;
constexpr int kMaximumDepth = 32;

inline Error wrong(const Path& path, std::string_view what) {
  return invalid((path.empty() ? std::string() : path + ": ") + std::string(what));
}

// How a T is written and read. This one is for structs that have a `describe`.
template <class T>
struct Codec {
  struct Writer {
    const T& value;
    const T& defaults;
    Json& out;
    template <class Field>
    void operator()(const char* name, Field T::*field) {
      if (!(value.*field == defaults.*field)) out[name] = Codec<Field>::encode(value.*field);
    }
  };
  struct Reader {
    const Json& json;
    const Path& path;
    T& value;
    size_t found = 0;
    std::optional<Error> error = {};
    template <class Field>
    void operator()(const char* name, Field T::*field) {
      if (error) return;
      auto at = json.find(name);
      if (at == json.end()) return;
      ++found;
      auto result = Codec<Field>::decode(*at, path.empty() ? name : path + "." + name, value.*field);
      if (!result.ok()) error = std::move(result).error();
    }
  };
  struct Names {
    std::set<std::string> names;
    template <class Field>
    void operator()(const char* name, Field) {
      names.insert(name);
    }
  };

  static Json encode(const T& value) {
    static const T defaults{};
    Json out = Json::object();
    Writer writer{value, defaults, out};
    describe(writer, static_cast<T*>(nullptr));
    return out;
  }
  static Result<> decode(const Json& json, const Path& path, T& value) {
    if (!json.is_object()) return wrong(path, "must be an object");
    Reader reader{json, path, value};
    describe(reader, static_cast<T*>(nullptr));
    if (reader.error) return *std::move(reader.error);
    if (reader.found == json.size()) return {};
    Names known;
    describe(known, static_cast<T*>(nullptr));
    for (const auto& [key, unused] : json.items()) {
      if (!known.names.contains(key)) return wrong(path, "unknown field " + gantry::quoted(key));
    }
    return {};
  }
};

template <>
struct Codec<std::string> {
  static Json encode(const std::string& value) { return value; }
  static Result<> decode(const Json& json, const Path& path, std::string& value) {
    if (!json.is_string()) return wrong(path, "must be a string");
    value = json.get_ref<const std::string&>();
    return {};
  }
};

template <>
struct Codec<bool> {
  static Json encode(bool value) { return value; }
  static Result<> decode(const Json& json, const Path& path, bool& value) {
    if (!json.is_boolean()) return wrong(path, "must be true or false");
    value = json.get<bool>();
    return {};
  }
};

template <class I>
  requires std::is_integral_v<I>
struct Codec<I> {
  static Json encode(I value) { return value; }
  static Result<> decode(const Json& json, const Path& path, I& value) {
    if (!json.is_number_integer()) return wrong(path, "must be a whole number");
    const bool fits = json.is_number_unsigned() ? std::in_range<I>(json.get<uint64_t>())
                                                : std::in_range<I>(json.get<int64_t>());
    if (!fits) return wrong(path, "is out of range");
    value = json.get<I>();
    return {};
  }
};

template <class E>
  requires std::is_enum_v<E>
struct Codec<E> {
  static Json encode(E value) { return enum_name(value); }
  static Result<> decode(const Json& json, const Path& path, E& value) {
    if (!json.is_string()) return wrong(path, "must be a string");
    const auto& text = json.get_ref<const std::string&>();
    for (int i = 0; enum_name(static_cast<E>(i)) != nullptr; ++i) {
      if (text != enum_name(static_cast<E>(i))) continue;
      value = static_cast<E>(i);
      return {};
    }
    return wrong(path, "unknown value " + gantry::quoted(text));
  }
};

template <class Rep, class Period>
struct Codec<std::chrono::duration<Rep, Period>> {
  using Duration = std::chrono::duration<Rep, Period>;
  static Json encode(Duration value) {
    return std::chrono::duration_cast<std::chrono::nanoseconds>(value).count();
  }
  static Result<> decode(const Json& json, const Path& path, Duration& value) {
    int64_t count = 0;
    TRY(Codec<int64_t>::decode(json, path, count));
    value = std::chrono::duration_cast<Duration>(std::chrono::nanoseconds(count));
    return {};
  }
};

template <class Clock, class Duration>
struct Codec<std::chrono::time_point<Clock, Duration>> {
  using Time = std::chrono::time_point<Clock, Duration>;
  static Json encode(Time value) { return Codec<Duration>::encode(value.time_since_epoch()); }
  static Result<> decode(const Json& json, const Path& path, Time& value) {
    Duration since{};
    TRY(Codec<Duration>::decode(json, path, since));
    value = Time(since);
    return {};
  }
};

template <class T>
struct Codec<std::optional<T>> {
  static Json encode(const std::optional<T>& value) { return value ? Codec<T>::encode(*value) : Json(); }
  static Result<> decode(const Json& json, const Path& path, std::optional<T>& value) {
    value.reset();
    if (json.is_null()) return {};
    return Codec<T>::decode(json, path, value.emplace());
  }
};

template <class T>
struct Codec<std::vector<T>> {
  static Json encode(const std::vector<T>& values) {
    Json array = Json::array();
    for (const T& value : values) array.push_back(Codec<T>::encode(value));
    return array;
  }
  static Result<> decode(const Json& json, const Path& path, std::vector<T>& values) {
    if (!json.is_array()) return wrong(path, "must be a list");
    values.clear();
    values.reserve(json.size());
    for (size_t i = 0; i < json.size(); ++i) {
      TRY(Codec<T>::decode(json[i], path + "[" + std::to_string(i) + "]", values.emplace_back()));
    }
    return {};
  }
};

template <class T>
struct Codec<std::set<T>> {
  static Json encode(const std::set<T>& values) {
    return Codec<std::vector<T>>::encode(std::vector<T>(values.begin(), values.end()));
  }
  static Result<> decode(const Json& json, const Path& path, std::set<T>& values) {
    std::vector<T> list;
    TRY(Codec<std::vector<T>>::decode(json, path, list));
    values = std::set<T>(list.begin(), list.end());
    return {};
  }
};

template <class T>
struct Codec<std::map<std::string, T>> {
  static Json encode(const std::map<std::string, T>& values) {
    Json object = Json::object();
    for (const auto& [key, value] : values) object[key] = Codec<T>::encode(value);
    return object;
  }
  static Result<> decode(const Json& json, const Path& path, std::map<std::string, T>& values) {
    if (!json.is_object()) return wrong(path, "must be an object");
    values.clear();
    for (const auto& [key, inner] : json.items()) {
      TRY(Codec<T>::decode(inner, path + "[" + key + "]", values[key]));
    }
    return {};
  }
};

template <class T>
std::string write(const T& value) {
  // Bytes that are no UTF-8 (possible in environment variables) are kept as U+FFFD rather than refused.
  return Codec<T>::encode(value).dump(-1, ' ', false, Json::error_handler_t::replace);
}

// `what` names the document in messages: "container spec".
template <class T>
Result<T> read(std::string_view text, const char* what) {
  if (text.size() > kMaximumSize) return invalid(std::string(what) + ": more than 16 MiB");
  bool too_deep = false;
  const auto bounded = [&](int depth, Json::parse_event_t, Json&) {
    too_deep = too_deep || depth > kMaximumDepth;
    return !too_deep;
  };
  const Json json = Json::parse(text, bounded, false);
  if (too_deep) return invalid(std::string(what) + ": nested too deeply");
  if (json.is_discarded()) return invalid(std::string(what) + ": is no JSON");
  T value{};
  auto result = Codec<T>::decode(json, Path(), value);
  if (!result.ok()) return std::move(result).error().within(what);
  return value;
}

}  // namespace gantry::engine::json_fields
