// Which files are loaded, from where relative paths count, with which variables, under which name (compose-file.md
// sections 3.2 and 5.1; compose-cli.md sections 1.2 to 1.4). Reads files; changes nothing.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "compose/interpolate.h"
#include "compose/load.h"
#include "compose/report.h"

namespace gantry::compose {

struct InputFile {
  std::string shown;     // as the user would type it: in messages
  std::string absolute;  // "-" for standard input
  std::string text;
};

struct Inputs {
  std::string working_dir;                 // the current one
  std::string project_dir;                 // absolute
  std::vector<InputFile> files;
  Environment environment;                 // process > --env-file / .env
  Origins origins;                         // of those variables that come from a file
  std::vector<std::string> env_files;      // explicit ones, absolute
  std::string given_name;                  // -p or COMPOSE_PROJECT_NAME; "" = neither
  std::vector<std::string> profiles;       // --profile, else COMPOSE_PROFILES
};

// Errors: nothing found, unreadable files, bad env files, a bad given name. Warnings go to the report.
Result<Inputs> find_inputs(const LoadOptions& options, Report& report);

// ---- small things that other phases need, too

// "" for a path; else why a repository or registry cannot be named here.
std::string why_not_a_path(std::string_view reference);
Result<std::string> read_text_file(const std::string& path);   // bounded; "open PATH: No such file or directory"
std::string absolute_path(const std::string& base, const std::string& path);  // cleaned
std::string directory_of(const std::string& path);
// The path as the user would type it: relative to `working_dir` when it is inside.
std::string shown_path(const std::string& working_dir, const std::string& path);

// Variables of env files, and where each was set.
struct FileVariables {
  Environment values;
  Origins origins;

  void override_with(FileVariables later);                              // later files win
  void add_to(Environment& environment, Origins& environment_origins);  // what is there already stays
};
// One env file. `shown`: its name in messages and origins. Errors name the file and the line; what is wrong inside of it
// is in `report`, too, with its place.
Result<FileVariables> read_env_file(const std::string& path, const std::string& shown, const Lookup& lookup,
                                    const Environment& earlier, Report& report);

bool is_project_name(std::string_view name);
std::string normalized_project_name(std::string_view text);
Error bad_project_name(std::string_view name);

}  // namespace gantry::compose
