#include "engine/container/seccomp_tree.h"

#include <linux/seccomp.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <map>
#include <optional>
#include <set>

namespace gantry::engine {
namespace {

using Program = std::span<const sock_filter>;

constexpr uint32_t kNumberOffset = offsetof(seccomp_data, nr);
constexpr uint32_t kArchitectureOffset = offsetof(seccomp_data, arch);
constexpr size_t kFarthest = 250;  // that a comparison jumps; 255, less what may still come between

constexpr uint16_t kLoad = BPF_LD | BPF_W | BPF_ABS;
constexpr uint16_t kJump = BPF_JMP | BPF_JA;
constexpr uint16_t kIfEqual = BPF_JMP | BPF_JEQ | BPF_K;
constexpr uint16_t kIfGreater = BPF_JMP | BPF_JGT | BPF_K;
constexpr uint16_t kIfAtLeast = BPF_JMP | BPF_JGE | BPF_K;
constexpr uint16_t kReturn = BPF_RET | BPF_K;

bool is_comparison(uint16_t code) { return BPF_CLASS(code) == BPF_JMP && code != kJump; }
bool is_return(uint16_t code) { return BPF_CLASS(code) == BPF_RET; }

// Where an instruction may go on; jumps lead forward only.
std::vector<size_t> successors(const sock_filter& instruction, size_t at) {
  if (is_return(instruction.code)) return {};
  if (instruction.code == kJump) return {at + 1 + instruction.k};
  if (is_comparison(instruction.code)) return {at + 1 + instruction.jt, at + 1 + instruction.jf};
  return {at + 1};
}

// ---- What the program compares ---------------------------------------------------------------------------

struct Constants {
  std::vector<uint32_t> architectures;  // as they come
  std::set<uint32_t> begins;            // of the ranges of numbers within which nothing changes
};

enum class Holds { unreached, nothing, number, architecture, other, several };

// Nothing: it does more with number or architecture than to compare them with constants.
std::optional<Constants> constants_of(Program program) {
  Constants found{.architectures = {}, .begins = {0}};
  std::vector<Holds> before(program.size(), Holds::unreached);
  if (!before.empty()) before[0] = Holds::nothing;
  for (size_t at = 0; at < program.size(); ++at) {
    const sock_filter& instruction = program[at];
    Holds holds = before[at];
    if (holds == Holds::unreached) continue;
    const bool matters = holds == Holds::number || holds == Holds::architecture || holds == Holds::several;
    if (instruction.code == kLoad) {
      holds = instruction.k == kNumberOffset ? Holds::number
              : instruction.k == kArchitectureOffset ? Holds::architecture : Holds::other;
    } else if (is_comparison(instruction.code) && matters) {
      if (holds == Holds::architecture && instruction.code == kIfEqual) {
        if (std::ranges::find(found.architectures, instruction.k) == found.architectures.end())
          found.architectures.push_back(instruction.k);
      } else if (holds == Holds::number &&
                 (instruction.code == kIfEqual || instruction.code == kIfGreater || instruction.code == kIfAtLeast)) {
        if (instruction.code != kIfGreater) found.begins.insert(instruction.k);
        if (instruction.code != kIfAtLeast && instruction.k != UINT32_MAX) found.begins.insert(instruction.k + 1);
      } else {
        return std::nullopt;
      }
    } else if (!is_return(instruction.code) && instruction.code != kJump && !is_comparison(instruction.code)) {
      if (matters) return std::nullopt;
      holds = Holds::other;
    } else if (instruction.code != kReturn && is_return(instruction.code)) {
      return std::nullopt;
    }
    for (const size_t next : successors(instruction, at)) {
      if (next >= program.size()) return std::nullopt;
      before[next] = before[next] == Holds::unreached || before[next] == holds ? holds : Holds::several;
    }
  }
  return found;
}

// ---- What it decides ---------------------------------------------------------------------------------------

// An action, or the place from which on it looks at arguments.
struct Outcome {
  bool is_action = true;
  uint32_t value = 0;
  auto operator<=>(const Outcome&) const = default;
};

// By architecture and number alone. Of programs that constants_of() understands.
Outcome outcome_of(Program program, uint32_t architecture, uint32_t number) {
  uint32_t value = 0;
  for (size_t at = 0;;) {
    const sock_filter& instruction = program[at];
    if (instruction.code == kReturn) return {.is_action = true, .value = instruction.k};
    if (instruction.code == kJump) {
      at += 1 + instruction.k;
    } else if (is_comparison(instruction.code)) {
      const bool holds = instruction.code == kIfEqual     ? value == instruction.k
                         : instruction.code == kIfGreater ? value > instruction.k
                                                          : value >= instruction.k;
      at += 1 + (holds ? instruction.jt : instruction.jf);
    } else if (instruction.code == kLoad && (instruction.k == kNumberOffset || instruction.k == kArchitectureOffset)) {
      value = instruction.k == kNumberOffset ? number : architecture;
      ++at;
    } else {
      return {.is_action = false, .value = static_cast<uint32_t>(at)};
    }
  }
}

struct Range {
  uint32_t begin;
  Outcome outcome;
};

std::vector<Range> ranges_of(Program program, uint32_t architecture, const std::set<uint32_t>& begins) {
  std::vector<Range> ranges;
  for (const uint32_t begin : begins) {
    const Outcome outcome = outcome_of(program, architecture, begin);
    if (ranges.empty() || ranges.back().outcome != outcome) ranges.push_back({begin, outcome});
  }
  return ranges;
}

uint32_t another_than(const std::vector<uint32_t>& architectures) {
  uint32_t candidate = 0;
  while (std::ranges::find(architectures, candidate) != architectures.end()) ++candidate;
  return candidate;
}

// ---- The new program ---------------------------------------------------------------------------------------

// Written from its end to its beginning, so that what is jumped to is always there. A place is counted from the end.
class ProgramWriter {
 public:
  std::vector<sock_filter> program() const { return {backwards_.rbegin(), backwards_.rend()}; }

  // The original's instructions from these on, as far as they can be reached.
  void keep(Program original, const std::set<uint32_t>& from) {
    std::set<size_t> reached(from.begin(), from.end());
    for (const size_t at : reached) {  // grows behind `at` only
      for (const size_t next : successors(original[at], at)) reached.insert(next);
    }
    for (auto at = reached.rbegin(); at != reached.rend(); ++at) {
      sock_filter instruction = original[*at];
      const auto next = successors(instruction, *at);
      if (instruction.code == kJump) {
        instruction.k = distance(kept_.at(next[0]));
      } else if (is_comparison(instruction.code)) {
        // Not farther than in the original, which has all of these instructions and more.
        instruction.jt = static_cast<uint8_t>(distance(kept_.at(next[0])));
        instruction.jf = static_cast<uint8_t>(distance(kept_.at(next[1])));
      }
      kept_[*at] = write(instruction);
    }
  }

  // Loads the number and searches.
  size_t search(std::span<const Range> ranges) {
    fall_into(tree(ranges));
    return write(BPF_STMT(kLoad, kNumberOffset));
  }

  size_t if_equal(uint32_t value, size_t then, size_t otherwise) { return compare(kIfEqual, value, then, otherwise); }

  void finish_with_architecture(size_t first) {
    fall_into(first);
    write(BPF_STMT(kLoad, kArchitectureOffset));
  }

 private:
  size_t write(const sock_filter& instruction) {
    backwards_.push_back(instruction);
    return backwards_.size() - 1;
  }
  // From the next instruction that is written.
  uint32_t distance(size_t place) const { return static_cast<uint32_t>(backwards_.size() - place - 1); }

  size_t jump_to(size_t place) {
    const sock_filter& there = backwards_[place];
    return write(is_return(there.code) ? there : sock_filter(BPF_STMT(kJump, distance(place))));
  }
  size_t near(size_t place) { return distance(place) <= kFarthest ? place : jump_to(place); }
  void fall_into(size_t place) {
    if (place + 1 != backwards_.size()) jump_to(place);
  }

  size_t compare(uint16_t code, uint32_t value, size_t then, size_t otherwise) {
    then = near(then);
    otherwise = near(otherwise);
    return write(BPF_JUMP(code, value, static_cast<uint8_t>(distance(then)), static_cast<uint8_t>(distance(otherwise))));
  }

  size_t tree(std::span<const Range> ranges) {
    if (ranges.size() == 1) return leaf(ranges[0].outcome);
    const size_t middle = ranges.size() / 2;
    const size_t upper = tree(ranges.subspan(middle));
    const size_t lower = tree(ranges.first(middle));
    return compare(kIfAtLeast, ranges[middle].begin, upper, lower);
  }

  size_t leaf(const Outcome& outcome) {
    if (!outcome.is_action) return kept_.at(outcome.value);
    const auto [known, is_new] = actions_.try_emplace(outcome.value, backwards_.size());
    if (is_new || distance(known->second) > kFarthest) known->second = write(BPF_STMT(kReturn, outcome.value));
    return known->second;
  }

  std::vector<sock_filter> backwards_;
  std::map<size_t, size_t> kept_;        // place in the original → here
  std::map<uint32_t, size_t> actions_;   // → the return that was written last
};

}  // namespace

std::vector<sock_filter> as_search_tree(Program program) {
  const std::vector<sock_filter> as_it_came(program.begin(), program.end());
  const auto constants = constants_of(program);
  if (!constants || program.empty()) return as_it_came;
  std::vector<std::vector<Range>> known;
  for (const uint32_t architecture : constants->architectures)
    known.push_back(ranges_of(program, architecture, constants->begins));
  const auto others = ranges_of(program, another_than(constants->architectures), constants->begins);

  std::set<uint32_t> kept;
  const auto note_kept = [&](const std::vector<Range>& ranges) {
    for (const Range& range : ranges)
      if (!range.outcome.is_action) kept.insert(range.outcome.value);
  };
  std::ranges::for_each(known, note_kept);
  note_kept(others);

  ProgramWriter writer;
  writer.keep(program, kept);
  size_t next = writer.search(others);
  // The first one the program asks for, which is the machine's own, is compared first here, too.
  for (size_t i = known.size(); i-- > 0;) next = writer.if_equal(constants->architectures[i], writer.search(known[i]), next);
  writer.finish_with_architecture(next);
  std::vector<sock_filter> written = writer.program();
  return written.size() < program.size() ? written : as_it_came;
}

std::string as_search_tree(const std::string& program) {
  std::vector<sock_filter> instructions(program.size() / sizeof(sock_filter));
  std::memcpy(instructions.data(), program.data(), instructions.size() * sizeof(sock_filter));
  instructions = as_search_tree(std::span<const sock_filter>(instructions));
  return {reinterpret_cast<const char*>(instructions.data()), instructions.size() * sizeof(sock_filter)};
}

}  // namespace gantry::engine
