#include "engine/container/cgroup_update.h"

#include <sys/stat.h>

#include <cerrno>
#include <set>

#include "base/fd.h"
#include "base/strings.h"
#include "engine/container/container_usage.h"

namespace gantry::engine {
namespace {

using shim::CgroupStep;

Result<> write_value(const std::string& path, const std::string& value) {
  const Fd file = TRY(open_file(path, O_WRONLY));
  return write_all(file.get(), value).within(path);
}

bool is_empty(const std::string& path) { return trim(read_file(path, 1 << 16).value_or("")).empty(); }

// Processes are born while we move their parents, until none is left behind.
Result<> move_all(int pid, const std::string& directory) {
  std::set<int> moved;
  for (bool more = true; more;) {
    more = false;
    for (const int process : TRY(container_processes(pid))) {
      if (!moved.insert(process).second) continue;
      more = true;
      const Result<> written = write_value(directory + "/cgroup.procs", std::to_string(process));
      if (!written.ok() && written.error().errno_value() != ESRCH) return written;
    }
  }
  return {};
}

}  // namespace

Result<bool> update_cgroups(const CgroupHost& host, const std::string& root_name, const ContainerId& id, int pid,
                            const Resources& resources, bool privileged) {
  const shim::CgroupPlan plan = plan_cgroup(host, root_name, id, resources, privileged);
  std::set<std::string> made;
  std::vector<const CgroupStep*> refused;
  for (const CgroupStep& step : plan.steps) {
    switch (step.kind) {
      case CgroupStep::Kind::make_directory:
        if (::mkdir(step.path.c_str(), 0755) == 0) {
          made.insert(step.path);
        } else if (errno != EEXIST) {
          return Error::from_errno(errno, "mkdir", step.path);
        }
        break;
      case CgroupStep::Kind::copy_if_empty:
        if (is_empty(step.path)) TRY(write_value(step.path, std::string(trim(TRY(read_file(step.value, 1 << 16))))));
        break;
      case CgroupStep::Kind::write:
        // Devices are not what an update changes, and denying all first would hit a program that runs.
        if (step.path.find("/devices.") != std::string::npos) break;
        if (!write_value(step.path, step.value).ok()) refused.push_back(&step);
        break;
    }
  }
  // Memory and memory with swap bound each other: which one has to go first depends on what was set before.
  for (const CgroupStep* step : refused) {
    Result<> again = write_value(step->path, step->value);
    if (!again.ok() && step->required != 0) return std::move(again).error();
  }
  bool joined = false;
  for (const std::string& directory : plan.attach) {
    if (!made.contains(directory)) continue;
    TRY(move_all(pid, directory));
    joined = true;
  }
  return joined;
}

}  // namespace gantry::engine
