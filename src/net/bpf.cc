#include "net/bpf.h"

#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace gantry::net {
namespace {

// What a program must say to call helpers that are for the GPL's programs alone; those called here are for all.
constexpr char kLicense[] = "Apache-2.0";

bpf_attr empty_attributes() {
  bpf_attr attributes;
  std::memset(&attributes, 0, sizeof attributes);  // a union: initialising a member leaves the others undefined
  return attributes;
}

int call(bpf_cmd command, bpf_attr& attributes) {
  return static_cast<int>(::syscall(SYS_bpf, command, &attributes, sizeof attributes));
}

uint64_t address_of(const void* data) { return reinterpret_cast<uintptr_t>(data); }

}  // namespace

Result<Fd> load_program(const BpfProgram& program) {
  bpf_attr attributes = empty_attributes();
  attributes.prog_type = program.type;
  attributes.expected_attach_type = program.attach_type;
  attributes.insns = address_of(program.instructions.data());
  attributes.insn_cnt = static_cast<uint32_t>(program.instructions.size());
  attributes.license = address_of(kLicense);
  // The verifier gives up with EAGAIN when a signal interrupts it (bpf(2)).
  constexpr int kTurns = 5;
  for (int turn = 1;; ++turn) {
    Fd loaded(call(BPF_PROG_LOAD, attributes));
    if (loaded) return loaded;
    if (errno != EAGAIN || turn == kTurns) return Error::from_errno(errno, "bpf", "load a program");
  }
}

Result<Fd> make_map(const BpfMap& map) {
  bpf_attr attributes = empty_attributes();
  attributes.map_type = map.type;
  attributes.key_size = map.key_size;
  attributes.value_size = map.value_size;
  attributes.max_entries = map.max_entries;
  attributes.map_flags = map.flags;
  Fd made(call(BPF_MAP_CREATE, attributes));
  if (!made) return Error::from_errno(errno, "bpf", "make a map");
  return made;
}

Result<> put_entry(int map, const void* key, const void* value) {
  bpf_attr attributes = empty_attributes();
  attributes.map_fd = static_cast<uint32_t>(map);
  attributes.key = address_of(key);
  attributes.value = address_of(value);
  if (call(BPF_MAP_UPDATE_ELEM, attributes) != 0) return Error::from_errno(errno, "bpf", "put into a map");
  return {};
}

Result<> erase_entry(int map, const void* key) {
  bpf_attr attributes = empty_attributes();
  attributes.map_fd = static_cast<uint32_t>(map);
  attributes.key = address_of(key);
  if (call(BPF_MAP_DELETE_ELEM, attributes) != 0 && errno != ENOENT) {
    return Error::from_errno(errno, "bpf", "erase from a map");
  }
  return {};
}

Result<Fd> link_to_cgroup(int program, int cgroup, bpf_attach_type where) {
  bpf_attr attributes = empty_attributes();
  attributes.link_create.prog_fd = static_cast<uint32_t>(program);
  attributes.link_create.target_fd = static_cast<uint32_t>(cgroup);
  attributes.link_create.attach_type = where;
  Fd linked(call(BPF_LINK_CREATE, attributes));
  if (!linked) return Error::from_errno(errno, "bpf", "attach a program");
  return linked;
}

}  // namespace gantry::net
