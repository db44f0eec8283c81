// What the daemon tells while it works on a project: one JSON object a line in the answer of /gantry/v1/projects/…;
// what the client draws is made from these alone.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace gantry::compose {

struct Progress {
  enum class Status { working, done, warning, error };
  enum class Resource { project, network, volume, image, container, service };
  Resource resource = Resource::project;
  std::string name;      // "hello-web-1", "hello_default", "nginx:latest"
  std::string service;   // containers: whose
  Status status = Status::working;
  std::string text;      // "Creating", "Created", "Starting", … (spec: compose-cli.md section 4)
  std::string details;   // "12.3MB / 40MB", an error's text, …
  std::string cause;     // why: "image changed"; may be empty
  std::string mark;      // "compose.yaml:12:7" where an error comes from a line of the file
  uint64_t current = 0;
  uint64_t total = 0;
  std::string layer;     // images: the layer that current/total count

  friend bool operator==(const Progress&, const Progress&) = default;
};

// The last line of an answer.
struct Outcome {
  bool ok = true;
  std::string message;   // of a failure, complete, as the user reads it
  int exit_code = 0;     // for the client's exit status
  friend bool operator==(const Outcome&, const Outcome&) = default;
};

std::string to_json_line(const Progress& progress);  // {"progress":{…}}\n
std::string to_json_line(const Outcome& outcome);    // {"outcome":{…}}\n
// One line → one of the two.
struct ProgressLine {
  std::optional<Progress> progress;
  std::optional<Outcome> outcome;
};
Result<ProgressLine> parse_progress_line(std::string_view line);

}  // namespace gantry::compose
