#include "engine/container/device_program.h"

#include <linux/bpf.h>

#include "base/strings.h"
#include "engine/container/devices.h"
#include "net/bpf.h"

namespace gantry::engine {
namespace {

// Registers of the program: the three facts of the access that is asked about.
constexpr uint8_t kType = BPF_REG_2;
constexpr uint8_t kAccess = BPF_REG_3;
constexpr uint8_t kMajor = BPF_REG_4;
constexpr uint8_t kMinor = BPF_REG_5;
constexpr uint8_t kScratch = BPF_REG_1;  // the context, which is read first

class DeviceProgram {
 public:
  DeviceProgram() {
    load(kType, offsetof(bpf_cgroup_dev_ctx, access_type));
    add({.code = BPF_ALU | BPF_MOV | BPF_X, .dst_reg = kAccess, .src_reg = kType});
    add({.code = BPF_ALU | BPF_AND | BPF_K, .dst_reg = kType, .imm = 0xffff});
    add({.code = BPF_ALU | BPF_RSH | BPF_K, .dst_reg = kAccess, .imm = 16});
    load(kMajor, offsetof(bpf_cgroup_dev_ctx, major));
    load(kMinor, offsetof(bpf_cgroup_dev_ctx, minor));
  }

  // Returns 1 if the rule covers the whole access; else goes on after it.
  void allow(const DeviceRule& rule) {
    std::vector<size_t> misses;
    const auto miss_unless = [&](uint8_t reg, int32_t value) {
      misses.push_back(instructions_.size());
      add({.code = BPF_JMP | BPF_JNE | BPF_K, .dst_reg = reg, .imm = value});
    };
    if (rule.type != 'a') miss_unless(kType, rule.type == 'b' ? BPF_DEVCG_DEV_BLOCK : BPF_DEVCG_DEV_CHAR);
    int32_t access = 0;
    if (rule.make) access |= BPF_DEVCG_ACC_MKNOD;
    if (rule.read) access |= BPF_DEVCG_ACC_READ;
    if (rule.write) access |= BPF_DEVCG_ACC_WRITE;
    if (access != (BPF_DEVCG_ACC_MKNOD | BPF_DEVCG_ACC_READ | BPF_DEVCG_ACC_WRITE)) {
      add({.code = BPF_ALU | BPF_MOV | BPF_X, .dst_reg = kScratch, .src_reg = kAccess});
      add({.code = BPF_ALU | BPF_AND | BPF_K, .dst_reg = kScratch, .imm = ~access});
      miss_unless(kScratch, 0);
    }
    if (rule.major >= 0) miss_unless(kMajor, static_cast<int32_t>(rule.major));
    if (rule.minor >= 0) miss_unless(kMinor, static_cast<int32_t>(rule.minor));
    answer(1);
    for (size_t at : misses) instructions_[at].off = static_cast<int16_t>(instructions_.size() - at - 1);
  }

  std::vector<bpf_insn> finish() {
    answer(0);
    return std::move(instructions_);
  }

 private:
  void add(bpf_insn instruction) { instructions_.push_back(instruction); }
  void load(uint8_t reg, size_t offset) {
    add({.code = BPF_LDX | BPF_MEM | BPF_W, .dst_reg = reg, .src_reg = BPF_REG_1, .off = static_cast<int16_t>(offset)});
  }
  void answer(int32_t value) {
    add({.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = value});
    add({.code = BPF_JMP | BPF_EXIT});
  }
  std::vector<bpf_insn> instructions_;
};

Result<int64_t> parse_number(std::string_view text) {
  if (text == "*") return int64_t{-1};
  auto number = parse_unsigned(text);
  if (!number || *number > 0xfffff) return invalid("no device number");
  return static_cast<int64_t>(*number);
}

}  // namespace

Result<DeviceRule> parse_device_rule(std::string_view text) {
  const Error bad = invalid("invalid device cgroup rule format: " + quoted(text));
  const auto words = split(trim(text), ' ');
  if (words.empty() || words[0].size() != 1 || std::string_view("abc").find(words[0][0]) == std::string_view::npos) {
    return bad;
  }
  DeviceRule rule{.type = words[0][0]};
  if (words.size() == 1 && rule.type == 'a') {
    rule.make = rule.read = rule.write = true;
    return rule;
  }
  if (words.size() != 3 || words[2].empty()) return bad;
  const auto numbers = split(words[1], ':');
  if (numbers.size() != 2) return bad;
  auto major = parse_number(numbers[0]);
  auto minor = parse_number(numbers[1]);
  if (!major.ok() || !minor.ok()) return bad;
  rule.major = *major;
  rule.minor = *minor;
  for (char access : words[2]) {
    if (access == 'r') rule.read = true;
    else if (access == 'w') rule.write = true;
    else if (access == 'm') rule.make = true;
    else return bad;
  }
  return rule;
}

std::vector<std::string> all_device_rules(const Resources& resources) {
  std::vector<std::string> rules = default_device_rules();
  for (std::string& rule : device_rules(resources.devices)) rules.push_back(std::move(rule));
  rules.insert(rules.end(), resources.device_cgroup_rules.begin(), resources.device_cgroup_rules.end());
  return rules;
}

Result<Fd> load_device_program(const std::vector<std::string>& rules) {
  DeviceProgram program;
  for (const std::string& text : rules) program.allow(TRY(parse_device_rule(text)));
  return net::load_program({.type = BPF_PROG_TYPE_CGROUP_DEVICE, .instructions = program.finish()})
      .within("devices of the container");
}

Result<std::shared_ptr<const Fd>> DevicePrograms::of(const std::vector<std::string>& rules) {
  const std::lock_guard lock(mutex_);
  if (program_ == nullptr || rules != rules_) {
    program_ = std::make_shared<const Fd>(TRY(load_device_program(rules)));
    rules_ = rules;
  }
  return program_;
}

}  // namespace gantry::engine
