#include "base/overwrite_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "base/fd.h"

namespace gantry {

Result<> overwrite_file(const std::filesystem::path& path, std::string_view data, mode_t mode) {
  const Fd file = TRY(open_file(path, O_WRONLY | O_CREAT, mode));
  TRY(write_all(file.get(), data).within(path.native()));
  struct stat status {};
  const bool is_as_long = ::fstat(file.get(), &status) == 0 && static_cast<size_t>(status.st_size) == data.size();
  if (is_as_long || ::ftruncate(file.get(), static_cast<off_t>(data.size())) == 0) return {};
  return Error::from_errno(errno, "truncate", path.native());
}

}  // namespace gantry
