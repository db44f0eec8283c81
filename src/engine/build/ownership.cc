#include "engine/build/ownership.h"

#include <optional>

#include "base/strings.h"

namespace gantry::engine {
namespace {

constexpr uint64_t kLargestId = 0xfffffffe;  // -1 means "leave alone" to chown(2)

// The fields of the first line whose first field is the name.
std::optional<std::vector<std::string>> find_entry(std::string_view file, std::string_view name, size_t fields) {
  for (const std::string& line : split(file, '\n')) {
    std::vector<std::string> entry = split(line, ':');
    if (entry.size() >= fields && entry[0] == name) return entry;
  }
  return std::nullopt;
}

std::optional<uint32_t> parse_id(std::string_view text) {
  const std::optional<uint64_t> id = parse_unsigned(text);
  if (!id || *id > kLargestId) return std::nullopt;
  return static_cast<uint32_t>(*id);
}

Result<Owner> resolve_user(const std::string& user, std::string_view passwd) {
  if (const auto id = parse_id(user)) return Owner{.uid = *id, .gid = *id};
  if (const auto entry = find_entry(passwd, user, 4)) {
    const auto uid = parse_id((*entry)[2]);
    const auto gid = parse_id((*entry)[3]);
    if (uid && gid) return Owner{.uid = *uid, .gid = *gid};
  }
  return invalid("unable to find user " + user + ": no matching entries in passwd file");
}

Result<gid_t> resolve_group(const std::string& name, std::string_view group) {
  if (const auto id = parse_id(name)) return *id;
  if (const auto entry = find_entry(group, name, 3)) {
    if (const auto gid = parse_id((*entry)[2])) return *gid;
  }
  return invalid("unable to find group " + name + ": no matching entries in group file");
}

}  // namespace

Result<Owner> resolve_owner(const std::string& text, std::string_view passwd, std::string_view group) {
  const size_t colon = text.find(':');
  const std::string user = text.substr(0, colon);
  Owner owner;
  if (!user.empty()) owner = TRY(resolve_user(user, passwd));
  if (colon != std::string::npos && colon + 1 < text.size()) owner.gid = TRY(resolve_group(text.substr(colon + 1), group));
  return owner;
}

}  // namespace gantry::engine
