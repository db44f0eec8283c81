// A container's log driver and its options, read from the spec. Pure, but for log_file(), which is a path.
//
//   json-file  lines of JSON as Docker's, in ID-json.log
//   local      our own compact lines (shim/log_line.h), in ID-local.log; rotated at 20 MB, five files, compressed
//   none       nothing is kept
#pragma once

#include <filesystem>
#include <string>

#include "base/ids.h"
#include "base/result.h"
#include "engine/iface/specs.h"

namespace gantry::engine {

struct LogSettings {
  enum class Driver { json_file, local, none };
  Driver driver = Driver::json_file;
  uint64_t maximum_size = 0;  // bytes; 0: one file for ever
  unsigned maximum_files = 1;
  bool compress = false;     // rotated files become .gz
  uint64_t buffer_size = 0;  // bytes that may wait for the disk (mode non-blocking); 0: the program waits
  std::string attributes;    // JSON object of the labels, variables and tag that each line carries; may be empty
};

// `labels` and `environment` are the container's, for the options labels, labels-regex, env, env-regex; `tag` may use
// the fields of Docker's log tags. Errors: Docker's texts for unknown drivers and options.
struct LogSubject {
  std::string id;
  std::string name;
  std::string image;
  std::string image_id;
  Labels labels;
  std::vector<std::string> environment;
};
Result<LogSettings> log_settings(const LogConfig& config, const LogSubject& subject);
// The options alone, before there is a container.
Result<> check_log_config(const LogConfig& config);

// Where the log lies: in the container's `directory`. Empty for the driver none.
std::filesystem::path log_file(const std::filesystem::path& directory, const ContainerId& id,
                               const std::string& driver);

}  // namespace gantry::engine
