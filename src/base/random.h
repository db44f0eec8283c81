// Where random bytes come from: the kernel, or in tests a seed.
#pragma once

#include <cstdint>
#include <span>
#include <string>

namespace gantry {

class Random {
 public:
  virtual ~Random() = default;
  virtual void fill(std::span<uint8_t> bytes) = 0;

  // Uniform in [0, bound); bound > 0.
  uint64_t below(uint64_t bound);
};

// getrandom(2). Any thread.
class SystemRandom final : public Random {
 public:
  void fill(std::span<uint8_t> bytes) override;
};

// xoshiro256** from a seed: the same seed, the same bytes, on every machine. One thread.
class SeededRandom final : public Random {
 public:
  explicit SeededRandom(uint64_t seed);
  void fill(std::span<uint8_t> bytes) override;
  uint64_t next();

 private:
  uint64_t state_[4];
};

// `bytes` random bytes as lower-case hexadecimal digits.
std::string random_hex(Random& random, size_t bytes);

}  // namespace gantry
