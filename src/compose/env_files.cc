#include "compose/env_files.h"

#include <sys/stat.h>

#include "base/result.h"
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

// `number`: of the file in the report, so that its values have places.
Result<Assignments> read_one(const std::string& path, const std::string& format, const Lookup& lookup,
                             const Environment& earlier, EnvFileTexts& texts, Report& report, int& number,
                             std::vector<std::string>& unset) {
  const EnvFileTexts::Text* file = TRY(texts.get(path, report));
  number = file->number;
  auto parsed = format == "raw" ? parse_raw_env(file->text, lookup) : parse_dotenv(file->text, lookup, earlier, &unset);
  if (!parsed.ok()) return std::move(parsed).error().within("failed to read " + path);
  return parsed;
}

void forget(Report& report, const std::string& path, const Place& what, const std::string& value, const Place& by,
            const char* how) {
  if (report.history.whole) report.history.replacements.push_back({by, what, path, gantry::quoted(value), how});
}

void read_env_files(Node& service, const Environment& project, EnvFileTexts& texts, const Path& path,
                    Report& report) {
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
  Path environment_path = path / "environment";
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
    int number = -1;
    auto values = read_one(file->text, format, lookup, collected, texts, report, number, unset);
    for (const std::string& name : unset) {
      report.warning(file->place, child, "The " + gantry::quoted(name) + " variable is not set. Defaulting to a blank string.");
    }
    if (!values.ok()) {
      report_env_file(values.error(), number, file->place, child.str(), report);
      continue;
    }
    for (Assignment& one : *values) {
      Place place{number, one.line, 1};
      auto [before, fresh] = places.try_emplace(one.key, place);
      if (!fresh) forget(report, (environment_path / one.key).str(), before->second, collected[one.key], place, "set again");
      before->second = place;
      collected[one.key] = std::move(one.value);
    }
  }
  service.erase("env_file");
  if (collected.empty()) return;
  Node* environment = service.find("environment");
  if (environment == nullptr) environment = &service.set("environment", Node::mapping(service.place));
  for (auto& [key, value] : collected) {
    // An entry without a value hides the file's value, too: it means "not set in the container".
    if (const Node* own = environment->find(key)) {
      forget(report, (environment_path / key).str(), places[key], value, own->place, "set in `environment`");
    } else {
      environment->set(key, Node::string(value, places[key]));
    }
  }
}

void read_label_files(Node& service, EnvFileTexts& texts, const Path& path, Report& report) {
  const Node* files = service.find("label_file");
  if (files == nullptr) return;
  Environment collected, none;
  Lookup lookup = lookup_for(none, none);
  Path files_path = path / "label_file";
  std::map<std::string, Place> places;
  for (size_t i = 0; i < files->items.size(); ++i) {
    const Node& file = files->items[i];
    Path child = files_path[static_cast<int>(i)];
    struct stat status {};
    if (::stat(file.text.c_str(), &status) != 0) {
      report.error(file.place, child, "label file " + file.text + " not found");
      continue;
    }
    std::vector<std::string> unset;
    int number = -1;
    auto values = read_one(file.text, "", lookup, collected, texts, report, number, unset);
    if (!values.ok()) {
      report_env_file(values.error(), number, file.place, child.str(), report);
      continue;
    }
    for (Assignment& one : *values) {
      places[one.key] = {number, one.line, 1};
      collected[one.key] = std::move(one.value);
    }
  }
  service.erase("label_file");
  if (collected.empty()) return;
  Node* labels = service.find("labels");
  if (labels == nullptr) labels = &service.set("labels", Node::mapping(service.place));
  for (auto& [key, value] : collected) {
    if (!labels->has(key)) labels->set(key, Node::string(value, places[key]));
  }
}

}  // namespace

void report_env_file(const Error& error, int number, const Place& otherwise, const std::string& path, Report& report) {
  const std::string& message = error.message();
  size_t at = message.rfind(": line ");
  size_t digits = at == std::string::npos ? 0 : message.find(':', at + 7);
  auto line = parse_unsigned(at == std::string::npos ? "" : std::string_view(message).substr(at + 7, digits - at - 7));
  bool placed = line && number >= 0;
  report.error_at(placed ? Place{number, static_cast<int>(*line), 1} : otherwise, path, message);
}

Result<const EnvFileTexts::Text*> EnvFileTexts::get(const std::string& path, Report& report) {
  auto found = known.find(path);
  if (found == known.end()) {
    std::string text = TRY(read_text_file(path));
    int number = report.add_file(shown_path(working_dir, path), text);
    found = known.emplace(path, Text{number, std::move(text)}).first;
  }
  return &found->second;
}

void read_service_files(Node& service, const Environment& environment, EnvFileTexts& texts, const Path& path,
                        Report& report) {
  read_env_files(service, environment, texts, path, report);
  read_label_files(service, texts, path, report);
}

}  // namespace gantry::compose
