#include "engine/build/symbolic_mode.h"

#include "base/strings.h"

namespace gantry::engine {
namespace {

constexpr mode_t kUser = 04700;
constexpr mode_t kGroup = 02070;
constexpr mode_t kOther = 01007;

Error bad_mode(const std::string& text) {
  return invalid("invalid chmod parameter: '" + text + "'. it should be octal string and between 0 and 07777, or "
                 "symbolic as u+x,go-w");
}

}  // namespace

Result<ModeChange> ModeChange::parse(const std::string& text) {
  ModeChange change;
  change.text_ = text;
  if (!text.empty() && text.find_first_not_of("01234567") == std::string::npos && text.size() <= 5) {
    const unsigned long mode = strtoul(text.c_str(), nullptr, 8);
    if (mode > 07777) return bad_mode(text);
    change.clauses_.push_back({.who = 07777, .operation = '=', .bits = static_cast<mode_t>(mode)});
    return change;
  }
  for (const std::string& part : split(text, ',')) {
    size_t at = 0;
    mode_t who = 0;
    for (; at < part.size() && std::string_view("ugoa").find(part[at]) != std::string_view::npos; ++at) {
      who |= part[at] == 'u' ? kUser : part[at] == 'g' ? kGroup : part[at] == 'o' ? kOther : 07777;
    }
    if (who == 0) who = 07777;
    if (at == part.size()) return bad_mode(text);
    while (at < part.size()) {
      Clause clause{.who = who, .operation = part[at++]};
      if (std::string_view("+-=").find(clause.operation) == std::string_view::npos) return bad_mode(text);
      for (; at < part.size() && std::string_view("+-=").find(part[at]) == std::string_view::npos; ++at) {
        switch (part[at]) {
          case 'r': clause.bits |= 0444; break;
          case 'w': clause.bits |= 0222; break;
          case 'x': clause.bits |= 0111; break;
          case 's': clause.bits |= 06000; break;
          case 't': clause.bits |= 01000; break;
          case 'X': clause.conditional_execute = true; break;
          default: return bad_mode(text);
        }
      }
      change.clauses_.push_back(clause);
    }
  }
  return change;
}

mode_t ModeChange::apply(mode_t mode, bool is_directory) const {
  for (const Clause& clause : clauses_) {
    mode_t bits = clause.bits;
    if (clause.conditional_execute && (is_directory || (mode & 0111) != 0)) bits |= 0111;
    bits &= clause.who;
    if (clause.operation == '+') mode |= bits;
    if (clause.operation == '-') mode &= ~bits;
    if (clause.operation == '=') mode = (mode & ~clause.who) | bits;
  }
  return mode & 07777;
}

}  // namespace gantry::engine
