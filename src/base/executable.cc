#include "base/executable.h"

#include <unistd.h>

#include <string>
#include <system_error>

#include "base/strings.h"

namespace gantry {

Result<std::filesystem::path> own_executable() {
  std::error_code error;
  std::filesystem::path path = std::filesystem::read_symlink("/proc/self/exe", error);
  if (error) return internal_error("cannot read /proc/self/exe: " + error.message());
  return path;
}

Result<std::filesystem::path> find_program(std::string_view name) {
  const std::filesystem::path self = TRY(own_executable());
  const std::filesystem::path beside = self.parent_path() / name;
  const std::filesystem::path installed = self.parent_path().parent_path() / "libexec/gantry" / name;
  if (::access(beside.c_str(), X_OK) == 0) return beside;
  if (::access(installed.c_str(), X_OK) == 0) return installed;
  return not_found(std::string(name) + " is missing: looked at " + gantry::quoted(beside.native()) + " and " +
                   gantry::quoted(installed.native()));
}

}  // namespace gantry
