// Unpacks a tar stream that somebody hostile may have made: nothing of it gets outside the directory, whatever names
// and links it holds. Blocking; one thread.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "base/result.h"
#include "client/api_client.h"

namespace gantry::cli {

struct ExtractRules {
  // The first part of every name is replaced by this; "": it is dropped (what is in the root goes into the directory).
  std::string root_name = {};
  bool keeps_names = false;  // names have no such part
  bool keep_owner = false;
};

// `next` gives the archive piece by piece, "" at its end.
Result<> extract_tar(const std::string& directory, const ExtractRules& rules,
                     const std::function<Result<std::string>()>& next);

// What a descriptor gives next; "" at its end.
Result<std::string> read_some(int fd);

// The archive that the daemon answers to GET `request`; how many bytes it had.
Result<uint64_t> extract_answer(client::ApiClient& api, const std::string& request, const std::string& directory,
                                const ExtractRules& rules);

}  // namespace gantry::cli
