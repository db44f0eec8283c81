#include "cli/build_output.h"

#include <filesystem>

#include "base/strings.h"
#include "cli/commands/engine_helpers.h"
#include "cli/tar_extract.h"

namespace gantry::cli {

namespace {

Result<> set_field(BuildOutput& output, std::string& type, const std::string& key, const std::string& value) {
  if (key == "type") {
    type = value;
  } else if (key == "dest") {
    output.destination = value == "-" ? "" : value;
  } else if (key == "name") {
    for (const std::string& name : split(value, ',')) output.names.push_back(name);
  } else if (key == "push") {
    output.push = value == "true" || value == "1";
  } else if (key == "tar" && (value == "true" || value == "false")) {
    if (value == "false") return unsupported("an unpacked OCI layout is not written: leave tar=false out");
  } else {
    return invalid("unknown field " + gantry::quoted(key));
  }
  return {};
}

}  // namespace

Result<BuildOutput> parse_build_output(const std::string& text) {
  BuildOutput output;
  if (text == "-") {
    output.kind = BuildOutput::Kind::tar;
    return output;
  }
  if (text.find('=') == std::string::npos) {
    output.kind = BuildOutput::Kind::directory;
    output.destination = text;
    return output;
  }
  const std::string where = "--output " + gantry::quoted(text);
  std::string type;
  for (const std::string& field : split(text, ',')) {
    const size_t equals = field.find('=');
    if (equals == std::string::npos) return invalid(where + ": expected key=value, not " + gantry::quoted(field));
    TRY(set_field(output, type, field.substr(0, equals), field.substr(equals + 1)).within(where));
  }
  if (type == "local") {
    output.kind = BuildOutput::Kind::directory;
    if (output.destination.empty()) return invalid(where + ": type=local needs dest=DIRECTORY");
  } else if (type == "tar") {
    output.kind = BuildOutput::Kind::tar;
  } else if (type == "oci" || (type == "docker" && text.find("dest=") != std::string::npos)) {
    output.kind = BuildOutput::Kind::archive;
  } else if (type == "registry") {
    output.push = true;
  } else if (type != "image" && type != "docker") {
    return invalid(where + ": unknown type " + gantry::quoted(type) +
                   ": use local, tar, oci, docker, image or registry");
  }
  return output;
}

Result<> write_build_output(Session& session, const BuildOutput& output, const std::string& image) {
  const std::string name = client::url_encode(image);
  switch (output.kind) {
    case BuildOutput::Kind::store:
      return {};
    case BuildOutput::Kind::tar:
      return save_stream(session, "/images/" + name + "/rootfs", output.destination);
    case BuildOutput::Kind::archive:
      return save_stream(session, "/images/get?names=" + name, output.destination);
    case BuildOutput::Kind::directory:
      break;
  }
  std::error_code error;
  std::filesystem::create_directories(output.destination, error);
  if (error) return Error::from_errno(error.value(), "--output", output.destination);
  TRY(extract_answer(*TRY(session.api()), "/images/" + name + "/rootfs", output.destination, {.keeps_names = true}));
  return {};
}

}  // namespace gantry::cli
