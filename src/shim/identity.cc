#include "shim/identity.h"

#include <array>

namespace gantry::shim {
namespace {

constexpr uint64_t kMaxId = 2147483647;
constexpr const char* kRangeError = "uids and gids must be in range 0-2147483647";

bool is_number(std::string_view text) {
  if (text.empty() || text.size() > 18) return false;
  for (char c : text) {
    if (c < '0' || c > '9') return false;
  }
  return true;
}

uint64_t number_of(std::string_view text) {
  uint64_t value = 0;
  for (char c : text) value = value * 10 + static_cast<uint64_t>(c - '0');
  return value;
}

std::string_view cut(std::string_view& rest, char separator) {
  size_t end = rest.find(separator);
  std::string_view piece = rest.substr(0, end);
  rest = end == std::string_view::npos ? std::string_view() : rest.substr(end + 1);
  return piece;
}

using Fields = std::array<std::string_view, 7>;

// The fields of each line; lines without the numbers that they need are skipped, as libc does.
template <class Visit>
void for_each_line(std::string_view text, size_t number_field, Visit visit) {
  while (!text.empty()) {
    std::string_view line = cut(text, '\n');
    Fields fields;
    for (std::string_view& field : fields) field = cut(line, ':');
    if (fields[0].empty() || !is_number(fields[number_field])) continue;
    if (!visit(fields)) return;
  }
}

struct Account {
  bool found = false;
  std::string name;
  uint64_t uid = 0;
  uint64_t gid = 0;
  std::string home;
};

Account find_account(std::string_view passwd, std::string_view user) {
  Account account;
  for_each_line(passwd, 2, [&](const Fields& fields) {
    bool match = is_number(user) ? number_of(fields[2]) == number_of(user) : fields[0] == user;
    if (!match) return true;
    account.found = true;
    account.name = std::string(fields[0]);
    account.uid = number_of(fields[2]);
    account.gid = is_number(fields[3]) ? number_of(fields[3]) : 0;
    account.home = std::string(fields[5]);
    return false;
  });
  return account;
}

bool find_group(std::string_view text, std::string_view wanted, uint64_t& gid) {
  if (is_number(wanted)) {
    gid = number_of(wanted);
    return true;
  }
  bool found = false;
  for_each_line(text, 2, [&](const Fields& fields) {
    if (fields[0] != wanted) return true;
    gid = number_of(fields[2]);
    found = true;
    return false;
  });
  return found;
}

bool is_member(std::string_view members, std::string_view name) {
  while (!members.empty()) {
    if (cut(members, ',') == name) return true;
  }
  return false;
}

void add_group(Identity& identity, uint64_t gid) {
  for (uint32_t known : identity.groups) {
    if (known == gid) return;
  }
  identity.groups.push_back(static_cast<uint32_t>(gid));
}

}  // namespace

bool resolve_identity(std::string_view passwd, std::string_view group, const std::string& user,
                      const std::vector<std::string>& group_add, Identity& identity, std::string& error) {
  std::string_view rest = user;
  std::string_view user_part = cut(rest, ':');
  std::string_view group_part = rest;
  if (user_part.empty()) user_part = "0";

  Account account = find_account(passwd, user_part);
  if (!account.found && !is_number(user_part)) {
    error = "unable to find user " + std::string(user_part) + ": no matching entries in passwd file";
    return false;
  }
  uint64_t uid = account.found ? account.uid : number_of(user_part);
  uint64_t gid = account.found ? account.gid : 0;
  if (!group_part.empty() && !find_group(group, group_part, gid)) {
    error = "unable to find group " + std::string(group_part) + ": no matching entries in group file";
    return false;
  }
  if (uid > kMaxId || gid > kMaxId) {
    error = kRangeError;
    return false;
  }
  identity.uid = static_cast<uint32_t>(uid);
  identity.gid = static_cast<uint32_t>(gid);
  identity.home = account.home.empty() ? "/" : account.home;
  add_group(identity, gid);
  if (group_part.empty() && account.found) {
    for_each_line(group, 2, [&](const Fields& fields) {
      if (is_member(fields[3], account.name) && number_of(fields[2]) <= kMaxId) {
        add_group(identity, number_of(fields[2]));
      }
      return true;
    });
  }
  for (const std::string& wanted : group_add) {
    uint64_t added = 0;
    if (!find_group(group, wanted, added)) {
      error = "Unable to find group " + wanted + ": no matching entries in group file";
      return false;
    }
    if (added > kMaxId) {
      error = kRangeError;
      return false;
    }
    add_group(identity, added);
  }
  return true;
}

}  // namespace gantry::shim
