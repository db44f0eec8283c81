// Device rules as a BPF program for a v2 cgroup, where no devices controller exists. On a hybrid machine it stands in
// for the v1 one, too. Source: linux/bpf.h (BPF_PROG_TYPE_CGROUP_DEVICE). Any thread.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/fd.h"
#include "base/result.h"
#include "engine/iface/specs.h"

namespace gantry::engine {

struct DeviceRule {
  char type = 'a';             // 'c', 'b', 'a': both
  int64_t major = -1;          // -1: any
  int64_t minor = -1;
  bool make = false;
  bool read = false;
  bool write = false;
  friend bool operator==(const DeviceRule&, const DeviceRule&) = default;
};

// "c 1:3 rwm", "b *:* m", "a *:* rwm", "a". Errors: invalid, quotes the text. Pure.
Result<DeviceRule> parse_device_rule(std::string_view text);

// What a container that is not privileged may use: the defaults, its devices, its own rules; later ones win.
std::vector<std::string> all_device_rules(const Resources& resources);

// The program that allows what any rule allows and nothing else, loaded into the kernel.
// Errors: invalid for a bad rule; else what bpf(2) says.
Result<Fd> load_device_program(const std::vector<std::string>& rules);

// Keeps the last program: that of most containers is the one of the container before, and the kernel examines and
// translates each that it loads. Any thread.
class DevicePrograms {
 public:
  // As load_device_program().
  Result<std::shared_ptr<const Fd>> of(const std::vector<std::string>& rules);

 private:
  std::mutex mutex_;  // of both, held while one is loaded
  std::vector<std::string> rules_;
  std::shared_ptr<const Fd> program_;
};

}  // namespace gantry::engine
