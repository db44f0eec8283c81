#include "engine/container/signal_reaction.h"

#include <sys/syscall.h>

#include <charconv>
#include <optional>
#include <string>

#include "base/fd.h"
#include "base/strings.h"

namespace gantry::engine {
namespace {

std::optional<std::string_view> value_of(std::string_view status, std::string_view key) {
  size_t at = status.starts_with(key) ? 0 : status.find("\n" + std::string(key));
  if (at == std::string_view::npos) return std::nullopt;
  if (at > 0) ++at;
  const std::string_view rest = status.substr(at + key.size());
  return trim(rest.substr(0, rest.find('\n')));
}

std::optional<bool> in_mask(std::string_view status, std::string_view key, int signal) {
  const auto text = value_of(status, key);
  uint64_t mask = 0;
  if (!text || std::from_chars(text->data(), text->data() + text->size(), mask, 16).ec != std::errc()) return std::nullopt;
  return (mask >> (signal - 1) & 1) != 0;
}

// In sigwaitinfo(2) or one of its kind, as inits are: the kernel takes what is waited for out of the blocked signals
// meanwhile, so that SigBlk does not show it, but keeps it (kernel/signal.c: real_blocked).
bool is_in_sigwait(const std::string& process) {
  const auto where = read_file(process + "/wchan", 256);
  if (where.ok() && where->find("sigtimedwait") != std::string::npos) return true;
  const auto call = read_file(process + "/syscall", 256);  // "128 0x7f… …", or "running"
  return call.ok() && call->starts_with(std::to_string(SYS_rt_sigtimedwait) + " ");
}

}  // namespace

bool drops_signal(std::string_view status, int signal) {
  if (signal < 1 || signal > 64) return false;
  const auto pids = value_of(status, "NSpid:");
  if (!pids || pids->find('\t') == std::string_view::npos || !pids->ends_with("\t1")) return false;
  for (const char* mask : {"SigCgt:", "SigBlk:", "SigIgn:"}) {
    if (in_mask(status, mask, signal).value_or(true)) return false;
  }
  return true;
}

bool process_drops_signal(int pid, int signal) {
  const std::string process = "/proc/" + std::to_string(pid);
  // Looked at before and after: it may begin or end to wait meanwhile.
  if (is_in_sigwait(process)) return false;
  const auto status = read_file(process + "/status", size_t{64} << 10);
  return status.ok() && drops_signal(*status, signal) && !is_in_sigwait(process);
}

}  // namespace gantry::engine
