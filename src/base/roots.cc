#include "base/roots.h"

#include "base/strings.h"

namespace gantry {
namespace {

std::filesystem::path absolute_form(const std::string& path) {
  std::error_code error;
  std::filesystem::path absolute = std::filesystem::absolute(path, error);
  absolute = (error ? std::filesystem::path(path) : absolute).lexically_normal();
  return absolute.has_filename() ? absolute : absolute.parent_path();  // "/a/" names "/a"
}

}  // namespace

bool Roots::is_default() const { return data == kDefaultDataRoot && run == kDefaultRunRoot; }

Roots resolve_roots(const std::string& data_root, const std::string& run_root) {
  Roots roots;
  roots.data = data_root.empty() ? std::filesystem::path(kDefaultDataRoot) : absolute_form(data_root);
  if (!run_root.empty()) {
    roots.run = absolute_form(run_root);
  } else if (roots.data == kDefaultDataRoot) {
    roots.run = kDefaultRunRoot;
  } else {
    roots.run = std::string(kDefaultRunRoot) + "-" + instance_tag(roots.data);
  }
  return roots;
}

std::string instance_tag(const std::filesystem::path& data_root) { return sha256_hex(data_root.native()).substr(0, 6); }

}  // namespace gantry
