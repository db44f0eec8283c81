#include "compose/json_schema.h"

#include <nlohmann/json.hpp>

#include "compose/canonical.h"
#include "compose/schema.h"

namespace gantry::compose {
namespace {

using OrderedJson = nlohmann::ordered_json;

// A value that is not known before variables are replaced.
constexpr const char* kVariable = "\\$";

std::string singular(std::string name) {
  if (name.ends_with("ies")) return name.substr(0, name.size() - 3) + "y";
  if (name.ends_with("s") && !name.ends_with("ss") && !name.ends_with("gpus")) name.pop_back();
  return name;
}

class SchemaMaker {
 public:
  OrderedJson run() {
    OrderedJson schema;
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema";
    schema["title"] = "Compose file";
    schema["description"] = "An application of several containers, as read by gantry and other implementations of Compose.";
    OrderedJson project = mapping(project_shape(), "");
    OrderedJson& properties = project["properties"];
    properties["name"]["description"] = "Name of the project; it prefixes containers, networks and volumes.";
    properties["version"] = {{"type", "string"}, {"deprecated", true}, {"description", "Obsolete; ignored with a warning."}};
    properties["include"] = include();
    schema.update(project);
    definitions_["service"]["properties"]["extends"] = extends();
    schema["$defs"] = std::move(definitions_);
    return schema;
  }

 private:
  static OrderedJson strings() { return {{"type", "array"}, {"items", {{"type", "string"}}}}; }
  static OrderedJson unique_strings() {
    OrderedJson list = strings();
    list["uniqueItems"] = true;
    return list;
  }
  static OrderedJson any_of(OrderedJson alternatives) {
    if (alternatives.size() == 1) return alternatives[0];
    return {{"anyOf", std::move(alternatives)}};
  }
  static OrderedJson string_or_strings() { return any_of({{{"type", "string"}}, strings()}); }

  static OrderedJson include() {
    OrderedJson entry = {{"type", "object"},
                         {"properties",
                          {{"path", string_or_strings()},
                           {"project_directory", {{"type", "string"}}},
                           {"env_file", string_or_strings()}}},
                         {"required", {"path"}},
                         {"patternProperties", {{"^x-", OrderedJson::object()}}},
                         {"additionalProperties", false}};
    return {{"description", "Other compose files that are loaded as models of their own."},
            {"type", OrderedJson::array({"array", "null"})},
            {"items", any_of({{{"type", "string"}}, std::move(entry)})}};
  }

  static OrderedJson extends() {
    OrderedJson mapping = {{"type", "object"},
                           {"properties", {{"service", {{"type", "string"}}}, {"file", {{"type", OrderedJson::array({"string", "null"})}}}}},
                           {"required", {"service"}},
                           {"additionalProperties", false}};
    OrderedJson schema = any_of({{{"type", "string"}}, std::move(mapping)});
    schema["description"] = description_of("service.extends");
    return schema;
  }

  // Mappings with attributes of their own are definitions: they can be long, and some are used in several places.
  OrderedJson schema_of(const Shape& shape, const std::string& name) {
    OrderedJson alternatives = OrderedJson::array();
    OrderedJson types = OrderedJson::array();
    if ((shape.accepts & kNull) != 0) types.push_back("null");
    if ((shape.accepts & kBoolean) != 0) types.push_back("boolean");
    if ((shape.accepts & kNumber) != 0) types.push_back("number");
    else if ((shape.accepts & kInteger) != 0) types.push_back("integer");
    bool limited = (shape.accepts & kInteger) != 0 && shape.minimum != INT64_MIN;
    if (limited) {
      OrderedJson number = {{"type", types.back()}, {"minimum", shape.minimum}};
      if (shape.maximum != INT64_MAX) number["maximum"] = shape.maximum;
      types.erase(types.size() - 1);
      alternatives.push_back(std::move(number));
    }
    if ((shape.accepts & kString) != 0) text(shape, types, alternatives);
    if (!types.empty()) {
      OrderedJson by_type = OrderedJson::object();
      by_type["type"] = types.size() == 1 ? types[0] : types;
      alternatives.insert(alternatives.begin(), by_type);
    }
    if ((shape.accepts & kList) != 0) alternatives.push_back(list(shape, name));
    if ((shape.accepts & kMapping) != 0) alternatives.push_back(reference(shape, name));
    return any_of(std::move(alternatives));
  }

  static void text(const Shape& shape, OrderedJson& types, OrderedJson& alternatives) {
    if (shape.canonical == canonical::gpus) {
      alternatives.push_back({{"const", "all"}});
    } else if (!shape.one_of.empty()) {
      OrderedJson words = OrderedJson::array();
      for (const char* word : shape.one_of) words.push_back(word);
      alternatives.push_back({{"enum", std::move(words)}});
      alternatives.push_back({{"type", "string"}, {"pattern", kVariable}});
    } else if (shape.regex != nullptr && (shape.accepts & kMapping) == 0) {
      alternatives.push_back({{"type", "string"}, {"pattern", shape.regex}});
      alternatives.push_back({{"type", "string"}, {"pattern", kVariable}});
    } else {
      types.push_back("string");
    }
  }

  // The short forms that items may have: what the canonical form makes mappings of.
  static OrderedJson short_item(const Shape& shape) {
    if (shape.canonical == canonical::ports) return {{"type", OrderedJson::array({"integer", "string"})}};
    for (Canonical strings : {canonical::devices, canonical::env_files, canonical::file_references, canonical::volumes}) {
      if (shape.canonical == strings) return {{"type", "string"}};
    }
    return nullptr;
  }

  OrderedJson list(const Shape& shape, const std::string& name) {
    if (shape.canonical == canonical::depends_on || shape.canonical == canonical::null_map) return unique_strings();
    if (shape.items == nullptr || shape.canonical == canonical::extra_hosts) return strings();
    OrderedJson items = schema_of(*shape.items, singular(name));
    if (OrderedJson shorter = short_item(shape); !shorter.is_null()) items = any_of({std::move(shorter), std::move(items)});
    OrderedJson out = {{"type", "array"}, {"items", std::move(items)}};
    if (shape.unique_items) out["uniqueItems"] = true;
    return out;
  }

  OrderedJson reference(const Shape& shape, const std::string& name) {
    if (shape.fields.empty()) return mapping(shape, name);
    auto [known, fresh] = names_.try_emplace(&shape, name);
    if (fresh) {
      definitions_[name] = OrderedJson();  // its place in the order
      OrderedJson made = mapping(shape, name);
      definitions_[name] = std::move(made);
    }
    return {{"$ref", "#/$defs/" + known->second}};
  }

  OrderedJson mapping(const Shape& shape, const std::string& name) {
    OrderedJson out = {{"type", "object"}};
    if (shape.fields.empty()) return user_keyed(std::move(out), shape, name);
    OrderedJson required = OrderedJson::array();
    for (const Field& field : shape.fields) {
      std::string attribute(field.name);
      OrderedJson schema = schema_of(*field.shape, name.empty() ? attribute : name + "_" + attribute);
      std::string_view description = description_of((name.empty() ? "" : name + ".") + attribute);
      if (!description.empty()) schema["description"] = description;
      out["properties"][attribute] = std::move(schema);
      if (field.required) required.push_back(attribute);
    }
    if (!required.empty()) out["required"] = std::move(required);
    if (shape.extensions) out["patternProperties"]["^x-"] = OrderedJson::object();
    out["additionalProperties"] = false;
    return out;
  }

  OrderedJson user_keyed(OrderedJson out, const Shape& shape, const std::string& name) {
    OrderedJson values = OrderedJson::object();
    if (shape.canonical == canonical::extra_hosts) values = string_or_strings();
    else if (shape.canonical == canonical::ssh) values = {{"type", OrderedJson::array({"string", "null"})}};
    else if (shape.values != nullptr) values = schema_of(*shape.values, singular(name));
    // Labels and the like: an empty value is an empty text.
    if (shape.canonical == canonical::labels || shape.canonical == canonical::key_values) {
      values = {{"type", OrderedJson::array({"null", "boolean", "number", "string"})}};
    }
    if (shape.regex == nullptr) {
      out["additionalProperties"] = std::move(values);
    } else {
      out["patternProperties"][shape.regex] = std::move(values);
      out["additionalProperties"] = false;
    }
    return out;
  }

  OrderedJson definitions_ = OrderedJson::object();
  std::map<const Shape*, std::string> names_;
};

}  // namespace

std::string json_schema() { return SchemaMaker().run().dump(2) + "\n"; }

}  // namespace gantry::compose
