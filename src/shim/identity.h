// "user:group" as numbers, from the container's own /etc/passwd and /etc/group. Docker's rules: a number always
// wins as an id and need not exist; an explicit group drops the supplementary ones; the primary group is always in the
// supplementary list (else a negative group permission could be escaped, CVE-2022-36109). Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace gantry::shim {

struct Identity {
  uint32_t uid = 0;
  uint32_t gid = 0;
  std::vector<uint32_t> groups;  // supplementary, with gid first
  std::string home = "/";
};

// `passwd` and `group` are the files' texts, empty if they are missing. False: `error` has Docker's words.
bool resolve_identity(std::string_view passwd, std::string_view group, const std::string& user,
                      const std::vector<std::string>& group_add, Identity& identity, std::string& error);

}  // namespace gantry::shim
