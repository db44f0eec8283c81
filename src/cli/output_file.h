// Where a command's -o/--output goes: under another name until it is whole, so that what was there stays when the
// command fails. What is no regular file (a device, a pipe) is written to directly and never replaced.
#pragma once

#include <string>
#include <string_view>

#include "base/fd.h"
#include "base/result.h"

namespace gantry::cli {

class OutputFile {
 public:
  static Result<OutputFile> open(const std::string& path);
  OutputFile(OutputFile&&) = default;
  ~OutputFile();  // without keep(): as if it had never been opened

  Result<> write(std::string_view bytes);
  // Once, when everything has been written: the file appears.
  Result<> keep();

 private:
  OutputFile() = default;
  std::string path_;
  std::string temporary_;  // "" = written to directly, or kept
  Fd file_;
};

}  // namespace gantry::cli
