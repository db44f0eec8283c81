// Sending one blob to a registry. Blocking.
#pragma once

#include <functional>
#include <string>

#include "base/result.h"
#include "engine/image/registry.h"

namespace gantry::engine {

// `fd` and `text` must outlive the upload.
HttpRequest::Upload file_upload(int fd, uint64_t size);
HttpRequest::Upload text_upload(const std::string& text);

// Nothing is sent if the registry has it.
Result<> push_blob(Registry& registry, HttpClient& http, const std::string& digest, const HttpRequest::Upload& content,
                   const std::function<bool()>& cancelled);

}  // namespace gantry::engine
