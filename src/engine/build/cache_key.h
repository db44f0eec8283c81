// Identity of a step's result: a hash over everything that decides it. Fields are framed, so that no two lists of
// fields give the same bytes. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "engine/image/digest.h"

namespace gantry::engine {

class CacheKey {
 public:
  // `kind` keeps different sorts of steps apart.
  explicit CacheKey(std::string_view kind) { add(kind); }

  CacheKey& add(std::string_view text);
  CacheKey& add(uint64_t number);
  template <class Texts>
  CacheKey& add_list(const Texts& texts) {
    add(static_cast<uint64_t>(texts.size()));
    for (const auto& text : texts) add(std::string_view(text));
    return *this;
  }
  std::string finish();  // once

 private:
  void feed(std::string_view bytes);

  Sha256 hash_;
  std::string pending_;  // many small fields are hashed at once
};

}  // namespace gantry::engine
