// What ADD takes from elsewhere: a file by URL, or a Git repository at a commit. Blocking; one thread.
#pragma once

#include <filesystem>
#include <string>

#include "base/result.h"
#include "engine/image/image_store.h"

namespace gantry::engine {

struct RemoteSource {
  enum class Kind { url, git };
  Kind kind = Kind::url;
  std::string url;        // without a fragment
  std::string name;       // what the file is called in a directory
  std::string ref;        // git: branch, tag or commit; "" = the default branch
  std::string directory;  // git: the part of the tree that is wanted
  std::string checksum;   // --checksum
  bool keeps_git_dir = false;
  std::string identity;   // decides the content: a digest, ETag and date, or a commit; "" = must be fetched to know
};

bool is_remote_source(const std::string& source);

// Asks the other side what it has, without fetching it. Errors name the source.
Result<RemoteSource> resolve_remote(const std::string& source, const std::string& checksum, bool keeps_git_dir,
                                    const CancelCheck& cancelled);
// Puts it below an existing, empty directory: the file under its name, or the repository's files.
// Errors: Code::invalid if the checksum does not fit.
Result<> fetch_remote(const RemoteSource& source, const std::filesystem::path& directory,
                      const CancelCheck& cancelled);

}  // namespace gantry::engine
