// SHA-256 as a stream, and the text form of digests: "sha256:" and 64 hexadecimal digits.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace gantry::engine {

class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(Sha256&&) noexcept;
  Sha256& operator=(Sha256&&) noexcept;
  void update(std::string_view data);
  // "sha256:…" of everything since construction; call it once, it or the other.
  std::string finish();
  std::array<uint8_t, 32> finish_bytes();

 private:
  struct Context;
  std::unique_ptr<Context> context_;
};

// "sha256:…" of `data`.
std::string digest_of(std::string_view data);

// The only algorithm that registries use in practice, and the only one that the store names its files by.
bool is_sha256_digest(std::string_view text);

// The part behind "sha256:", which names files.
std::string hex_part(const std::string& digest);

// Chain id of a layer on top of `parent` ("" = none), as the OCI image specification (config.md) defines it.
std::string chain_id(const std::string& parent, const std::string& diff_id);

}  // namespace gantry::engine
