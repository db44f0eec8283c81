// A container's changes as a new image. Any thread; blocking.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "engine/container/container_root.h"
#include "engine/image/image_store.h"

namespace gantry::engine {

struct CommitRequest {
  ImageId parent;      // what the container was made from; must be there
  ImageConfig config;  // what the new image shall run; `changes` come on top
  std::vector<std::string> changes;  // Dockerfile instructions
  std::string author;
  std::string comment;
  std::string created_by;  // for the history: the container's command
};

// `scratch`: a directory that does not exist, on the image store's file system; gone afterwards.
Result<ImageId> commit_container(ImageStore& images, const RootSource& source, const CommitRequest& request,
                                 const std::filesystem::path& scratch);

}  // namespace gantry::engine
