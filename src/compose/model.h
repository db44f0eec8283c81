// Some compose files → one canonical tree: everything that happens per file and per document (compose-file.md section
// 1, steps 1 to 13). Included files are models of their own, with their own directory and variables. Reads files.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "compose/files.h"
#include "compose/interpolate.h"
#include "compose/report.h"
#include "compose/yaml_tree.h"

namespace gantry::compose {

// What is the same for all models of one load.
struct Loading {
  Report& report;
  std::string working_dir;                // of the process: how paths are shown
  bool interpolate = true;
  bool resolve_paths = true;
  std::map<std::string, int> known_files;  // absolute → number in the report
  bool incomplete = false;                 // a file could not be read: references into it cannot be checked
  std::map<std::string, std::vector<Node>> parsed;  // absolute → documents, read ahead; taken out when they are loaded
};

// Where one model counts its paths from, and its variables.
struct ModelContext {
  std::string directory;                  // absolute
  Environment environment;
  Origins origins;                        // of variables that env files set
  std::vector<std::string> including;     // absolute paths of the files that lead here, for cycles
};

// Never fails as a call: what is wrong is in the report, and the tree holds what could be read.
Node load_model(const std::vector<InputFile>& files, const ModelContext& context, Loading& loading);

// One file's documents as they are written.
std::vector<Node> parse_file(const InputFile& file, Loading& loading);

// One file's documents, interpolated, not merged.
std::vector<Node> load_documents(const InputFile& file, const ModelContext& context, Loading& loading);

// ---- the phases inside

// Replaces `include` by what it names, below what the document says itself.
struct TaggedPath;
void import_includes(Node& document, const std::vector<TaggedPath>& tags, const ModelContext& context, Loading& loading);

// Replaces `extends` of every service of the document by what it names. `file`: the absolute path of the document.
void resolve_extends(Node& document, const std::vector<TaggedPath>& tags, const std::string& file,
                     const ModelContext& context, Loading& loading);

// Relative paths of a canonical tree → absolute (section 5.6).
void resolve_paths(Node& project, const std::string& directory, const Environment& environment, Report& report);
void resolve_service_paths(Node& service, const std::string& directory, const Environment& environment,
                           const Path& path, Report& report);

// What the format fills in by itself, before paths are resolved: the build context, targets of secrets, ….
void set_defaults(Node& project);

// Values of `environment` entries and build arguments that have none, from the variables; where there is none, the
// entry stays null (arguments: is dropped at the end).
void resolve_bare_values(Node& project, const Environment& environment, const Origins& origins, Report& report);

}  // namespace gantry::compose
