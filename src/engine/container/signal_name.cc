#include "engine/container/signal_name.h"

#include <csignal>
#include <array>
#include <string>

#include "base/strings.h"

namespace gantry::engine {
namespace {

struct Named {
  std::string_view name;
  int number;
};
constexpr std::array kSignals = {
    Named{"ABRT", SIGABRT},     Named{"ALRM", SIGALRM}, Named{"BUS", SIGBUS},   Named{"CHLD", SIGCHLD},
    Named{"CLD", SIGCHLD},      Named{"CONT", SIGCONT}, Named{"FPE", SIGFPE},   Named{"HUP", SIGHUP},
    Named{"ILL", SIGILL},       Named{"INT", SIGINT},   Named{"IO", SIGIO},     Named{"IOT", SIGIOT},
    Named{"KILL", SIGKILL},     Named{"PIPE", SIGPIPE}, Named{"POLL", SIGPOLL}, Named{"PROF", SIGPROF},
    Named{"PWR", SIGPWR},       Named{"QUIT", SIGQUIT}, Named{"SEGV", SIGSEGV}, Named{"STKFLT", SIGSTKFLT},
    Named{"STOP", SIGSTOP},     Named{"SYS", SIGSYS},   Named{"TERM", SIGTERM}, Named{"TRAP", SIGTRAP},
    Named{"TSTP", SIGTSTP},     Named{"TTIN", SIGTTIN}, Named{"TTOU", SIGTTOU}, Named{"URG", SIGURG},
    Named{"USR1", SIGUSR1},     Named{"USR2", SIGUSR2}, Named{"VTALRM", SIGVTALRM}, Named{"WINCH", SIGWINCH},
    Named{"XCPU", SIGXCPU},     Named{"XFSZ", SIGXFSZ},
};
// The kernel's range: glibc keeps the first two for itself, but a container may have another libc.
constexpr int kFirstRealTime = 34;
constexpr int kLastRealTime = 64;

std::optional<int> real_time(std::string_view name) {
  const bool from_start = name.starts_with("RTMIN");
  if (!from_start && !name.starts_with("RTMAX")) return std::nullopt;
  std::string_view rest = name.substr(5);
  const int base = from_start ? kFirstRealTime : kLastRealTime;
  if (rest.empty()) return base;
  if (rest.front() != (from_start ? '+' : '-')) return std::nullopt;
  const auto offset = parse_unsigned(rest.substr(1));
  if (!offset || *offset > kLastRealTime - kFirstRealTime) return std::nullopt;
  return from_start ? base + static_cast<int>(*offset) : base - static_cast<int>(*offset);
}

}  // namespace

Result<int> parse_signal(std::string_view text) {
  if (const auto number = parse_unsigned(text)) {
    if (*number >= 1 && *number <= kLastRealTime) return static_cast<int>(*number);
    return invalid("invalid signal: " + std::string(text));
  }
  std::string name(text);
  for (char& c : name) c = (c >= 'a' && c <= 'z') ? static_cast<char>(c - 'a' + 'A') : c;
  std::string_view bare = name;
  if (bare.starts_with("SIG")) bare.remove_prefix(3);
  for (const Named& signal : kSignals) {
    if (signal.name == bare) return signal.number;
  }
  if (const auto number = real_time(bare)) return *number;
  return invalid("invalid signal: " + std::string(text));
}

}  // namespace gantry::engine
