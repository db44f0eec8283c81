// env_file and label_file of a service, read and folded into `environment` and `labels` (compose-file.md sections 3.2
// and 3.4). Reads files.
#pragma once

#include "compose/interpolate.h"
#include "compose/report.h"
#include "compose/yaml_tree.h"

namespace gantry::compose {

// The files of one load: services often share them. Values get places within them.
struct EnvFileTexts {
  struct Text {
    int number = -1;  // in the report
    std::string text;
  };
  std::string working_dir;  // how names are shown
  std::map<std::string, Text> known = {};

  Result<const Text*> get(const std::string& path, Report& report);
};

// An error "… line N: …" at that line of the file, which `report` knows as `number`; else at `otherwise`.
void report_env_file(const Error& error, int number, const Place& otherwise, const std::string& path, Report& report);

void read_service_files(Node& service, const Environment& environment, EnvFileTexts& texts, const Path& path,
                        Report& report);

}  // namespace gantry::compose
