// The few calls of bpf(2) that the network stack needs: programs, hash maps, and where a program runs. Blocking, any thread.
// Descriptors are closed on exec. Errors carry errno: EPERM or ENOSYS where the kernel, or a sandbox, keeps it from us.
#pragma once

#include <linux/bpf.h>

#include <cstdint>
#include <vector>

#include "base/fd.h"
#include "base/result.h"

namespace gantry::net {

struct BpfProgram {
  bpf_prog_type type = BPF_PROG_TYPE_UNSPEC;
  bpf_attach_type attach_type = BPF_CGROUP_INET_INGRESS;  // where it will run; for types that ask for it
  std::vector<bpf_insn> instructions;
};
Result<Fd> load_program(const BpfProgram& program);

struct BpfMap {
  bpf_map_type type = BPF_MAP_TYPE_HASH;
  uint32_t key_size = 0;  // bytes
  uint32_t value_size = 0;
  uint32_t max_entries = 0;
  uint32_t flags = 0;  // BPF_F_NO_PREALLOC, …
};
Result<Fd> make_map(const BpfMap& map);
// Key and value have the sizes of the map. An entry of that key is replaced.
Result<> put_entry(int map, const void* key, const void* value);
// None of that key is no error.
Result<> erase_entry(int map, const void* key);

// The program runs for the processes of a cgroup of the v2 tree and of all below it, after those that others attached, until
// the descriptor returned is closed: with its process at the latest.
Result<Fd> link_to_cgroup(int program, int cgroup, bpf_attach_type where);

}  // namespace gantry::net
