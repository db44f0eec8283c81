// Where `cp` puts things: the rules of Docker's cp about existing directories, closing slashes and "/.". Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace gantry::cli {

// "SERVICE:PATH", "PATH" or "-". A colon behind a slash or a dot at the begin belongs to a path.
struct CopyPlace {
  std::string service;  // "": this machine
  std::string path;
};
CopyPlace parse_copy_place(std::string_view text);

// What stands at a path, links followed.
struct PathKind {
  bool exists = false;
  bool is_directory = false;
};

// Content goes into `directory`, its root called `name`; an empty name: what is in the source directory, without it.
struct CopyTarget {
  std::string directory;
  std::string name;
};
// `source` may end with "/.": the content of the directory. Errors: in Docker's words.
Result<CopyTarget> copy_target(const std::string& source, bool source_is_directory, const std::string& target,
                               PathKind target_kind, bool parent_exists);

// "/a/b/" → "b"; "/" and "." → "".
std::string last_part(std::string_view path);
std::string parent_path(std::string_view path);  // "b" → "."

}  // namespace gantry::cli
