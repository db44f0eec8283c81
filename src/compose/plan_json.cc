#include <nlohmann/json.hpp>

#include "compose/plan_changes.h"

namespace gantry::compose {
namespace {

using OrderedJson = nlohmann::ordered_json;
using ChangeKind = Change::Kind;
using Resource = Progress::Resource;

const char* word_of(Resource resource) {
  switch (resource) {
    case Resource::network: return "network";
    case Resource::volume: return "volume";
    case Resource::image: return "image";
    case Resource::container: return "container";
    case Resource::project: return "project";
    case Resource::service: return "service";
  }
  return "";
}

std::optional<Resource> resource_of(const std::string& word) {
  for (const Resource resource : {Resource::network, Resource::volume, Resource::image, Resource::container,
                                  Resource::project, Resource::service}) {
    if (word == word_of(resource)) return resource;
  }
  return std::nullopt;
}

std::optional<ChangeKind> kind_of(const std::string& word) {
  for (const ChangeKind kind : {ChangeKind::pull, ChangeKind::create, ChangeKind::recreate, ChangeKind::start, ChangeKind::restart, ChangeKind::stop, ChangeKind::rename,
                                ChangeKind::remove}) {
    if (word == to_string(kind)) return kind;
  }
  return std::nullopt;
}

std::string text(const OrderedJson& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : "";
}

}  // namespace

std::string to_json(const PlanReport& report) {
  OrderedJson json = {{"changes", OrderedJson::array()}, {"warnings", report.warnings}, {"steps", report.steps}};
  for (const Change& change : report.changes) {
    OrderedJson entry = {{"action", to_string(change.kind)}, {"resource", word_of(change.resource)}, {"name", change.name}};
    if (!change.service.empty()) entry["service"] = change.service;
    if (!change.cause.empty()) entry["cause"] = change.cause;
    json["changes"].push_back(std::move(entry));
  }
  return json.dump(2, ' ', false, OrderedJson::error_handler_t::replace) + "\n";
}

Result<PlanReport> plan_report_from_json(std::string_view source) {
  const OrderedJson json = OrderedJson::parse(source, nullptr, false);
  if (!json.is_object() || !json.contains("changes")) return internal_error("the daemon's answer is no plan");
  PlanReport report{.steps = text(json, "steps")};
  for (const OrderedJson& entry : json["changes"]) {
    const auto kind = kind_of(text(entry, "action"));
    const auto resource = resource_of(text(entry, "resource"));
    if (!kind || !resource) return internal_error("the daemon's plan has a change of an unknown kind");
    report.changes.push_back({.kind = *kind,
                              .resource = *resource,
                              .name = text(entry, "name"),
                              .service = text(entry, "service"),
                              .cause = text(entry, "cause")});
  }
  for (const OrderedJson& warning : json.value("warnings", OrderedJson::array())) {
    if (warning.is_string()) report.warnings.push_back(warning.get<std::string>());
  }
  return report;
}

}  // namespace gantry::compose
