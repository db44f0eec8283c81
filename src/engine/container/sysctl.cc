#include "engine/container/sysctl.h"

#include <algorithm>
#include <iterator>
#include <string_view>

namespace gantry::engine {
namespace {

constexpr std::string_view kIpcSettings[] = {"kernel.msgmax", "kernel.msgmnb", "kernel.msgmni", "kernel.sem",
                                             "kernel.shmall", "kernel.shmmax", "kernel.shmmni",
                                             "kernel.shm_rmid_forced"};

Error not_own(const std::string& name, const char* what) {
  return invalid("sysctl " + gantry::quoted(name) + " not allowed: it would change the " + what +
                 ", which is not the container's own");
}

bool is_own(const NamespaceChoice& choice) { return choice.kind == NamespaceChoice::Kind::own; }

}  // namespace

Result<> check_sysctl(const std::string& name, const SandboxSpec& spec) {
  const bool strange = name.empty() || name.find("..") != std::string::npos || name.front() == '.' ||
                       name.front() == '/' || name.back() == '.';
  if (strange) return invalid("sysctl " + gantry::quoted(name) + " is no name of a setting");
  const std::string_view area = std::string_view(name).substr(0, name.find('.'));
  if (area == "net") {
    if (is_own(spec.network)) return {};
    return not_own(name, spec.network.kind == NamespaceChoice::Kind::host ? "host's network namespace"
                                                                          : "other container's network namespace");
  }
  const bool ipc = std::ranges::find(kIpcSettings, name) != std::end(kIpcSettings) || name.starts_with("fs.mqueue.");
  if (ipc) return is_own(spec.ipc) ? Result<>() : not_own(name, "ipc namespace");
  if (name == "kernel.domainname") return is_own(spec.uts) ? Result<>() : not_own(name, "uts namespace");
  return invalid("sysctl " + gantry::quoted(name) + " is not in a separate kernel namespace");
}

}  // namespace gantry::engine
