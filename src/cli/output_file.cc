#include "cli/output_file.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

namespace gantry::cli {

Result<OutputFile> OutputFile::open(const std::string& path) {
  OutputFile output;
  output.path_ = path;
  struct stat status {};
  const bool is_special = ::stat(path.c_str(), &status) == 0 && !S_ISREG(status.st_mode);
  if (is_special) {
    output.file_ = TRY(open_file(path, O_WRONLY));
    return output;
  }
  const std::string temporary = path + ".partial";
  output.file_ = TRY(open_file(temporary, O_WRONLY | O_CREAT | O_TRUNC, 0666));
  output.temporary_ = temporary;
  return output;
}

OutputFile::~OutputFile() {
  if (file_ && !temporary_.empty()) ::unlink(temporary_.c_str());
}

Result<> OutputFile::write(std::string_view bytes) { return write_all(file_.get(), bytes).within("writing " + path_); }

Result<> OutputFile::keep() {
  if (temporary_.empty()) return {};
  if (::rename(temporary_.c_str(), path_.c_str()) != 0) return Error::from_errno(errno, "rename", path_);
  temporary_.clear();
  return {};
}

}  // namespace gantry::cli
