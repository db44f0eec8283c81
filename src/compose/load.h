// Compose files → Project: the phases in order, nothing else. Runs in the client, because environment and
// relative paths are the client's. Reads files and the environment it is given; no other side effects.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "compose/project.h"
#include "compose/source.h"
#include "compose/variable_use.h"

namespace gantry::compose {

struct LoadOptions {
  std::vector<std::string> files;                 // -f, in order; "-" = standard input; empty: COMPOSE_FILE or search
  std::string project_name;                       // -p; empty: not given
  std::string project_directory;                  // --project-directory
  std::vector<std::string> env_files;             // --env-file
  std::vector<std::string> profiles;              // --profile
  std::vector<std::string> services;              // selected; empty: all
  bool with_dependencies = true;                  // of the selected
  bool all_resources = false;                     // keep networks, … that no service uses
  bool interpolate = true;
  bool normalize = true;
  bool resolve_paths = true;
  bool check_consistency = true;
  bool resolve_environment = true;                // read env_file
  bool bind = true;                               // make a Project of it; else `project` is empty when all is well
  bool print_yaml = true;                         // fill canonical_yaml
  bool print_json = true;                         // fill canonical_json
  std::string explain;                            // a path: fill `explanation`
  bool list_variables = false;                    // fill `variables`, and nothing else
  std::string working_dir;                        // the current one; empty: getcwd
  std::map<std::string, std::string> environment; // the process's
  std::optional<std::string> standard_input;      // what "-" reads; not given: the real one
};

struct Node;

struct LoadResult {
  std::optional<Project> project;                 // absent when there is an error
  std::string canonical_yaml;                     // what `config` prints
  std::string canonical_json;
  std::vector<Diagnostic> diagnostics;            // in file order; warnings too
  std::map<std::string, std::string> texts;       // file → text, to render the diagnostics
  std::map<std::string, std::string> environment; // used for interpolation
  std::vector<Diagnostic> explanation;            // why `explain` is what it is (explain.h)
  std::vector<VariableUse> variables;             // that the files mention, by name
  std::vector<std::string> models;                // names of those that services use
  std::shared_ptr<Node> model;                    // of which all the others were made
  bool ok() const { return project.has_value(); }
};

LoadResult load(const LoadOptions& options);

// The project's name by the rules of -p, COMPOSE_PROJECT_NAME, `name:`, directory, without loading more than needed.
Result<std::string> project_name(const LoadOptions& options);

}  // namespace gantry::compose
