// Templates as `--format` takes them: the part of Go's text/template that people and scripts use with Docker's tools.
//
//   {{.Field.Sub}}  {{index .Map "key"}}  {{range $i, $v := .List}}…{{else}}…{{end}}  {{if eq .A "b"}}…{{else if}}…{{end}}
//   {{with .X}}…{{end}}  {{$v := …}}  {{… | upper}}  {{- trim -}}  {{/* comment */}}
//   and or not eq ne lt le gt ge len index slice print printf println json split join title lower upper pad truncate
//
// Values are JSON. Pure; any thread.
#pragma once

#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "base/result.h"

namespace gantry::cli {

using Value = nlohmann::ordered_json;

// Members of an object whose name begins so are not shown by {{json .}}: arguments of methods such as .Label.
inline constexpr char kHiddenMember = '\x01';

class Template {
 public:
  struct Node;

  // Errors: invalid, `template parsing error: template: :1:3: …` with the line and column.
  static Result<Template> parse(std::string_view text);
  // Errors: invalid, a field that is not there, a function that gets what it cannot take.
  enum class Missing { error, no_value };  // of a member that is not there; "<no value>" is what Go's templates print
  Result<std::string> run(const Value& data, Missing missing = Missing::error) const;

 private:
  std::shared_ptr<const Node> root_;
};

}  // namespace gantry::cli
