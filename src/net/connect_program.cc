#include "net/connect_program.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <cstddef>
#include <utility>

namespace gantry::net {
namespace {

// Registers: those that calls leave alone, but for the first.
constexpr uint8_t kScratch = BPF_REG_2;
constexpr uint8_t kOther = BPF_REG_3;
constexpr uint8_t kContext = BPF_REG_6;
constexpr uint8_t kAddress = BPF_REG_7;
constexpr uint8_t kPort = BPF_REG_8;
constexpr uint8_t kFound = BPF_REG_9;
constexpr uint8_t kFrame = BPF_REG_10;

// Places on the stack, from the frame's end.
constexpr int16_t kCookie = -8;
constexpr int16_t kPlace = -16;
constexpr int16_t kLed = -32;

constexpr int32_t kAllow = 1;

enum class Family { v4, v6 };

class Assembly {
 public:
  explicit Assembly(Family family) : family_(family) { move(kContext, BPF_REG_1); }

  // To the end, if the register's lower half is not this.
  void leave_unless(uint8_t reg, uint32_t value) {
    to_end_.push_back(instructions_.size());
    add({.code = BPF_JMP32 | BPF_JNE | BPF_K, .dst_reg = reg, .imm = static_cast<int32_t>(value)});
  }
  void leave_unless_equal(uint8_t reg, uint8_t other) {
    to_end_.push_back(instructions_.size());
    add({.code = BPF_JMP | BPF_JNE | BPF_X, .dst_reg = reg, .src_reg = other});
  }
  void leave_if_null(uint8_t reg) {
    to_end_.push_back(instructions_.size());
    add({.code = BPF_JMP | BPF_JEQ | BPF_K, .dst_reg = reg, .imm = 0});
  }
  // What is added between runs only if the register is 0.
  size_t skip_unless_null(uint8_t reg) {
    add({.code = BPF_JMP | BPF_JNE | BPF_K, .dst_reg = reg, .imm = 0});
    return instructions_.size() - 1;
  }
  void land(size_t jump) { instructions_[jump].off = static_cast<int16_t>(instructions_.size() - jump - 1); }

  void move(uint8_t to, uint8_t from) { add({.code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = to, .src_reg = from}); }
  void and_with(uint8_t reg, uint32_t bits) {
    add({.code = BPF_ALU | BPF_AND | BPF_K, .dst_reg = reg, .imm = static_cast<int32_t>(bits)});
  }
  void load(uint8_t to, uint8_t base, size_t offset, uint8_t width = BPF_W) {
    add({.code = static_cast<uint8_t>(BPF_LDX | BPF_MEM | width),
         .dst_reg = to,
         .src_reg = base,
         .off = static_cast<int16_t>(offset)});
  }
  void store(uint8_t base, size_t offset, uint8_t from, uint8_t width = BPF_W) {
    add({.code = static_cast<uint8_t>(BPF_STX | BPF_MEM | width),
         .dst_reg = base,
         .src_reg = from,
         .off = static_cast<int16_t>(offset)});
  }
  void store_value(uint8_t base, size_t offset, uint32_t value) {
    add({.code = BPF_ST | BPF_MEM | BPF_W,
         .dst_reg = base,
         .off = static_cast<int16_t>(offset),
         .imm = static_cast<int32_t>(value)});
  }
  // Two instructions long.
  void load_number(uint8_t to, uint64_t value, uint8_t kind = 0) {
    add({.code = BPF_LD | BPF_IMM | BPF_DW, .dst_reg = to, .src_reg = kind, .imm = static_cast<int32_t>(value)});
    add({.imm = static_cast<int32_t>(value >> 32)});
  }
  void load_stack_address(uint8_t to, int16_t offset) {
    move(to, kFrame);
    add({.code = BPF_ALU64 | BPF_ADD | BPF_K, .dst_reg = to, .imm = offset});
  }
  void call(bpf_func_id helper) { add({.code = BPF_JMP | BPF_CALL, .imm = static_cast<int32_t>(helper)}); }

  // The value of the key at that place of the stack into kFound, or 0.
  void find(int map, int16_t key) {
    load_number(BPF_REG_1, static_cast<uint32_t>(map), BPF_PSEUDO_MAP_FD);
    load_stack_address(BPF_REG_2, key);
    call(BPF_FUNC_map_lookup_elem);
    move(kFound, BPF_REG_0);
  }
  void put(int map, int16_t key, int16_t value) {
    load_number(BPF_REG_1, static_cast<uint32_t>(map), BPF_PSEUDO_MAP_FD);
    load_stack_address(BPF_REG_2, key);
    load_stack_address(BPF_REG_3, value);
    add({.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_4, .imm = BPF_ANY});
    call(BPF_FUNC_map_update_elem);
  }

  // The address that the call is about, if it is one of IPv4; else to the end.
  void load_address() {
    if (family_ == Family::v6) {
      constexpr size_t kFirst = offsetof(bpf_sock_addr, user_ip6);
      const uint32_t mapped[] = {0, 0, htonl(0xffff)};
      for (size_t i = 0; i < 3; ++i) {
        load(kScratch, kContext, kFirst + 4 * i);
        leave_unless(kScratch, mapped[i]);
      }
    }
    load(kAddress, kContext, address_offset());
  }
  size_t address_offset() const {
    return family_ == Family::v4 ? offsetof(bpf_sock_addr, user_ip4) : offsetof(bpf_sock_addr, user_ip6) + 12;
  }
  void load_port() { load(kPort, kContext, offsetof(bpf_sock_addr, user_port)); }
  // What the kernel goes on with, or tells the process.
  void answer(size_t offset, uint8_t from) { store(kContext, offset, from); }

  // The socket's cookie to its place on the stack.
  void store_cookie() {
    move(BPF_REG_1, kContext);
    call(BPF_FUNC_get_socket_cookie);
    store(kFrame, kCookie, BPF_REG_0, BPF_DW);
  }

  std::vector<bpf_insn> finish() {
    for (size_t jump : to_end_) land(jump);
    add({.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = kAllow});
    add({.code = BPF_JMP | BPF_EXIT});
    return std::move(instructions_);
  }

 private:
  void add(bpf_insn instruction) { instructions_.push_back(instruction); }

  const Family family_;
  std::vector<bpf_insn> instructions_;
  std::vector<size_t> to_end_;
};

void leave_unless_to_loopback_by_tcp(Assembly& code) {
  code.load(kScratch, kContext, offsetof(bpf_sock_addr, protocol));
  code.leave_unless(kScratch, IPPROTO_TCP);
  code.load_address();
  code.move(kScratch, kAddress);
  code.and_with(kScratch, htonl(0xff000000));
  code.leave_unless(kScratch, htonl(0x7f000000));
}

// From 127.0.0.1, or out of lo, nothing gets to a container but by translation.
void leave_if_bound(Assembly& code) {
  code.load(kOther, kContext, offsetof(bpf_sock_addr, sk), BPF_DW);
  for (const size_t offset : {offsetof(bpf_sock, src_ip4), offsetof(bpf_sock, bound_dev_if)}) {
    code.load(kScratch, kOther, offset);
    code.leave_unless(kScratch, 0);
  }
}

void leave_unless_in(Assembly& code, uint64_t netns) {
  code.move(BPF_REG_1, kContext);
  code.call(BPF_FUNC_get_netns_cookie);
  code.load_number(kScratch, netns);
  code.leave_unless_equal(BPF_REG_0, kScratch);
}

// The port's target into kFound; without one to the end.
void find_target(Assembly& code, int targets) {
  code.load_port();
  code.store(kFrame, kPlace + offsetof(ConnectPlace, address), kAddress);
  code.store(kFrame, kPlace + offsetof(ConnectPlace, port), kPort);
  code.find(targets, kPlace);
  const size_t jump = code.skip_unless_null(kFound);
  code.store_value(kFrame, kPlace + offsetof(ConnectPlace, address), 0);
  code.find(targets, kPlace);
  code.land(jump);
  code.leave_if_null(kFound);
}

std::vector<bpf_insn> connect(Family family, const ConnectMaps& maps, uint64_t netns) {
  constexpr size_t kAsked = kLed + offsetof(LedSocket, asked_for);
  constexpr size_t kReached = kLed + offsetof(LedSocket, reached);
  Assembly code(family);
  leave_unless_to_loopback_by_tcp(code);
  leave_if_bound(code);
  leave_unless_in(code, netns);
  find_target(code, maps.targets);
  code.store(kFrame, kAsked + offsetof(ConnectPlace, address), kAddress);
  code.store(kFrame, kAsked + offsetof(ConnectPlace, port), kPort);
  code.load(kAddress, kFound, offsetof(ConnectPlace, address));
  code.load(kPort, kFound, offsetof(ConnectPlace, port));
  code.store(kFrame, kReached + offsetof(ConnectPlace, address), kAddress);
  code.store(kFrame, kReached + offsetof(ConnectPlace, port), kPort);
  code.store_cookie();
  code.put(maps.connected, kCookie, kLed);
  code.answer(code.address_offset(), kAddress);
  code.answer(offsetof(bpf_sock_addr, user_port), kPort);
  return code.finish();
}

// What is known of the socket into kFound; if nothing is, to the end.
void find_led(Assembly& code, int connected) {
  code.store_cookie();
  code.find(connected, kCookie);
  code.leave_if_null(kFound);
}

std::vector<bpf_insn> peer_name(Family family, const ConnectMaps& maps) {
  constexpr size_t kAsked = offsetof(LedSocket, asked_for);
  constexpr size_t kReached = offsetof(LedSocket, reached);
  Assembly code(family);
  code.load_address();
  code.load_port();
  find_led(code, maps.connected);
  code.load(kScratch, kFound, kReached + offsetof(ConnectPlace, address));
  code.leave_unless_equal(kScratch, kAddress);
  code.load(kScratch, kFound, kReached + offsetof(ConnectPlace, port));
  code.leave_unless_equal(kScratch, kPort);
  code.load(kScratch, kFound, kAsked + offsetof(ConnectPlace, address));
  code.answer(code.address_offset(), kScratch);
  code.load(kScratch, kFound, kAsked + offsetof(ConnectPlace, port));
  code.answer(offsetof(bpf_sock_addr, user_port), kScratch);
  return code.finish();
}

std::vector<bpf_insn> own_name(Family family, const ConnectMaps& maps) {
  constexpr size_t kReached = offsetof(LedSocket, reached);
  Assembly code(family);
  code.load_address();
  find_led(code, maps.connected);
  code.load(kOther, kContext, offsetof(bpf_sock_addr, sk), BPF_DW);
  code.load(kAddress, kOther, offsetof(bpf_sock, dst_ip4));
  code.load(kScratch, kFound, kReached + offsetof(ConnectPlace, address));
  code.leave_unless_equal(kScratch, kAddress);
  code.load(kPort, kOther, offsetof(bpf_sock, dst_port), BPF_H);
  code.load(kScratch, kFound, kReached + offsetof(ConnectPlace, port));
  code.leave_unless_equal(kScratch, kPort);
  code.load_number(kScratch, htonl(INADDR_LOOPBACK));
  code.answer(code.address_offset(), kScratch);
  return code.finish();
}

}  // namespace

std::vector<BpfProgram> connect_programs(const ConnectMaps& maps, uint64_t netns) {
  constexpr auto kType = BPF_PROG_TYPE_CGROUP_SOCK_ADDR;
  return {
      {kType, BPF_CGROUP_INET4_CONNECT, connect(Family::v4, maps, netns)},
      {kType, BPF_CGROUP_INET6_CONNECT, connect(Family::v6, maps, netns)},
      {kType, BPF_CGROUP_INET4_GETPEERNAME, peer_name(Family::v4, maps)},
      {kType, BPF_CGROUP_INET6_GETPEERNAME, peer_name(Family::v6, maps)},
      {kType, BPF_CGROUP_INET4_GETSOCKNAME, own_name(Family::v4, maps)},
      {kType, BPF_CGROUP_INET6_GETSOCKNAME, own_name(Family::v6, maps)},
  };
}

}  // namespace gantry::net
