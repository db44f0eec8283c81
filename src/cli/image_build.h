// Builds the images of a project's services: the context goes to the daemon as a tar stream, the answer comes back as
// Docker's classic build stream.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/result.h"
#include "cli/build_context.h"
#include "cli/progress_view.h"
#include "cli/session.h"
#include "compose/project.h"

namespace gantry::cli {

struct BuildOptions {
  bool no_cache = false;
  bool pull = false;  // look for newer base images
  bool quiet = false;
  std::map<std::string, std::string> arguments;  // --build-arg, over those of the file
  std::map<std::string, std::string> environment = {};  // for SSH_AUTH_SOCK
  std::map<std::string, std::string> agents = {};       // --ssh: id → socket, over those of the file
  bool check = false;                                   // look at the Dockerfiles only
};

// One image to be made: what is asked of the daemon, and where its context comes from. Services that are built from
// the same instructions share one.
struct ImageBuild {
  std::string name;  // the first tag, for the display
  std::vector<std::string> services;
  std::string query;  // of POST /build, without the tags
  std::vector<std::string> tags;
  ContextOptions context;
  std::map<std::string, std::string> secrets = {};  // id → value
  bool has_local_cache = false;  // in a directory
  std::vector<std::string> needs = {};              // images of other builds that this one begins from
};

// "PROJECT-SERVICE", or what `image` says.
std::string image_name(const compose::Project& project, const compose::Service& service);

// The builds of those services (of `names`, all if empty) that have a build section. Errors: a build option that is
// not supported, with its place in the file.
Result<std::vector<ImageBuild>> plan_builds(const compose::Project& project, const std::vector<std::string>& names,
                                            const BuildOptions& options);

// What `build --print` shows: the builds as a bake file, in JSON.
std::string bake_json(const compose::Project& project, const std::vector<ImageBuild>& builds);

// Runs them side by side (as many as --parallel allows), drawing a row each; under --dry-run, the rows alone.
// Errors: the first that failed, with the output of its last step.
Result<> run_builds(Session& session, const std::vector<ImageBuild>& builds, ProgressView& view, ProgressMode mode,
                    const BuildOptions& options);

// Follows the stream of one build: which step it is at, and what the last step wrote.
class BuildStream {
 public:
  // A line of the stream. False when it tells that the build failed.
  bool line(std::string_view json);
  const std::string& step() const { return step_; }  // "Step 2/7 : RUN make"
  const std::string& image_id() const { return image_id_; }
  // Lines of output that are complete since the last call.
  std::vector<std::string> take_lines();
  // The step that failed with the end of its output, and the error.
  std::string failure() const;
  int error_code() const { return error_code_; }

 private:
  void text(std::string_view bytes);
  std::string step_;
  std::string image_id_;
  std::string partial_;
  std::vector<std::string> lines_;
  std::vector<std::string> step_output_;
  std::string error_;
  int error_code_ = 0;
};

}  // namespace gantry::cli
