// Where a build's result goes besides the daemon's store: --output of `gantry build`.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "cli/session.h"

namespace gantry::cli {

struct BuildOutput {
  enum class Kind {
    store,      // type=image, docker without a destination: where it is anyway
    directory,  // type=local: the image's files
    tar,        // type=tar: the same as an archive
    archive,    // type=docker and oci: the image as `gantry save` writes it
  };
  Kind kind = Kind::store;
  std::string destination;         // "" = standard output
  std::vector<std::string> names;  // name=…: further tags
  bool push = false;
};

// "DIRECTORY", "-", "type=local,dest=DIRECTORY", "type=tar|oci|docker[,dest=FILE]", "type=image,name=REF[,push=true]",
// "type=registry". Errors: Code::invalid.
Result<BuildOutput> parse_build_output(const std::string& text);

// Files of the image, or the image. Blocking.
Result<> write_build_output(Session& session, const BuildOutput& output, const std::string& image);

}  // namespace gantry::cli
