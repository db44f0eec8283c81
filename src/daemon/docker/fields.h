// Reads the fields of a request's JSON with the rules of Go's decoder, which clients rely on: names match without
// regard to case, unknown ones are ignored, null is the zero value, a wrong type is an error. Pure.
//
//   Trouble trouble;
//   const Fields body(json, "", trouble);
//   spec.image = body.text("Image");
//   if (trouble) return *trouble;
#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace gantry::daemon::docker {

// The first thing that was wrong; the readers go on with zero values, and the caller looks at the end.
using Trouble = std::optional<Error>;

class Fields {
 public:
  // `path` names the object in messages: "HostConfig". The JSON must outlive this.
  Fields(const nlohmann::json& object, std::string path, Trouble& trouble);

  bool has(std::string_view name) const;  // present and not null
  std::string text(std::string_view name) const;
  std::optional<std::string> optional_text(std::string_view name) const;
  int64_t integer(std::string_view name) const;
  std::optional<int64_t> optional_integer(std::string_view name) const;
  std::vector<int64_t> integers(std::string_view name) const;
  bool flag(std::string_view name) const;
  std::optional<bool> optional_flag(std::string_view name) const;
  std::vector<std::string> texts(std::string_view name) const;
  std::optional<std::vector<std::string>> optional_texts(std::string_view name) const;  // nothing: absent or null
  // As texts(), but a single string is a list of one.
  std::optional<std::vector<std::string>> text_or_texts(std::string_view name) const;
  std::vector<std::vector<std::string>> text_lists(std::string_view name) const;  // an array of arrays of texts
  std::map<std::string, std::string> text_map(std::string_view name) const;
  std::vector<std::string> keys(std::string_view name) const;                            // of an object: {"80/tcp": {}}
  Fields object(std::string_view name) const;                                            // an empty one if absent
  std::vector<Fields> objects(std::string_view name) const;                              // an array of objects
  std::map<std::string, Fields> members(std::string_view name) const;                    // an object of objects
  std::map<std::string, std::vector<Fields>> member_lists(std::string_view name) const;  // … of arrays of objects

  const std::string& path() const { return path_; }
  void complain(std::string_view name, std::string_view what) const;  // "invalid JSON: PATH.NAME: WHAT"
  void refuse(Error error) const;                                     // any other error, first one wins

 private:
  const nlohmann::json* find(std::string_view name) const;
  std::string full(std::string_view name) const;

  const nlohmann::json* object_;
  std::string path_;
  Trouble* trouble_;
};

}  // namespace gantry::daemon::docker
