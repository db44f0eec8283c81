#include "compose/model.h"

#include "compose/merge.h"
#include "compose/schema.h"

namespace gantry::compose {
namespace {

int file_number(const InputFile& file, Loading& loading) {
  auto [known, fresh] = loading.known_files.try_emplace(file.absolute, 0);
  if (fresh) known->second = loading.report.add_file(file.shown, file.text);
  return known->second;
}

void drop_version(Node& document, Loading& loading) {
  Entry* version = document.find_entry("version");
  if (version == nullptr) return;
  if (!version->value.is_string()) {
    loading.report.error(version->value.place, Path::root() / "version", "must be a string", "put it in quotes");
  }
  loading.report.warning(version->place, Path::root() / "version",
                         "the attribute `version` is obsolete, it will be ignored, please remove it to avoid potential "
                         "confusion");
  document.erase("version");
}

// Merges one document over what came before, and brings the whole into canonical form.
void add_document(Node& model, Node document, const InputFile& file, const ModelContext& context, Loading& loading) {
  Report& report = loading.report;
  std::vector<TaggedPath> tags = take_tags(document);
  import_includes(document, tags, context, loading);
  apply_tags(model, tags, report);
  resolve_extends(document, tags, file.absolute, context, loading);
  drop_version(document, loading);
  if (model.is_null()) model = std::move(document);
  else merge(model, std::move(document), project_shape(), Path::root(), report);
  conform(model, project_shape(), Path::root(), report);
  remove_repetitions(model, project_shape(), Path::root(), report);
}

}  // namespace

std::vector<Node> parse_file(const InputFile& file, Loading& loading) {
  auto documents = parse_yaml(file.text, file_number(file, loading), loading.report);
  loading.incomplete = loading.incomplete || !documents;
  return std::move(documents).value_or(std::vector<Node>());
}

std::vector<Node> load_documents(const InputFile& file, const ModelContext& context, Loading& loading) {
  auto ahead = loading.parsed.extract(file.absolute);
  std::vector<Node> documents = ahead ? std::move(ahead.mapped()) : parse_file(file, loading);
  for (Node& document : documents) {
    if (!document.is_map()) {
      loading.report.error(document.place, Path::root(), "top-level object must be a mapping",
                           document.is_null() ? "the document is empty" : "a compose file begins with services:");
      return {};
    }
    if (loading.interpolate) {
      interpolate(document, context.environment, context.origins, Path::root(), loading.report);
    }
  }
  return documents;
}

Node load_model(const std::vector<InputFile>& files, const ModelContext& context, Loading& loading) {
  Node model = Node::null();
  for (const InputFile& file : files) {
    for (Node& document : load_documents(file, context, loading)) {
      add_document(model, std::move(document), file, context, loading);
    }
  }
  return model;
}

}  // namespace gantry::compose
