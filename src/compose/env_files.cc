#include "compose/env_files.h"

#include <sys/stat.h>

#include "base/strings.h"
#include "compose/dotenv.h"
#include "compose/files.h"

namespace gantry::compose {
namespace {

// Variables resolve from the project's environment, then the service's; then from what the files said before.
Lookup lookup_for(const Environment& project, const Environment& service) {
  return [&](std::string_view name) -> const std::string* {
    for (const Environment* one : {&project, &service}) {
      auto found = one->find(name);
      if (found != one->end()) return &found->second;
    }
    return nullptr;
  };
}

Result<Assignments> read_one(const std::string& path, const std::string& format, const Lookup& lookup,
                             const Environment& earlier, std::vector<std::string>& unset) {
  std::string text = TRY(read_text_file(path));
  auto parsed = format == "raw" ? parse_raw_env(text, lookup) : parse_dotenv(text, lookup, earlier, &unset);
  if (!parsed.ok()) return std::move(parsed).error().within("failed to read " + path);
  return parsed;
}

void read_env_files(Node& service, const Environment& project, const Path& path, Report& report) {
  const Node* files = service.find("env_file");
  if (files == nullptr) return;
  Environment inline_values, collected;
  if (const Node* own = service.find("environment")) {
    for (const Entry& entry : own->entries) {
      if (!entry.value.is_null()) inline_values[entry.key] = entry.value.text;
    }
  }
  Lookup lookup = lookup_for(project, inline_values);
  Path files_path = path / "env_file";
  std::map<std::string, Place> places;
  for (size_t i = 0; i < files->items.size(); ++i) {
    const Node& item = files->items[i];
    Path child = files_path[static_cast<int>(i)];
    const Node* required = item.find("required");
    const Node* file = item.find("path");
    const std::string& format = item.text_of("format");
    if (file == nullptr) continue;
    if (!format.empty() && format != "raw") {
      report.error(item.find("format")->place, child, "unsupported env_file format " + gantry::quoted(format));
      continue;
    }
    struct stat status {};
    if (::stat(file->text.c_str(), &status) != 0) {
      if (required != nullptr && !required->is_true()) continue;
      report.error(file->place, child, "env file " + file->text + " not found");
      continue;
    }
    if (S_ISDIR(status.st_mode)) {
      report.error(file->place, child, "env file " + file->text + " is a directory");
      continue;
    }
    std::vector<std::string> unset;
    auto values = read_one(file->text, format, lookup, collected, unset);
    for (const std::string& name : unset) {
      report.warning(file->place, child, "The " + gantry::quoted(name) + " variable is not set. Defaulting to a blank string.");
    }
    if (!values.ok()) {
      report.error(file->place, child, values.error().message());
      continue;
    }
    for (auto& [key, value] : *values) {
      collected[key] = std::move(value);
      places[key] = file->place;
    }
  }
  service.erase("env_file");
  if (collected.empty()) return;
  Node* environment = service.find("environment");
  if (environment == nullptr) environment = &service.set("environment", Node::mapping(service.place));
  for (auto& [key, value] : collected) {
    // An entry without a value hides the file's value, too: it means "not set in the container".
    if (!environment->has(key)) environment->set(key, Node::string(value, places[key]));
  }
}

void read_label_files(Node& service, const Path& path, Report& report) {
  const Node* files = service.find("label_file");
  if (files == nullptr) return;
  Environment collected, none;
  Lookup lookup = lookup_for(none, none);
  Path files_path = path / "label_file";
  Place place = files->place;
  for (size_t i = 0; i < files->items.size(); ++i) {
    const Node& file = files->items[i];
    Path child = files_path[static_cast<int>(i)];
    struct stat status {};
    if (::stat(file.text.c_str(), &status) != 0) {
      report.error(file.place, child, "label file " + file.text + " not found");
      continue;
    }
    std::vector<std::string> unset;
    auto values = read_one(file.text, "", lookup, collected, unset);
    if (!values.ok()) {
      report.error(file.place, child, values.error().message());
      continue;
    }
    for (auto& [key, value] : *values) collected[key] = std::move(value);
  }
  service.erase("label_file");
  if (collected.empty()) return;
  Node* labels = service.find("labels");
  if (labels == nullptr) labels = &service.set("labels", Node::mapping(service.place));
  for (auto& [key, value] : collected) {
    if (!labels->has(key)) labels->set(key, Node::string(value, place));
  }
}

}  // namespace

void read_service_files(Node& service, const Environment& environment, const Path& path, Report& report) {
  read_env_files(service, environment, path, report);
  read_label_files(service, path, report);
}

}  // namespace gantry::compose
